/* SPDX-License-Identifier: MIT */

/* Loads broodd and prints "metric value unit" lines, as the clients of its peers do; the metric is
 * `rate` where there is but one figure. */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backlog.h"
#include "crew.h"
#include "pump.h"
#include "wire.h"

enum {
        BATCH = 100,            /* jobs in a SubmitMany of `many` */
        PAUSE_NS = 200 * 1000,  /* between the jobs of `latency` */
        BEGIN_NS = 2000 * 1000, /* for a worker to begin with a job */
        MAX_SIZES = 8,          /* of `backlog`, and daemons */
};

/* The pool that `kill` needs, one worker and one spare, and the handler in it. */
#define KILL_WORKERS "{\"method\":\"io.brood.ListWorkers\",\"parameters\":{\"pool\":\"kill\"}}"
#define KILL_JOB                                                                                   \
        "{\"method\":\"io.brood.Submit\",\"parameters\":{\"job\":{\"handler\":\"sleep\","          \
        "\"args\":{\"seconds\":0},\"durability\":\"memory\"},\"wait\":true}}"
#define KILL_LONG_JOB                                                                              \
        "{\"method\":\"io.brood.Submit\",\"parameters\":{\"job\":{\"handler\":\"sleep\","          \
        "\"args\":{\"seconds\":2},\"durability\":\"memory\",\"max_attempts\":1},\"wait\":true}}"

static bool contains(const char *message, size_t size, const char *part)
{
        return memmem(message, size, part, strlen(part)) != NULL;
}

static void pause_ns(long ns)
{
        struct timespec t = { .tv_nsec = ns };

        (void)nanosleep(&t, NULL);
}

/* --- pipe, submit, batch: calls in flight on one connection --- */

static void run_calls(const CrewTask *task, char *call, long calls, long window, PumpReply reply)
{
        Pump p;

        pump_init(&p, task->socket, call, window, reply, NULL);
        crew_wait();
        pump_run(&p, calls);
        pump_fini(&p);
}

static void run_pipe(const CrewTask *task, long jobs)
{
        run_calls(task, call_submit(task, true), jobs, task->in_flight, expect_success);
}

static void run_submit(const CrewTask *task, long jobs)
{
        run_calls(task, call_submit(task, false), jobs, task->in_flight, expect_id);
}

static void run_batch(const CrewTask *task, long jobs)
{
        run_calls(task, call_submit_many(task, task->in_flight), jobs / task->in_flight, 1,
                  expect_ids);
}

/* --- many: SubmitMany on one connection, WaitMany on another --- */

typedef struct Many {
        Wire *submit;
        Wire *results;
        char *call; /* SubmitMany of a whole batch */
        const CrewTask *task;
        long to_submit, submitted, ended;
} Many;

static void submit_batch(Many *m)
{
        long n = m->to_submit < BATCH ? m->to_submit : BATCH;

        if (n == 0)
                return;
        if (n < BATCH) {
                free(m->call);
                m->call = call_submit_many(m->task, n);
        }
        wire_send(m->submit, m->call, strlen(m->call) + 1);
        m->to_submit -= n;
        m->submitted += n;
}

/* The list of ids goes as it came from the reply of SubmitMany into a call of WaitMany. */
static void ask_for_results(Many *m, const char *reply, size_t size)
{
        static const char head[] =
                "{\"method\":\"io.brood.WaitMany\",\"more\":true,\"parameters\":{";
        static char call[sizeof(head) + BATCH * 40 + 32];
        const char *ids = memmem(reply, size, "\"ids\":[", 7);
        const char *end = ids ? memchr(ids, ']', size - (size_t)(ids - reply)) : NULL;
        char *p = call;

        expect(reply, size, "\"ids\":[");
        if (!end || (size_t)(end + 1 - ids) > BATCH * 40 + 16)
                die("a list of ids");
        p = stpcpy(p, head);
        p = mempcpy(p, ids, (size_t)(end + 1 - ids));
        p = stpcpy(p, "}}");
        wire_send(m->results, call, (size_t)(p - call) + 1);
}

static void hear_ids(Many *m)
{
        const char *message;
        size_t size;

        wire_fill(m->submit);
        while ((message = wire_take(m->submit, &size)))
                ask_for_results(m, message, size);
}

/* A batch goes out when another has ended: about two are in flight. */
static void hear_results(Many *m)
{
        const char *message;
        size_t size;

        wire_fill(m->results);
        for (; (message = wire_take(m->results, &size)); m->ended++)
                expect_success(NULL, message, size);
        while (m->to_submit && m->submitted - m->ended <= BATCH)
                submit_batch(m);
}

