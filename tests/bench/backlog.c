/* SPDX-License-Identifier: MIT */

#include "backlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pinger.h"
#include "pump.h"
#include "resident.h"

enum {
        IN_FLIGHT = 64,
        BATCH = 1000,      /* jobs of a SubmitMany while filling up */
        STEP = 1000,       /* jobs that are run, and submitted, at a time; no size is smaller */
        MAX_STEPS = 10000, /* with each daemon */
        STILL_NS = 2000 * 1000,
        STILL_LOOKS = 3,
};

enum { PHASE_FILL = 1, PHASE_SUBMIT, PHASE_DISPATCH };

#define POOL_CALL(verb) "{\"method\":\"io.brood." verb "Pool\",\"parameters\":{\"pool\":\"noop\"}}"
#define STATUS "{\"method\":\"io.brood.Status\"}"

typedef struct Id {
        char text[36];
} Id;

/* Jobs, and the time that they took. */
typedef struct Rate {
        long jobs;
        uint64_t ns;
} Rate;

/* One daemon, and the jobs that wait in it: a ring, oldest first. */
typedef struct Backlog {
        Id *ids;
        long room, first, count;
        long empty; /* the daemon's resident bytes with no job */
        Rate submitted, ran;
        Wire *control, *results;
        Pump fill, submit;
        Pinger *pinger;
} Backlog;

static const char *find(const char *text, size_t size, const char *part)
{
        const char *p = memmem(text, size, part, strlen(part));

        if (p)
                return p + strlen(part);
        expect(text, size, part);
        return NULL;
}

static void add_id(Backlog *b, const char *text)
{
        memcpy(b->ids[(b->first + b->count++) % b->room].text, text, sizeof(Id));
}

static void hear_id(void *context, const char *reply, size_t size)
{
        add_id(context, find(reply, size, "\"id\":\""));
}

static void hear_ids(void *context, const char *reply, size_t size)
{
        const char *p = find(reply, size, "\"ids\":[");

        for (; *p == '"'; p += p[sizeof(Id) + 2] == ',' ? sizeof(Id) + 3 : sizeof(Id) + 2)
                add_id(context, p + 1);
}

/* --- what the daemon says of itself --- */

static long number(const char *text, size_t size, const char *name)
{
        return strtol(find(text, size, name), NULL, 10);
}

/* Jobs that wait; -1 while one runs, or a worker has some. */
static long queued(Backlog *b)
{
        size_t size;
        const char *status = wire_call(b->control, STATUS, &size);
        const char *jobs = find(status, size, "\"jobs\":{");
        size_t rest = size - (size_t)(jobs - status);

        if (number(status, size, "\"busy\":") || number(jobs, rest, "\"running\":"))
                return -1;
        return number(jobs, rest, "\"queued\":");
}

/* When the pool is paused what was on its way goes on: until nothing changes any more. */
static long queued_when_still(Backlog *b)
{
        struct timespec pause = { .tv_nsec = STILL_NS };
        long n, last = -1;

        for (int looks = 0; looks < STILL_LOOKS; last = n) {
                (void)nanosleep(&pause, NULL);
                n = queued(b);
                looks = n >= 0 && n == last ? looks + 1 : 0;
        }
        return last;
}

/* --- the phases --- */

static void run_phase(Backlog *b, unsigned phase, Pump *pump, long calls, Rate *rate)
{
        long before = b->count;
        uint64_t begin = now_ns();

        pinger_phase(b->pinger, phase);
        pump_run(pump, calls);
        pinger_phase(b->pinger, 0);
        rate->ns += now_ns() - begin;
        rate->jobs += b->count - before;
}

static void fill_up(Backlog *b, Rate *rate)
{
        run_phase(b, PHASE_FILL, &b->fill, b->room / BATCH, rate);
        run_phase(b, PHASE_FILL, &b->submit, b->room - b->count, rate);
}

static void ask_to_wait(Backlog *b, long i)
{
        char call[160];
        int n = snprintf(call, sizeof(call),
                         "{\"method\":\"io.brood.Wait\",\"parameters\":{\"id\":\"%.36s\"}}",
                         b->ids[(b->first + i) % b->room].text);

        wire_send(b->results, call, (size_t)n + 1);
}

