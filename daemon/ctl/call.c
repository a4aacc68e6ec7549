/* SPDX-License-Identifier: MIT */

#include "ctl/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/print.h"
#include "ctl/raw.h"
#include "ctl/words.h"

void reply_fini(Reply *r)
{
        free(r->text);
        free(r->error);
        json_decref(r->parameters);
        *r = (Reply)REPLY_INIT;
}

Buffer *call_begin(Ctl *ctl, const char *method, unsigned flags)
{
        Buffer *b = varlink_client_out(ctl->client);
        char name[64];

        (void)snprintf(name, sizeof(name), "io.brood.%s", method);
        varlink_write_call(b, name, flags);
        return b;
}

void call_end(Ctl *ctl)
{
        varlink_write_end(varlink_client_out(ctl->client), 0);
}

int call_flush(Ctl *ctl)
{
        int r = varlink_client_flush(ctl->client);

        return r < 0 ? connect_lost(ctl, r) : STATUS_DONE;
}

int call_send(Ctl *ctl)
{
        call_end(ctl);
        return call_flush(ctl);
}

int reply_parse(Reply *r, Slice text)
{
        json_t *message, *parameters, *error;

        r->text = strndup(text.data, text.len);
        message = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        parameters = json_object_get(message, "parameters");
        error = json_object_get(message, "error");
        if (!json_is_object(message) || (error && !json_is_string(error))) {
                json_decref(message);
                return -EBADMSG;
        }
        r->continues = json_is_true(json_object_get(message, "continues"));
        r->raw = json_is_object(parameters) ? raw_member(slice_of(r->text), "parameters")
                                            : SLICE("{}");
        r->parameters = json_is_object(parameters) ? json_incref(parameters) : json_object();
        r->error = error ? strdup(json_string_value(error)) : NULL;
        json_decref(message);
        return !r->text || !r->parameters || (error && !r->error) ? -ENOMEM : 0;
}

int call_receive(Ctl *ctl, usec_t timeout, Reply *ret)
{
        Slice text;
        int r = varlink_client_receive(ctl->client, timeout, &text);

        reply_fini(ret);
        if (r > 0)
                r = reply_parse(ret, text);
        return r < 0 ? connect_lost(ctl, r) : STATUS_DONE;
}

int call_judge(const Ctl *ctl, const Reply *reply)
{
        if (reply->error) {
                words_say_error(ctl->verb->name, reply->error, reply->parameters);
                return STATUS_REFUSED;
        }
        if (option_given(ctl->options, OPTION_JSON))
                reply_print(reply);
        return STATUS_DONE;
}

int call_reply(Ctl *ctl, Reply *ret)
{
        int status = call_receive(ctl, USEC_INFINITY, ret);

        return status ? status : call_judge(ctl, ret);
}

int call_finish(Ctl *ctl, Reply *ret)
{
        int status = call_send(ctl);

        return status ? status : call_reply(ctl, ret);
}

int call_simple(Ctl *ctl, const char *method, const char *name, const char *value, Reply *ret)
{
        Buffer *b = call_begin(ctl, method, 0);

        if (value)
                emit_string_member(b, name, slice_of(value));
        return call_finish(ctl, ret);
}

int call_print(const json_t *object)
{
        AUTO(free) char *text = json_dumps(object, JSON_COMPACT);

        if (!text)
                return ctl_no_memory();
        puts(text);
        print_flush();
        return STATUS_DONE;
}

void reply_print(const Reply *r)
{
        Buffer b = BUFFER_INIT;

        raw_compact(&b, r->raw);
        buffer_append_char(&b, '\n');
        print_buffer(&b);
        buffer_fini(&b);
        print_flush(); /* who reads a pipe wants each reply when it comes */
}
