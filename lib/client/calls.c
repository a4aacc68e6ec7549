/* SPDX-License-Identifier: MIT */

/* Calls and their replies, without waiting.
 *
 * Replies come in the order of the calls, so the first of the list is the one that is answered. A
 * callback may start calls and close the client; what it may not do is wait, because then two would
 * read from one connection. After each callback `closing` is looked at, and whoever leaves last
 * frees the client.
 *
 * When the connection fails, all calls are told before process() returns: a program has to look
 * after each call in one place only, its callback. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/inside.h"

enum { TURN_READS = 16, MAX_SPARE = 1024 };

int client_usable(BroodClient *c, bool waiting)
{
        if (c->generation != client_generation())
                return client_fail(c, -ECHILD, "the client belongs to the parent process");
        if (c->closing)
                return client_fail(c, -ESHUTDOWN, "the client is being closed");
        if (waiting && c->inside)
                return client_fail(c, -EDEADLK, "called while a reply is being told of");
        return 0;
}

/* --- starting --- */

static ClientCall *call_new(BroodClient *c)
{
        ClientCall *call = LIST_FIRST(&c->spare, ClientCall, link);

        if (!call)
                return malloc(sizeof(*call));
        list_remove(&call->link);
        c->n_spare--;
        return call;
}

static void call_free(BroodClient *c, ClientCall *call)
{
        if (c->n_spare >= MAX_SPARE) {
                free(call);
                return;
        }
        list_append(&c->spare, &call->link);
        c->n_spare++;
}

/* Puts a call at the end of the list. */
static int enlist(BroodClient *c, bool more, BroodReplied replied, void *context)
{
        ClientCall *call = call_new(c);

        if (!call)
                return client_fail_errno(c, -ENOMEM);
        *call = (ClientCall){ .replied = replied, .context = context, .more = more };
        list_append(&c->calls, &call->link);
        c->n_calls++;
        return 0;
}

static void write_call(Buffer *out, const char *method, bool more, const Buffer *parameters)
{
        varlink_write_call(out, method, more ? VARLINK_MORE : 0);
        buffer_append_slice(out, buffer_slice(parameters));
        varlink_write_end(out, 0);
}

int client_start(BroodClient *c, const char *method, bool more, const Buffer *parameters,
                 BroodReplied replied, void *context)
{
        Buffer *out;
        int r;

        if (c->lost)
                return client_fail(c, -ENOTCONN, "the connection is lost");
        out = varlink_client_out(c->varlink);
        if (buffer_len(out) && buffer_len(out) + buffer_len(parameters) > c->limit)
                return client_fail(c, -EAGAIN, "%zu bytes are waiting to be sent", buffer_len(out));
        if (parameters->failed)
                return client_fail_errno(c, -ENOMEM);
        r = enlist(c, more, replied, context);
        if (r == 0)
                write_call(out, method, more, parameters);
        return r;
}

int client_start_fds(BroodClient *c, const char *method, const Buffer *parameters, const int *fds,
                     BroodReplied replied, void *context)
{
        AUTO(buffer_fini) Buffer message = BUFFER_INIT;
        int r;

        if (c->lost)
                return client_fail(c, -ENOTCONN, "the connection is lost");
        write_call(&message, method, false, parameters);
        if (parameters->failed || message.failed)
                return client_fail_errno(c, -ENOMEM);
        r = enlist(c, false, replied, context);
        if (r < 0)
                return r;
        r = varlink_client_send_fds(c->varlink, buffer_slice(&message), fds, 3);
        if (r < 0)
                (void)client_lose(c, r); /* it is told */
        return 0;
}

/* --- replies --- */

/* The end of the first call. */
static void tell(BroodClient *c, const BroodReply *reply)
{
        ClientCall *call = LIST_FIRST(&c->calls, ClientCall, link);
        BroodReplied replied = call->replied;
        void *context = call->context;

        if (!reply->continues) {
                list_remove(&call->link);
                c->n_calls--;
                call_free(c, call);
        }
        if (!replied)
                return;
        c->inside++;
        replied(reply, context);
        c->inside--;
}

/* The calls that are started meanwhile are refused, so this ends. */
int client_lose(BroodClient *c, int error)
{
        BroodReply reply = { .client = c, .result = error, .parameters = JSON_EMPTY, .size = 2 };

        c->lost = error;
        if (c->varlink && error != -ECANCELED)
                (void)shutdown(varlink_client_fd(c->varlink), SHUT_RDWR); /* it may be already */
        while (!list_empty(&c->calls))
                tell(c, &reply);
        return error;
}

