/* SPDX-License-Identifier: MIT */

/* brood-async.so: the event loop of a worker with Concurrency=async, loaded by it after the fork,
 * so that fork servers have no libevent. It is a thin coat of that: what a loop is for stands in
 * worker/async.c. */

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/clock.h"
#include "worker/async.h"

struct AsyncEvent {
        struct event event;
        AsyncFunction *function;
        void *context;
};

static struct event_base *base;

static int loop_open(void)
{
        base = event_base_new();
        return base ? 0 : -ENOMEM;
}

static struct event_base *loop_base(void)
{
        return base;
}

static void on_event(evutil_socket_t fd, short what, void *context)
{
        AsyncEvent *e = context;

        e->function(e->context); /* which may drop it */
}

static AsyncEvent *add(evutil_socket_t fd, short what, int64_t usec, AsyncFunction *function,
                       void *context)
{
        struct timeval t = { (time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC) };
        AsyncEvent *e = calloc(1, sizeof(*e));

        if (!e)
                return NULL;
        e->function = function;
        e->context = context;
        if (event_assign(&e->event, base, fd, what, on_event, e) < 0 ||
            event_add(&e->event, usec < 0 ? NULL : &t) < 0) {
                free(e);
                return NULL;
        }
        return e;
}

static AsyncEvent *loop_watch(int fd, int what, int64_t usec, bool stays, AsyncFunction *function,
                              void *context)
{
        int events = (what & BROOD_ASYNC_READ ? EV_READ : 0) |
                     (what & BROOD_ASYNC_WRITE ? EV_WRITE : 0) | (stays ? EV_PERSIST : 0);

        return add(fd, (short)events, usec, function, context);
}

static AsyncEvent *loop_watch_signal(int number, AsyncFunction *function, void *context)
{
        return add(number, EV_SIGNAL | EV_PERSIST, -1, function, context);
}

static void loop_activate(AsyncEvent *e)
{
        event_active(&e->event, EV_TIMEOUT, 1);
}

static void loop_drop(AsyncEvent *e)
{
        (void)event_del(&e->event);
        free(e);
}

static int loop_run(void)
{
        return event_base_dispatch(base) < 0 ? -EIO : 0;
}

static void loop_stop(void)
{
        (void)event_base_loopbreak(base);
}

static void loop_close(void)
{
        event_base_free(base);
        base = NULL;
}

__attribute__((visibility("default"))) extern const AsyncLoop brood_async_loop;
const AsyncLoop brood_async_loop = {
        .abi = ASYNC_LOOP_ABI,
        .open = loop_open,
        .base = loop_base,
        .watch = loop_watch,
        .watch_signal = loop_watch_signal,
        .activate = loop_activate,
        .drop = loop_drop,
        .run = loop_run,
        .stop = loop_stop,
        .close = loop_close,
};
