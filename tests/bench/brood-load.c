/* SPDX-License-Identifier: MIT */

/* Loads broodd and prints "metric value unit" lines, as the clients of its peers do.
 *
 * The text of every call is made before the clock starts, and of a reply only is looked at what
 * tells that the job succeeded, so that the figures are of the daemon and its workers and not of a
 * client library. A job carries the payload of the peers: handler, arguments, priority and a tag.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "wire.h"

enum {
        WINDOW = 64,            /* Submits in flight on a connection */
        BATCH = 100,            /* jobs in a SubmitMany */
        JOB_ROOM = 512,         /* bytes for one job or call */
        PAUSE_NS = 200 * 1000,  /* between the jobs of `latency` */
        BEGIN_NS = 2000 * 1000, /* for a worker to begin with a job */
};

#define JOB_FORMAT                                                                                 \
        "{\"handler\":\"%s\",\"args\":{\"n\":110.0},\"priority\":5,\"tags\":[\"abcdd\"],"          \
        "\"durability\":\"memory\"}"

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

static void expect(const char *message, size_t size, const char *part)
{
        if (contains(message, size, part))
                return;
        errno = 0;
        die("no %s in: %.*s", part, size > 2000 ? 2000 : (int)size, message);
}

static void expect_success(const char *message, size_t size)
{
        expect(message, size, "\"state\":\"succeeded\"");
}

static void pause_ns(long ns)
{
        struct timespec t = { .tv_nsec = ns };

        (void)nanosleep(&t, NULL);
}

/* --- pipe and sync: Submit with wait --- */

/* One call, with its NUL; returns its size. */
static size_t make_submit(char *text, size_t room, const char *handler)
{
        int n = snprintf(text, room,
                         "{\"method\":\"io.brood.Submit\",\"parameters\":{\"job\":" JOB_FORMAT
                         ",\"wait\":true}}",
                         handler);

        if (n < 0 || (size_t)n >= room)
                die("a handler's name of %zu bytes", strlen(handler));
        return (size_t)n + 1;
}

/* Takes the replies that are there; returns how many. */
static long take_results(Wire *w)
{
        const char *message;
        size_t size;
        long n = 0;

        wire_fill(w);
        for (; (message = wire_take(w, &size)); n++)
                expect_success(message, size);
        return n;
}

static void run_pipe(const CrewTask *task, long jobs)
{
        static char calls[WINDOW * JOB_ROOM];
        size_t size = make_submit(calls, JOB_ROOM, task->handler);
        long sent = 0, room = WINDOW;
        Wire *w = wire_open(task->socket);

        for (size_t i = 1; i < WINDOW; i++)
                memcpy(calls + i * size, calls, size);
        crew_wait();
        for (long done = 0; done < jobs;) {
                long more = jobs - sent < room ? jobs - sent : room;
                long got;

                wire_send(w, calls, (size_t)more * size);
                sent += more;
                got = take_results(w);
                done += got;
                room = got;
        }
        wire_close(w);
}

static void run_sync(const CrewTask *task, long jobs)
{
        char call[JOB_ROOM];
        Wire *w = wire_open(task->socket);
        size_t size;

        (void)make_submit(call, sizeof(call), task->handler);
        crew_wait();
        while (jobs--) {
                const char *reply = wire_call(w, call, &size);

                expect_success(reply, size);
        }
        wire_close(w);
}

/* --- many: SubmitMany on one connection, WaitMany on another --- */

typedef struct Many {
        Wire *submit;
        Wire *results;
        char *call; /* SubmitMany of a whole batch, with its NUL */
        size_t call_size;
        const CrewTask *task;
        long to_submit, submitted, ended;
} Many;

/* SubmitMany of n jobs, with its NUL; returns its size. */
static size_t make_submit_many(char *text, const char *handler, long n)
{
        char *p = stpcpy(text, "{\"method\":\"io.brood.SubmitMany\",\"parameters\":{\"jobs\":[");

        for (long i = 0; i < n; i++) {
                int size = snprintf(p, JOB_ROOM, "%s" JOB_FORMAT, i ? "," : "", handler);

                if (size < 0 || size >= JOB_ROOM)
                        die("a handler's name of %zu bytes", strlen(handler));
                p += size;
        }
        p = stpcpy(p, "]}}");
        return (size_t)(p - text) + 1;
}