static const VarlinkType object = { .kind = VARLINK_OBJECT }, text = { .kind = VARLINK_STRING },
                         flag = { .kind = VARLINK_BOOL };
enum { REPLY_PARAMETERS, REPLY_ERROR, REPLY_CONTINUES, REPLY_FIELDS };
static const VarlinkField reply_fields[REPLY_FIELDS] = {
        [REPLY_PARAMETERS] = { { "parameters", 10 }, { &object, true } },
        [REPLY_ERROR] = { { "error", 5 }, { &text, true } },
        [REPLY_CONTINUES] = { { "continues", 9 }, { &flag, true } },
};
static const VarlinkType reply_type = { .kind = VARLINK_STRUCT, .n_fields = REPLY_FIELDS,
                                        .fields = reply_fields };

/* A part of the message as a string: once it is scanned, the byte behind is needed no more. */
static const char *cut(VarlinkScan *scan, const VarlinkNode *node)
{
        char *from = (char *)scan->text.data + node->offset;
        size_t n = node->length;

        if (node->escaped)
                n = varlink_unescape((Slice){ from, n }, from);
        from[n] = '\0';
        return from;
}

static int read_reply(BroodClient *c, Slice message, BroodReply *ret)
{
        const VarlinkNode *root, *parameters, *error;
        uint32_t index;
        int r = varlink_scan(&c->scan, message, &reply_type, &index);

        if (r)
                return r < 0 ? r : -EBADMSG;
        root = varlink_node(&c->scan, index);
        parameters = varlink_field(&c->scan, root, REPLY_PARAMETERS);
        error = varlink_field(&c->scan, root, REPLY_ERROR);
        *ret = (BroodReply){
                .client = c,
                .result = error->present ? -EREMOTEIO : 0,
                .continues = varlink_bool(&c->scan, varlink_field(&c->scan, root, REPLY_CONTINUES)),
                .size = parameters->present ? parameters->length : strlen(JSON_EMPTY),
        };
        ret->parameters = parameters->present ? cut(&c->scan, parameters) : JSON_EMPTY;
        ret->error = error->present ? cut(&c->scan, error) : NULL;
        if (ret->error && ret->continues)
                return -EBADMSG;
        return 0;
}

static int deliver(BroodClient *c, Slice message)
{
        const ClientCall *call = LIST_FIRST(&c->calls, ClientCall, link);
        BroodReply reply;
        int r = read_reply(c, message, &reply);

        if (r < 0)
                return r;
        if (!call || (reply.continues && !call->more))
                return -EBADMSG; /* nobody has asked */
        tell(c, &reply);
        return 0;
}

/* All that has been received. Returns how many, or -errno. */
static int deliver_all(BroodClient *c)
{
        Slice message;
        int r, n = 0;

        while (!c->closing && (r = varlink_client_next(c->varlink, &message))) {
                if (r > 0)
                        r = deliver(c, message);
                if (r < 0)
                        return r;
                n++;
        }
        return n;
}

/* Before a connection is given up for not taking our bytes, what it said last is heard: the reason
 * may be in it. */
static int receive(BroodClient *c)
{
        int r, n, sum = deliver_all(c); /* what came while descriptors were sent */

        if (sum < 0)
                return sum;
        for (unsigned i = 0; i < TURN_READS && !c->closing; i++) {
                r = varlink_client_fill(c->varlink);
                if (r <= 0)
                        return r < 0 ? r : sum;
                n = deliver_all(c);
                if (n < 0)
                        return n;
                sum += n;
                if (r == 1)
                        break;
        }
        return sum;
}

/* Sends, receives, and sends what the replies have led to. */
static int turn(BroodClient *c)
{
        int sent = varlink_client_send(c->varlink), r = receive(c);

        if (r >= 0 && sent == 0 && !c->closing)
                sent = varlink_client_send(c->varlink);
        return r < 0 ? r : sent < 0 ? sent : r;
}

int client_process(BroodClient *c)
{
        int r;

        if (c->lost || !c->varlink)
                return -ENOTCONN;
        c->inside++;
        r = turn(c);
        if (r < 0 && !c->closing)
                (void)client_lose(c, r);
        c->inside--;
        if (c->closing) {
                brood_client_close(c);
                return -ECANCELED;
        }
        return r;
}

int brood_client_process(BroodClient *client)
{
        int r = client_usable(client, true);

        if (r < 0)
                return r;
        r = client_process(client);
        if (r == -ENOTCONN)
                return client_fail(client, r, "the connection is lost");
        return r < 0 && r != -ECANCELED ? client_fail_errno(client, r) : r;
}
