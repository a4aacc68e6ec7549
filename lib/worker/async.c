/* SPDX-License-Identifier: MIT */

#pragma GCC visibility push(default)
#include "brood/async.h"
#pragma GCC visibility pop

#include "worker/async.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "worker/crash.h"
#include "worker/worker.h"

/* Something that a job waits for. */
typedef struct Wait {
        List link;     /* AsyncSlot.waits; alone: its job has completed */
        List in_children;
        WorkerSlot *slot;
        AsyncEvent *event; /* NULL: of a child */
        BroodAsyncCallback callback;
        BroodAsyncChild on_child;
        void *context;
        pid_t pid; /* 0: no child */
} Wait;

/* There is one loop in a process, and so one of these. */
static const AsyncLoop *loop;
static List children = LIST_INIT(children);
static AsyncEvent *on_child_signal;

static WorkerSlot *slot_of(BroodJob *job)
{
        return CONTAINER_OF(job, WorkerSlot, job);
}

/* --- the end of a job --- */

/* A child is still to be reaped. */
static void forget(Wait *w)
{
        list_remove(&w->link);
        if (w->event)
                loop->drop(w->event);
        w->event = NULL;
        if (!w->pid)
                free(w);
}

static bool is_over(const Worker *w)
{
        for (unsigned i = 0; i < w->n_slots; i++)
                if (w->slots[i].async.event || w->slots[i].async.speed)
                        return false;
        return true;
}

static void finish(WorkerSlot *s)
{
        HandlerSpeed *speed = s->async.speed;
        Wait *w, *next;

        LIST_FOREACH_SAFE(&s->async.waits, w, next, link)
                forget(w);
        s->async.on_cancel = NULL;
        s->async.done = false;
        s->async.speed = NULL;
        worker_slot_finish(s, speed, s->async.began);
}

/* In a turn of its own: it may be in anybody's callback that the last job has completed. */
static void go_on(WorkerSlot *s)
{
        if (worker_slot_flush(s) < 0)
                worker_end_slots(s->worker);
        if (s->async.event)
                loop->activate(s->async.event);
        else if (is_over(s->worker))
                loop->stop();
}

void brood_job_complete(BroodJob *job)
{
        WorkerSlot *s = slot_of(job);

        if (!loop || !s->async.speed)
                return;
        if (s->async.depth) {
                s->async.done = true; /* the callback may still look at it */
                return;
        }
        finish(s);
        go_on(s);
}

/* --- callbacks --- */

/* Whatever happens up to async_leave() is of this slot. */
static SlotPage *async_enter(WorkerSlot *s)
{
        s->async.depth++;
        return crash_blame(s->page);
}

static bool async_leave(WorkerSlot *s, SlotPage *before)
{
        (void)crash_blame(before);
        if (--s->async.depth == 0 && s->async.done)
                return true;
        worker_end_if_forked(s); /* the end of the job looks, too */
        return false;
}

static void call(WorkerSlot *s, BroodAsyncCallback callback, void *context)
{
        SlotPage *before = async_enter(s);

        callback(&s->job, context);
        if (!async_leave(s, before))
                return;
        finish(s);
        go_on(s);
}

static void on_event(void *context)
{
        Wait *w = context;
        WorkerSlot *s = w->slot;
        BroodAsyncCallback callback = w->callback;
        void *theirs = w->context;

        forget(w);
        call(s, callback, theirs);
}

static int new_wait(BroodJob *job, Wait **ret)
{
        Wait *w;

        if (!loop)
                return -ENOTSUP;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->slot = slot_of(job);
        list_init(&w->link);
        list_init(&w->in_children);
        *ret = w;
        return 0;
}

static int wait_for(BroodJob *job, int fd, int what, int64_t usec, BroodAsyncCallback callback,
                    void *context)
{
        Wait *w;
        int r = new_wait(job, &w);

        if (r < 0)
                return r;
        w->callback = callback;
        w->context = context;
        w->event = loop->watch(fd, what, usec, false, on_event, w);
        if (!w->event) {
                free(w);
                return -ENOMEM;
        }
        list_append(&w->slot->async.waits, &w->link);
        return 0;
}

int brood_async_after(BroodJob *job, int64_t usec, BroodAsyncCallback callback, void *context)
{
        return usec < 0 ? -EINVAL : wait_for(job, -1, 0, usec, callback, context);
}

int brood_async_fd(BroodJob *job, int fd, int what, BroodAsyncCallback callback, void *context)
{
        if (fd < 0 || what < BROOD_ASYNC_READ || what > (BROOD_ASYNC_READ | BROOD_ASYNC_WRITE))
                return -EINVAL;
        return wait_for(job, fd, what, -1, callback, context);
}

struct event_base *brood_async_base(void)
{
        return loop ? loop->base() : NULL;
}

/* --- children --- */

static void child_ended(Wait *w, int status)
{
        WorkerSlot *s = w->slot;
        bool waited_for = !list_empty(&w->link);
        SlotPage *before;

        list_remove(&w->in_children);
        list_remove(&w->link);
        if (waited_for) {
                before = async_enter(s);
                w->on_child(&s->job, w->pid, status, w->context);
                if (async_leave(s, before)) {
                        finish(s);
                        go_on(s);
                }
        }
        free(w);
}