static void run_many(const CrewTask *task, long jobs)
{
        Many m = { .task = task, .to_submit = jobs };
        struct pollfd p[2];

        m.submit = wire_open(task->socket);
        m.results = wire_open(task->socket);
        m.call = call_submit_many(task, BATCH);
        p[0] = (struct pollfd){ .fd = m.submit->fd, .events = POLLIN };
        p[1] = (struct pollfd){ .fd = m.results->fd, .events = POLLIN };
        crew_wait();
        submit_batch(&m);
        submit_batch(&m);
        while (m.ended < jobs) {
                if (poll(p, 2, -1) < 0)
                        die("poll");
                if (p[0].revents)
                        hear_ids(&m);
                if (p[1].revents)
                        hear_results(&m);
        }
        free(m.call);
        wire_close(m.submit);
        wire_close(m.results);
}

/* --- latency and kill: one job at a time, each timed --- */

static int compare_times(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static void print_times(const char *name, uint64_t *times, long n)
{
        qsort(times, (size_t)n, sizeof(*times), compare_times);
        printf("%sp50 %.2f us\n", name, (double)times[n / 2] / 1e3);
        printf("%sp99 %.2f us\n", name, (double)times[n * 99 / 100] / 1e3);
        printf("%smax %.2f us\n", name, (double)times[n - 1] / 1e3);
}

static uint64_t *new_times(long n)
{
        uint64_t *times = calloc((size_t)n, sizeof(*times));

        if (!times)
                die("calloc");
        return times;
}

static uint64_t time_call(Wire *w, const char *call)
{
        uint64_t begin = now_ns(), end;
        const char *reply;
        size_t size;

        reply = wire_call(w, call, &size);
        end = now_ns();
        expect_success(NULL, reply, size);
        return end - begin;
}

static void measure_latency(const CrewTask *task, long n)
{
        uint64_t *times = new_times(n);
        char *call = call_submit(task, true);
        Wire *w = wire_open(task->socket);

        for (long i = 0; i < n; i++) {
                times[i] = time_call(w, call);
                pause_ns(PAUSE_NS);
        }
        print_times("", times, n);
        wire_close(w);
        free(call);
        free(times);
}

/* The pid of a worker that is in this state, as the text of the JSON value says it; 0: there is
 * none. A worker's object has no object inside. */
static pid_t find_worker(const char *reply, size_t size, const char *state)
{
        const char *end = reply + size;
        const char *p = memmem(reply, size, "\"workers\":[", 11);

        expect(reply, size, "\"workers\":[");
        while (p && (p = memchr(p, '{', (size_t)(end - p)))) {
                const char *last = memchr(p, '}', (size_t)(end - p));
                const char *pid = last ? memmem(p, (size_t)(last - p), "\"pid\":", 6) : NULL;

                if (pid && contains(p, (size_t)(last - p), state))
                        return (pid_t)strtol(pid + 6, NULL, 10);
                p = last;
        }
        return 0;
}

/* Waits, 20 seconds at the most, for one worker in that state and a warm spare. */
static pid_t wait_for_worker(Wire *w, const char *state)
{
        for (int tries = 0; tries < 20000; tries++) {
                size_t size;
                const char *reply = wire_call(w, KILL_WORKERS, &size);
                pid_t pid = find_worker(reply, size, state);

                if (pid && find_worker(reply, size, "\"state\":\"spare\""))
                        return pid;
                pause_ns(1000 * 1000);
        }
        errno = 0;
        die("no worker with %s and a spare within 20 s", state);
}

/* From the signal to the answer of a job submitted right after it. */
static uint64_t kill_and_submit(Wire *w, pid_t pid)
{
        uint64_t begin = now_ns();

        if (kill(pid, SIGKILL) < 0)
                die("kill %d", (int)pid);
        (void)time_call(w, KILL_JOB);
        return now_ns() - begin;
}

static uint64_t kill_idle(Wire *w)
{
        return kill_and_submit(w, wait_for_worker(w, "\"state\":\"idle\""));
}

/* A worker counts as busy from when the job was written to it. One that dies before it has begun
 * leaves the job to its replacement, in front of ours: then there is nothing to measure. Returns
 * false, and after the 2 seconds that the job takes. */
static bool kill_busy(Wire *w, Wire *other, uint64_t *ret)
{
        const char *reply;
        uint64_t time;
        pid_t pid;
        size_t size;

        (void)wait_for_worker(w, "\"state\":\"idle\"");
        wire_send(other, KILL_LONG_JOB, sizeof(KILL_LONG_JOB));
        pid = wait_for_worker(w, "\"state\":\"busy\"");
        pause_ns(BEGIN_NS);
        time = kill_and_submit(w, pid);
        reply = wire_next(other, &size);
        if (contains(reply, size, "\"state\":\"succeeded\""))
                return false;
        expect(reply, size, "\"outcome\":\"worker_died\"");
        *ret = time;
        return true;
}

static void measure_kill(const CrewTask *task, long n)
{
        uint64_t *idle = new_times(n), *busy = new_times(n);
        Wire *w = wire_open(task->socket), *other = wire_open(task->socket);

        for (long i = 0; i < n; i++) {
                idle[i] = kill_idle(w);
                while (!kill_busy(w, other, &busy[i]))
                        ;
        }
        print_times("idle/", idle, n);
        print_times("busy/", busy, n);
        wire_close(w);
        wire_close(other);
        free(idle);
        free(busy);
}

/* --- command line --- */

static const struct {
        const char *name;
        void (*run)(const CrewTask *task, long jobs);     /* by each process of a crew */
        void (*measure)(const CrewTask *task, long jobs); /* or by this one, which prints itself */
} modes[] = {
        { "pipe", run_pipe, NULL },   { "submit", run_submit, NULL },
        { "batch", run_batch, NULL }, { "many", run_many, NULL },
        { "latency", NULL, measure_latency }, { "kill", NULL, measure_kill },
};

static int usage(void)
{
        (void)fputs(
                "usage: brood-load [OPTION...] MODE SOCKET JOBS\n"
                "       brood-load [OPTION...] backlog SECONDS {SOCKET SIZE}...\n"
                "  pipe      Submit, with the result     submit   without\n"
                "  batch     SubmitMany, one at a time   many     SubmitMany and WaitMany\n"
                "  latency   one job at a time           kill     workers are killed\n"
                "  --processes=N --in-flight=N --handler=NAME --durability=memory|fsync\n"
                "batch: JOBS is a multiple of --in-flight. kill: there is a pool `kill` with the\n"
                "handler sleep, one worker and one spare. backlog: a daemon for each size, with\n"
                "but the pool `noop`; sizes are at least 1000.\n",
                stderr);
        return 2;
}

static bool read_number(const char *text, long *ret)
{
        char *end;
        long n = strtol(text, &end, 10);

        if (*end || n < 1 || n > 1000000000)
                return false;
        *ret = n;
        return true;
}

static bool read_options(int argc, char **argv, CrewTask *task, long *processes)
{
        static const struct option options[] = {
                { "processes", required_argument, NULL, 'p' },
                { "in-flight", required_argument, NULL, 'f' },
                { "handler", required_argument, NULL, 'h' },
                { "durability", required_argument, NULL, 'd' },
                { 0 },
        };

        for (;;) {
                switch (getopt_long(argc, argv, "", options, NULL)) {
                case 'p':
                        if (!read_number(optarg, processes))
                                return false;
                        break;
                case 'f':
                        if (!read_number(optarg, &task->in_flight))
                                return false;
                        break;
                case 'h':
                        task->handler = optarg;
                        break;
                case 'd':
                        task->durability = optarg;
                        break;
                case -1:
                        return true;
                default:
                        return false;
                }
        }
}

static int backlogs(const CrewTask *task, char **arguments, int n)
{
        double seconds = strtod(arguments[0], NULL);
        BacklogSize sizes[MAX_SIZES];

        if (n < 1 || n > MAX_SIZES || seconds <= 0)
                return usage();
        for (int i = 0; i < n; i++) {
                sizes[i].socket = arguments[1 + 2 * i];
                if (!read_number(arguments[2 + 2 * i], &sizes[i].jobs) || sizes[i].jobs < 1000)
                        return usage();
        }
        measure_backlogs(task, seconds, sizes, n);
        return 0;
}

int main(int argc, char **argv)
{
        CrewTask task = { .handler = "echo", .durability = "memory", .in_flight = 64 };
        long processes = 1, jobs;
        char **a;

        if (!read_options(argc, argv, &task, &processes) || argc - optind < 3)
                return usage();
        a = argv + optind;
        if (strcmp(a[0], "backlog") == 0)
                return backlogs(&task, a + 1, (argc - optind - 2) / 2);
        task.socket = a[1];
        if (argc - optind != 3 || !read_number(a[2], &jobs))
                return usage();
        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
                if (strcmp(a[0], modes[i].name) != 0)
                        continue;
                task.run = modes[i].run;
                if (task.run)
                        printf("rate %.0f jobs/s\n",
                               (double)jobs / crew_run((unsigned)processes, jobs, &task));
                else
                        modes[i].measure(&task, jobs);
                return 0;
        }
        return usage();
}
