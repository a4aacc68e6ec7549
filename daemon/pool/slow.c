/* SPDX-License-Identifier: MIT */

/* Between the question and its answer the job may end, and its worker too: what the line is about
 * is kept as copies. A line of the log is one line, so the stack is told as the names of its
 * frames, from the innermost on. */

#include "pool/slow.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/parse.h"
#include "pool/fields.h"
#include "pool/pools.h"

enum { MOST_THREADS = 16, MOST_FRAMES = 48, MOST_TEXT = 3500 };

/* A look into a worker that is on its way. */
typedef struct Slow {
        char worker[80];
        char *pool, *handler;
        Uuid job;
        uint32_t attempt, user;
        usec_t after; /* SlowAfter=, as it was */
        pid_t pid;
} Slow;

static void slow_free(Slow *s)
{
        free(s->pool);
        free(s->handler);
        free(s);
}

DEFINE_CLEANUP(Slow, slow_free);

static int slow_new(Slow **ret, const Slot *slot, const Job *job)
{
        AUTO(slow_free) Slow *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        (void)snprintf(s->worker, sizeof(s->worker), "%s", slot->worker->name);
        s->pool = strdup(job->pool->name);
        s->handler = strdup(job->handler->name);
        if (!s->pool || !s->handler)
                return -ENOMEM;
        s->job = job->id;
        s->attempt = job->attempt;
        s->user = job->uid;
        s->after = slot->worker->pool->settings->slow_after;
        s->pid = slot->worker->pid;
        *ret = MOVE_PTR(s);
        return 0;
}

/* --- the line --- */

/* "__nanosleep < sleep_run < brood_run < main" */
static void append_frames(Buffer *b, const json_t *frames)
{
        const json_t *frame;
        size_t i;

        json_array_foreach(frames, i, frame)
        {
                const char *name = json_string_value(json_object_get(frame, "name"));

                if (!name)
                        name = json_string_value(json_object_get(frame, "address"));
                if (i >= MOST_FRAMES || buffer_len(b) > MOST_TEXT)
                        break;
                buffer_printf(b, "%s%s", i ? " < " : "", name ? name : "?");
        }
}

static void append_stack(Buffer *b, const json_t *stack)
{
        const json_t *threads = json_object_get(stack, "threads"), *thread;
        size_t i;

        json_array_foreach(threads, i, thread)
        {
                if (i >= MOST_THREADS || buffer_len(b) > MOST_TEXT)
                        break;
                buffer_printf(b, "%s%lld: ", i ? "; thread " : "thread ",
                              (long long)json_integer_value(json_object_get(thread, "tid")));
                append_frames(b, json_object_get(thread, "frames"));
        }
}

/* The stack in words or, where there is none, why. */
static void describe(Buffer *b, Slice report, const char *error)
{
        json_t *root = error ? NULL : json_loadb(report.data, report.len, 0, NULL);
        const json_t *stack = json_object_get(root, "stack");
        const char *why = json_string_value(json_object_get(stack, "error"));

        if (error)
                why = error;
        append_stack(b, stack);
        if (!buffer_len(b))
                buffer_printf(b, "its stack can not be told: %s", why ? why : "there is none");
        else if (why)
                buffer_printf(b, " (%s)", why);
        json_decref(root);
}

static void tell(const Slow *s, Slice report, const char *error)
{
        AUTO(buffer_fini) Buffer stack = BUFFER_INIT;
        const LogFields fields = { .id = MESSAGE_JOB_SLOW,
                                   .pool = s->pool,
                                   .worker = s->worker,
                                   .handler = s->handler,
                                   .job = &s->job,
                                   .attempt = s->attempt,
                                   .user = &s->user };
        char span[64];

        describe(&stack, report, error);
        log_event(&fields, LEVEL_WARNING,
                  "worker=%s pid=%d: attempt %u of job=%s handler=%s runs longer than "
                  "SlowAfter=%s; %.*s",
                  s->worker, (int)s->pid, s->attempt, uuid_text(&s->job).text, s->handler,
                  format_span(s->after, span, sizeof(span)), (int)buffer_len(&stack),
                  buffer_len(&stack) ? buffer_bytes(&stack) : "");
}

static void on_done(void *context, Slice report, const char *error)
{
        Slow *s = context;

        tell(s, report, error);
        slow_free(s);
}

/* --- when --- */

static void look(Slot *slot, const Job *job)
{
        AUTO(slow_free) Slow *s = NULL;
        InspectionOrder order = { .only_stack = true, .user = INSPECTION_SLOW, .done = on_done };
        Inspection *unneeded; /* nobody takes it back */
        int r = slow_new(&s, slot, job);

        if (r < 0)
                return; /* without memory there is nothing to be told with */
        order.context = s;
        r = inspector_ask(&slot->worker->pool->pools->inspector, slot->worker, &order, &unneeded);
        if (r == 0)
                s = NULL; /* on_done() has it */
        else
                tell(s, (Slice){ NULL, 0 },
                     r < 0 ? strerror(-r) : "too many other workers are being inspected");
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        Slot *slot = context;
        const Job *job = slot->count ? slot_job(slot, 0) : NULL;

        slot->slow_armed = false;
        if (!job)
                return;
        job->handler->slow++;
        look(slot, job);
}

void slow_init(Slot *slot, struct event_base *base)
{
        evtimer_assign(&slot->slow, base, on_timer, slot);
}

void slow_arm(Slot *slot)
{
        usec_t after = slot->worker->pool->settings->slow_after;
        struct timeval t = { (time_t)(after / USEC_PER_SEC), (suseconds_t)(after % USEC_PER_SEC) };

        if (after != USEC_INFINITY)
                slot->slow_armed = evtimer_add(&slot->slow, &t) == 0;
}

void slow_disarm(Slot *slot)
{
        slot->slow_armed = false;
        (void)event_del(&slot->slow);
}