/* One after the other: a callback may start more, or forget some. */
static void on_child(void *context)
{
        List seen = LIST_INIT(seen);

        list_splice(&seen, &children);
        while (!list_empty(&seen)) {
                Wait *w = CONTAINER_OF(seen.next, Wait, in_children);
                int status;
                pid_t pid = waitpid(w->pid, &status, WNOHANG);

                list_remove(&w->in_children);
                if (pid == 0) {
                        list_append(&children, &w->in_children);
                        continue;
                }
                child_ended(w, pid < 0 ? 0 : status); /* < 0: somebody else has reaped it */
        }
}

int brood_async_child(BroodJob *job, pid_t pid, BroodAsyncChild callback, void *context)
{
        Wait *w;
        int r;

        if (pid <= 0)
                return -EINVAL;
        if (loop && !on_child_signal)
                on_child_signal = loop->watch_signal(SIGCHLD, on_child, NULL);
        if (loop && !on_child_signal)
                return -ENOMEM;
        r = new_wait(job, &w);
        if (r < 0)
                return r;
        w->pid = pid;
        w->on_child = callback;
        w->context = context;
        list_append(&w->slot->async.waits, &w->link);
        list_append(&children, &w->in_children);
        loop->activate(on_child_signal); /* it may have ended already */
        return 0;
}

/* --- cancels --- */

void async_wake(Worker *w)
{
        if (w->loop)
                (void)eventfd_write(w->wake_fd, 1);
}

int brood_async_on_cancel(BroodJob *job, BroodAsyncCallback callback, void *context)
{
        WorkerSlot *s = slot_of(job);

        if (!loop)
                return -ENOTSUP;
        s->async.on_cancel = callback;
        s->async.cancel_context = context;
        if (brood_job_cancelled(job))
                async_wake(s->worker);
        return 0;
}

static void on_wake(void *context)
{
        Worker *w = context;
        eventfd_t count;

        (void)eventfd_read(w->wake_fd, &count);
        for (unsigned i = 0; i < w->n_slots; i++) {
                AsyncSlot *a = &w->slots[i].async;
                BroodAsyncCallback callback = a->on_cancel;

                if (!a->speed || !callback || !brood_job_cancelled(&w->slots[i].job))
                        continue;
                a->on_cancel = NULL;
                call(&w->slots[i], callback, a->cancel_context);
        }
}

/* --- slots --- */

/* What it needs while it is in flight is its own. */
static bool keep_args(WorkerSlot *s)
{
        Buffer *b = &s->async.args;

        buffer_clear(b, 64 * 1024);
        buffer_append(b, s->job.args.data, s->job.args.len);
        s->job.args = buffer_slice(b);
        return !b->failed;
}

void async_start(WorkerSlot *s, HandlerSpeed *speed)
{
        SlotPage *before;

        s->async.speed = speed;
        s->async.began = clock_monotonic();
        if (!keep_args(s)) {
                (void)job_fail_kind(&s->job, NULL, 1, NULL, "no memory for the arguments");
                finish(s);
                return;
        }
        before = async_enter(s);
        if (speed->handler->start(&s->job) != 0 && !s->async.done) {
                if (!s->job.failed)
                        (void)job_fail_kind(&s->job, NULL, 1, NULL,
                                            "the handler failed without saying why");
                s->async.done = true;
        }
        if (async_leave(s, before))
                finish(s); /* whoever reads the connection goes on */
}

static void on_readable(void *context)
{
        WorkerSlot *s = context;
        int r = worker_slot_turn(s);

        if (r > 0)
                return;
        if (r < 0)
                atomic_store(&s->worker->error, r);
        loop->drop(s->async.event);
        s->async.event = NULL;
        worker_end_slots(s->worker); /* no slot goes on without the others */
        if (is_over(s->worker))
                loop->stop();
}

void async_slot_fini(WorkerSlot *s)
{
        Wait *w, *next;

        if (!loop)
                return;
        LIST_FOREACH_SAFE(&s->async.waits, w, next, link)
                forget(w);
        buffer_fini(&s->async.args);
}

static int open_loop(Worker *w)
{
        int r = w->loop->open();

        if (r < 0)
                return r;
        loop = w->loop;
        w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->wake_fd < 0)
                return -errno;
        w->wake_event = loop->watch(w->wake_fd, BROOD_ASYNC_READ, -1, true, on_wake, w);
        for (unsigned i = 0; w->wake_event && i < w->n_slots; i++) {
                WorkerSlot *s = &w->slots[i];

                s->async.event = loop->watch(s->fd, BROOD_ASYNC_READ, -1, true, on_readable, s);
                if (!s->async.event)
                        return -ENOMEM;
        }
        return w->wake_event ? 0 : -ENOMEM;
}

static void close_loop(Worker *w)
{
        Wait *one, *next;

        LIST_FOREACH_SAFE(&children, one, next, in_children) {
                list_remove(&one->in_children);
                one->pid = 0;
                forget(one);
        }
        if (on_child_signal)
                loop->drop(on_child_signal);
        if (w->wake_event)
                loop->drop(w->wake_event);
        w->wake_fd = fd_close(w->wake_fd);
        loop->close();
        loop = NULL;
}

int async_serve(Worker *w)
{
        int r;

        for (unsigned i = 0; i < w->n_slots; i++)
                list_init(&w->slots[i].async.waits);
        r = open_loop(w);
        if (r == 0)
                r = watch_start(w);
        if (r == 0) {
                r = loop->run();
                watch_stop(w);
        }
        for (unsigned i = 0; i < w->n_slots; i++)
                async_slot_fini(&w->slots[i]);
        if (loop)
                close_loop(w);
        return r;
}