static void submit_batch(Many *m)
{
        long n = m->to_submit < BATCH ? m->to_submit : BATCH;

        if (n == 0)
                return;
        if (n < BATCH)
                m->call_size = make_submit_many(m->call, m->task->handler, n);
        wire_send(m->submit, m->call, m->call_size);
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
        m->ended += take_results(m->results);
        while (m->to_submit && m->submitted - m->ended <= BATCH)
                submit_batch(m);
}

static void run_many(const CrewTask *task, long jobs)
{
        Many m = { .task = task, .to_submit = jobs };
        struct pollfd p[2];

        m.submit = wire_open(task->socket);
        m.results = wire_open(task->socket);
        m.call = malloc((BATCH + 1) * JOB_ROOM);
        if (!m.call)
                die("malloc");
        m.call_size = make_submit_many(m.call, task->handler, BATCH);
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
        printf("%s/p50 %.2f us\n", name, (double)times[n / 2] / 1e3);
        printf("%s/p99 %.2f us\n", name, (double)times[n * 99 / 100] / 1e3);
        printf("%s/max %.2f us\n", name, (double)times[n - 1] / 1e3);
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
        expect_success(reply, size);
        return end - begin;
}

static void measure_latency(const char *socket, const char *handler, long n)
{
        uint64_t *times = new_times(n);
        char call[JOB_ROOM];
        Wire *w = wire_open(socket);

        (void)make_submit(call, sizeof(call), handler);
        for (long i = 0; i < n; i++) {
                times[i] = time_call(w, call);
                pause_ns(PAUSE_NS);
        }
        print_times("latency/submit-result", times, n);
        wire_close(w);
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

static void measure_kill(const char *socket, long n)
{
        uint64_t *idle = new_times(n), *busy = new_times(n);
        Wire *w = wire_open(socket), *other = wire_open(socket);

        for (long i = 0; i < n; i++) {
                idle[i] = kill_idle(w);
                while (!kill_busy(w, other, &busy[i]))
                        ;
        }
        print_times("kill/idle", idle, n);
        print_times("kill/busy", busy, n);
        wire_close(w);
        wire_close(other);
        free(idle);
        free(busy);
}

/* --- command line --- */

static void load(const char *name, CrewTask task, long processes, long workers, long jobs)
{
        double seconds = crew_run((unsigned)processes, jobs, &task);

        printf("noop/memory/%s/p%ld/w%ld %.0f jobs/s\n", name, processes, workers,
               (double)jobs / seconds);
}

static int usage(void)
{
        (void)fputs("usage: brood-load pipe SOCKET PROCESSES WORKERS JOBS [HANDLER]\n"
                    "       brood-load many SOCKET PROCESSES JOBS [HANDLER]\n"
                    "       brood-load sync SOCKET JOBS [HANDLER]\n"
                    "       brood-load latency SOCKET JOBS [HANDLER]\n"
                    "       brood-load kill SOCKET KILLS\n"
                    "WORKERS is only printed: the pool file says how many there are.\n"
                    "kill needs a pool `kill` with the handler sleep, one worker and one spare.\n",
                    stderr);
        return 2;
}

/* The numbers between the socket and the handler; each is at least 1. */
static bool read_numbers(char **argv, int n, long *numbers)
{
        for (int i = 0; i < n; i++) {
                char *end;

                numbers[i] = strtol(argv[i], &end, 10);
                if (*end || numbers[i] < 1 || numbers[i] > 1000000000)
                        return false;
        }
        return true;
}

int main(int argc, char **argv)
{
        static const struct {
                const char *mode;
                int numbers;
        } modes[] = {
                { "pipe", 3 }, { "many", 2 }, { "sync", 1 }, { "latency", 1 }, { "kill", 1 }
        };
        const char *mode = argc > 3 ? argv[1] : "";
        CrewTask task = { .handler = "echo" };
        int n = 0;
        long v[3];

        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
                if (strcmp(mode, modes[i].mode) == 0)
                        n = modes[i].numbers;
        if (n == 0 || argc < 3 + n || argc > 4 + n || !read_numbers(argv + 3, n, v))
                return usage();
        task.socket = argv[2];
        if (argc > 3 + n)
                task.handler = argv[3 + n];
        if (mode[0] == 'p') {
                task.run = run_pipe;
                load("pipe", task, v[0], v[1], v[2]);
        } else if (mode[0] == 'm') {
                task.run = run_many;
                load("many", task, v[0], 2, v[1]);
        } else if (mode[0] == 's') {
                task.run = run_sync;
                load("sync", task, 1, 2, v[0]);
        } else if (mode[0] == 'l') {
                measure_latency(task.socket, task.handler, v[0]);
        } else {
                measure_kill(task.socket, v[0]);
        }
        return 0;
}
