/* SPDX-License-Identifier: MIT */

/* Why the last function failed: in words, and what the daemon said. */

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/inside.h"

int client_fail(BroodClient *c, int error, const char *format, ...)
{
        char *words = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&words, format, ap) < 0)
                words = NULL;
        va_end(ap);
        client_forget_error(c);
        c->error.words = words;
        return error;
}

int client_fail_errno(BroodClient *c, int error)
{
        if (error == -ECONNRESET || error == -EPIPE)
                return client_fail(c, error, "the daemon has gone: %s", strerror(-error));
        if (error == -EBADMSG)
                return client_fail(c, error, "what answers does not speak as broodd does");
        if (error == -EMSGSIZE)
                return client_fail(c, error, "a reply is larger than %zu bytes", c->limit);
        return client_fail(c, error, "%s", strerror(-error));
}

void client_error_clear(ClientError *error)
{
        free(error->words);
        free(error->name);
        free(error->parameters);
        *error = (ClientError){ NULL };
}

void client_forget_error(BroodClient *c)
{
        client_error_clear(&c->error);
}

ClientError client_take_error(BroodClient *c)
{
        ClientError error = c->error;

        c->error = (ClientError){ NULL };
        return error;
}

void client_put_error(BroodClient *c, ClientError error)
{
        client_error_clear(&c->error);
        c->error = error;
}

const char *brood_client_error(const BroodClient *client)
{
        return client->error.words ? client->error.words : "";
}

const char *brood_client_error_name(const BroodClient *client)
{
        return client->error.name ? client->error.name : "";
}

const char *brood_client_error_parameters(const BroodClient *client)
{
        return client->error.parameters ? client->error.parameters : JSON_EMPTY;
}

/* ": handler=celsius" */
static void say_parameters(Buffer *b, const BroodReply *reply)
{
        json_t *parameters = json_loadb(reply->parameters, reply->size, 0, NULL);
        const char *name;
        json_t *value;

        json_object_foreach(parameters, name, value) {
                AUTO(free) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
                const char *shown = json_string_value(value);

                buffer_printf(b, "%s%s=%s", buffer_len(b) ? " " : ": ", name,
                              shown  ? shown
                              : text ? text
                                     : "?");
        }
        json_decref(parameters);
}

int client_fail_reply(BroodClient *c, const BroodReply *reply)
{
        bool timed_out = strcmp(reply->error, "io.brood.WaitTimeout") == 0;
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        int r;

        say_parameters(&words, reply);
        r = client_fail(c, timed_out ? -ETIMEDOUT : -EREMOTEIO, "%s%.*s", reply->error,
                        (int)buffer_len(&words), words.data ? buffer_bytes(&words) : "");
        c->error.name = strdup(reply->error);
        c->error.parameters = strndup(reply->parameters, reply->size);
        return r;
}

/* What its last attempt said, else what became of it. */
int client_fail_job(BroodClient *c, const BroodRecord *job)
{
        const char *why = job->reason ? job->reason : job->outcome;
        int r;

        if (job->error && *job->error)
                r = client_fail(c, -EREMOTEIO, "%s", job->error);
        else
                r = client_fail(c, -EREMOTEIO, "the job is %s%s%s", brood_state_name(job->state),
                                why ? ": " : "", why ? why : "");
        if (job->result)
                c->error.parameters = strdup(job->result);
        return r;
}
