/* SPDX-License-Identifier: MIT */

/* Functions that wait: start a call, process until it is answered, and try again where that does
 * no harm.
 *
 * A reply that comes too late cannot be called back: its call stays in the list, with nobody to be
 * told. */

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "client/inside.h"
#include "varlink/json.h"

#define DELAY_MIN (10 * USEC_PER_MSEC)
#define DELAY_MAX (250 * USEC_PER_MSEC)

typedef struct Asked {
        const ClientAsk *ask;
        int result;
        bool done;
        bool continues; /* and yet there is more to come */
        ClientError error; /* kept from those who are told after us */
} Asked;

static void on_reply(const BroodReply *reply, void *context)
{
        Asked *a = context;
        int r;

        if (a->done)
                return;
        r = brood_reply_check(reply);
        if (r == 0 && a->ask->read)
                r = a->ask->read(reply, a->ask->to);
        a->result = r;
        a->done = r != 0 || !reply->continues;
        a->continues = reply->continues;
        if (a->done)
                a->error = client_take_error(reply->client);
}

static void abandon(BroodClient *c, const Asked *a)
{
        ClientCall *call;

        LIST_FOREACH(&c->calls, call, link)
                if (call->context == a && call->replied == on_reply)
                        call->replied = NULL;
}

/* When to give up waiting for the reply. */
static usec_t deadline(const BroodClient *c, const ClientAsk *ask)
{
        usec_t until = ask->timed ? ask->until : clock_monotonic();

        if (ask->more)
                return ask->timed ? until : USEC_INFINITY;
        return c->timeout < 0 ? USEC_INFINITY : usec_add(until, (usec_t)c->timeout);
}

/* Waits until there is something to be done, or the time is up: -ETIMEDOUT. */
static int wait_for(BroodClient *c, usec_t until)
{
        struct pollfd p = { .fd = brood_client_fd(c), .events = brood_client_events(c) };
        int r = fd_poll(&p, 1, until);

        return r < 0 ? r : r ? 0 : -ETIMEDOUT;
}

static int write_ask(BroodClient *c, const ClientAsk *ask, Asked *a)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        usec_t now;

        if (ask->fds)
                return client_start_fds(c, ask->method, ask->parameters, ask->fds, on_reply, a);
        if (!ask->timed || ask->more || ask->until == USEC_INFINITY)
                return client_start(c, ask->method, ask->more, ask->parameters, on_reply, a);
        now = clock_monotonic();
        buffer_append_slice(&b, buffer_slice(ask->parameters));
        emit_int_member(&b, "timeout_usec", ask->until > now ? (int64_t)(ask->until - now) : 0);
        return client_start(c, ask->method, ask->more, &b, on_reply, a);
}

static int answered(BroodClient *c, Asked *a)
{
        if (a->continues)
                abandon(c, a);
        client_put_error(c, a->error);
        return a->result;
}

/* One go at what there is to send and to receive. -ECANCELED: the client is gone, a callback has
 * closed it. */
static int turn_and_wait(BroodClient *c, const Asked *a, usec_t until)
{
        int r = client_process(c);

        if (r < 0)
                return r == -ECANCELED ? r : client_fail_errno(c, r);
        if (a->done)
                return 0;
        r = wait_for(c, until);
        if (r == -ETIMEDOUT)
                return client_fail(c, r, "no answer in time");
        return r < 0 ? client_fail_errno(c, r) : 0;
}

/* Starts the call, when what was started before leaves room for it. */
static int begin(BroodClient *c, const ClientAsk *ask, Asked *a, usec_t until)
{
        int r = write_ask(c, ask, a);

        while (r == -EAGAIN) {
                r = turn_and_wait(c, a, until);
                if (r == 0)
                        r = write_ask(c, ask, a);
        }
        return r;
}

static int ask_once(BroodClient *c, const ClientAsk *ask)
{
        Asked a = { .ask = ask };
        usec_t until = deadline(c, ask);
        int r = c->lost && c->path ? brood_client_reconnect(c) : 0;

        if (r == 0)
                r = begin(c, ask, &a, until);
        if (r < 0)
                return r;
        do
                r = turn_and_wait(c, &a, until); /* first there is something to send: no poll() */
        while (r == 0 && !a.done);
        if (r == -ECANCELED) {
                client_error_clear(&a.error);
                return r;
        }
        if (a.done)
                return answered(c, &a);
        abandon(c, &a);
        return r;
}

static bool passing(const BroodClient *c, int result)
{
        switch (result) {
        case -ECONNRESET:
        case -EPIPE:
        case -ECONNREFUSED:
        case -ENOENT:
        case -EAGAIN:
                return c->path != NULL;
        case -EREMOTEIO:
                return strcmp(brood_client_error_name(c), "io.brood.Draining") == 0;
        default:
                return false;
        }
}

bool client_again(const BroodClient *c, ClientPatience *p, int result)
{
        usec_t now = clock_monotonic(), patience = (usec_t)c->patience;

        if (!patience || result == -ECANCELED || !passing(c, result))
                return false;
        if (!p->until || now - p->began > patience) { /* it went well for long enough */
                p->until = usec_add(now, patience);
                p->delay = DELAY_MIN;
        }
        if (now >= p->until)
                return false;
        (void)poll(NULL, 0, (int)(MIN(p->delay, p->until - now) / USEC_PER_MSEC) + 1);
        p->delay = MIN(p->delay * 2, DELAY_MAX);
        p->began = clock_monotonic();
        return true;
}

int client_ask(BroodClient *c, const ClientAsk *ask)
{
        ClientPatience patience = { .began = clock_monotonic() };
        int r = client_usable(c, true);

        if (r < 0)
                return r;
        client_forget_error(c);
        do {
                r = ask_once(c, ask);
                if (r == -ECANCELED)
                        return r; /* closed: not to be touched */
        } while (!ask->once && client_again(c, &patience, r));
        if (r >= 0)
                client_forget_error(c);
        return r;
}

/* The second connection is kept for the next time, unless something still comes on it. */
int client_ask_aside(BroodClient *c, const ClientAsk *ask)
{
        BroodClient *second = MOVE_PTR(c->side);
        int r = client_usable(c, true);

        if (r < 0 || !c->path) {
                c->side = second;
                return r < 0 ? r : client_ask(c, ask);
        }
        client_forget_error(c);
        if (!second)
                second = client_second(c);
        if (!second)
                return client_fail_errno(c, -ENOMEM);
        second->timeout = c->timeout;
        second->patience = c->patience;
        brood_client_set_limit(second, c->limit);
        r = client_ask(second, ask);
        client_put_error(c, client_take_error(second));
        if (c->side || second->n_calls)
                brood_client_close(second);
        else
                c->side = second;
        return r;
}