/* Reads the end of a job: the time of that name, as the daemon took it. */
static long hear_end(Backlog *b, const char *time)
{
        size_t size;
        const char *reply = wire_next(b->results, &size);

        expect_success(NULL, reply, size);
        return number(reply, size, time);
}

static void order(Backlog *b, const char *call)
{
        size_t size;
        const char *reply = wire_call(b->control, call, &size);

        expect(reply, size, "\"parameters\":{}");
}

/* The oldest jobs run, STEP of them or some more. Their time is from the start of the first to the
 * end of the last by the daemon's own clock: we may be woken late, as all CPUs are busy. */
static void dispatch(Backlog *b, Rate *rate)
{
        long begin, left;

        ask_to_wait(b, 0);
        ask_to_wait(b, STEP - 1);
        pinger_phase(b->pinger, PHASE_DISPATCH);
        order(b, POOL_CALL("Resume"));
        begin = hear_end(b, "\"started_usec\":");
        rate->ns += (uint64_t)(hear_end(b, "\"ended_usec\":") - begin) * 1000;
        rate->jobs += STEP;
        order(b, POOL_CALL("Pause"));
        left = queued_when_still(b);
        pinger_phase(b->pinger, 0);
        b->first = (b->first + b->count - left) % b->room;
        b->count = left;
}

/* --- figures --- */

static void print_phase(Backlog *b, const char *what, unsigned phase, Rate rate)
{
        char name[64];

        (void)snprintf(name, sizeof(name), "%ld/%s", b->room, what);
        printf("%s %.0f jobs/s\n", name, (double)rate.jobs * 1e9 / (double)rate.ns);
        pinger_print(b->pinger, phase, name);
}

static void print_memory(const Backlog *b)
{
        long now = resident_bytes(b->control->fd);

        if (now < 0)
                die("the daemon's memory");
        printf("%ld/rss-per-job %.0f B\n", b->room, (double)(now - b->empty) / (double)b->room);
}

static void backlog_init(Backlog *b, const CrewTask *task, const BacklogSize *size)
{
        *b = (Backlog){ .room = size->jobs, .ids = calloc((size_t)size->jobs, sizeof(*b->ids)) };
        if (!b->ids)
                die("calloc");
        b->control = wire_open(size->socket);
        b->results = wire_open(size->socket);
        pump_init(&b->fill, size->socket, call_submit_many(task, BATCH), 2, hear_ids, b);
        pump_init(&b->submit, size->socket, call_submit(task, false), IN_FLIGHT, hear_id, b);
        b->pinger = pinger_start(size->socket);
        b->empty = resident_bytes(b->control->fd);
        order(b, POOL_CALL("Pause"));
}

static void backlog_fini(Backlog *b)
{
        pinger_stop(b->pinger);
        pump_fini(&b->fill);
        pump_fini(&b->submit);
        wire_close(b->control);
        wire_close(b->results);
        free(b->ids);
}

static bool enough(const Backlog *b, double seconds)
{
        return (double)b->submitted.ns >= seconds * 1e9 && (double)b->ran.ns >= seconds * 1e9;
}

/* One step with each, again and again: what the machine does meanwhile is the same for all. */
static void measure_steps(Backlog *all, int n, double seconds)
{
        bool more = true;

        for (int step = 0; step < MAX_STEPS && more; step++) {
                more = false;
                for (Backlog *b = all; b < all + n; b++) {
                        dispatch(b, &b->ran);
                        run_phase(b, PHASE_SUBMIT, &b->submit, b->room - b->count, &b->submitted);
                        more |= !enough(b, seconds);
                }
        }
}

void measure_backlogs(const CrewTask *task, double seconds, const BacklogSize *sizes, int n)
{
        Backlog *all = calloc((size_t)n, sizeof(*all));

        if (!all)
                die("calloc");
        for (int i = 0; i < n; i++) {
                Rate filled = { 0 };

                backlog_init(&all[i], task, &sizes[i]);
                fill_up(&all[i], &filled);
                print_phase(&all[i], "fill", PHASE_FILL, filled);
                print_memory(&all[i]);
        }
        measure_steps(all, n, seconds);
        for (Backlog *b = all; b < all + n; b++) {
                print_phase(b, "submit", PHASE_SUBMIT, b->submitted);
                print_phase(b, "dispatch", PHASE_DISPATCH, b->ran);
                backlog_fini(b);
        }
        free(all);
}
