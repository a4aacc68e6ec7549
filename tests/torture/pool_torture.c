/* SPDX-License-Identifier: MIT */

/* Workers and fork servers of pools are SIGKILLed at random moments, while map, apply, imap and
 * apply_async run from several threads.
 *
 *     pool_torture [--kills=N] [--seed=N] [--method=spawn|fork|forkserver]
 *
 * Each task counts its executions itself, in shared memory, so nobody has to be believed. What has
 * to hold: every call returns; each task has one result, which is right or KILLED; one that is OK
 * ran at least once, and none ran more often than its retries allow; at the end no process and no
 * descriptor is left. */

#include <brood/pool.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TASKS = 1 << 24, BATCH = 150, CALLERS = 4, PATIENCE = 60 /* s */ };

/* --- in the worker --- */

static uint8_t *executions; /* of each task */

typedef struct Input {
        uint32_t task, spin;
} Input;

static int map_executions(BroodTask *task)
{
        const char *path = brood_task_input(task, NULL);
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                return brood_task_fail(task, "%s: %s", path, strerror(errno));
        executions = mmap(NULL, TASKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)close(fd);
        return executions == MAP_FAILED ? brood_task_fail(task, "mmap: %s", strerror(errno)) : 0;
}
BROOD_FUNCTION(map_executions)

static uint64_t answer(uint32_t task)
{
        return task * 2654435761ull + 17;
}

/* The answer, some of them with much behind it. */
static int count_and_answer(BroodTask *task)
{
        const Input *in = brood_task_input(task, NULL);
        static uint64_t words[32 * 1024];
        size_t n = in->task % 97 == 0 ? sizeof(words) : in->task % 5 == 0 ? 4096 : 8;

        (void)__atomic_add_fetch(&executions[in->task], 1, __ATOMIC_RELAXED);
        for (volatile uint32_t i = 0; i < in->spin; i++)
                ;
        words[0] = words[n / 8 - 1] = answer(in->task);
        return brood_task_result(task, words, n);
}
BROOD_FUNCTION(count_and_answer)

/* --- the program --- */

typedef struct Torture {
        BroodPool *pool;
        unsigned retries;
        bool over; /* atomic */
} Torture;

static uint32_t next_task; /* atomic */
static uint64_t n_ok, n_killed, n_calls, n_more; /* atomic; n_more: executions beyond the first */
static unsigned n_worker_kills, n_server_kills;
static uint64_t last_progress; /* atomic: seconds */

#define ADD(counter, n) ((void)__atomic_add_fetch(&(counter), (n), __ATOMIC_RELAXED))

static __thread uint64_t dice;

static uint32_t roll(uint32_t below)
{
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        return (uint32_t)(dice >> 11) % below;
}

static uint64_t seconds(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)fprintf(stderr, "pool_torture: ");
        (void)vfprintf(stderr, format, args);
        (void)fprintf(stderr, "\n");
        va_end(args);
        _exit(1);
}

static void check(const Torture *t, uint32_t task, const BroodResult *r)
{
        unsigned ran = __atomic_load_n(&executions[task], __ATOMIC_RELAXED);
        const uint64_t *words = r->data;

        if (ran > 1 + t->retries)
                fail("task %u ran %u times with %u retries", task, ran, t->retries);
        if (r->state == BROOD_TASK_OK) {
                if (!ran || r->size < 8 || words[0] != answer(task) ||
                    words[r->size / 8 - 1] != answer(task))
                        fail("task %u, which ran %u times, has a wrong result", task, ran);
                ADD(n_ok, 1);
                ADD(n_more, ran - 1);
        } else if (r->state == BROOD_TASK_KILLED) {
                if (!r->message || !strstr(r->message, "worker"))
                        fail("task %u was killed and nobody says how", task);
                ADD(n_killed, 1);
        } else {
                fail("task %u: state %d: %s", task, r->state, r->message ? r->message : "");
        }
}

static Input new_input(void)
{
        Input in = { __atomic_fetch_add(&next_task, 1, __ATOMIC_RELAXED), roll(20000) };

        if (in.task >= TASKS)
                fail("more than %d tasks", TASKS);
        return in;
}

static void run_map(Torture *t)
{
        static __thread Input in[BATCH];
        BroodBytes inputs[BATCH];
        BroodResult *results;
        size_t n = 1 + roll(BATCH);
        int64_t r, failed = 0;

        for (size_t i = 0; i < n; i++) {
                in[i] = new_input();
                inputs[i] = (BroodBytes){ &in[i], sizeof(in[i]) };
        }
        r = brood_pool_map(t->pool, count_and_answer, inputs, n, roll(12), &results);
        if (r < 0)
                fail("map: %s", strerror((int)-r));
        for (size_t i = 0; i < n; i++) {
                check(t, in[i].task, &results[i]);
                failed += results[i].state != BROOD_TASK_OK;
        }
        if (failed != r)
                fail("map counted %lld failures of %lld", (long long)r, (long long)failed);
        brood_results_free(results, n);
}

static void run_apply(Torture *t)
{
        Input in = new_input();
        BroodResult result;
        int r = brood_pool_apply(t->pool, count_and_answer, (BroodBytes){ &in, sizeof(in) },
                                 &result);

        if (r < 0)
                fail("apply: %s", strerror(-r));
        check(t, in.task, &result);
        brood_result_clear(&result);
}

typedef struct Feed {
        Input in[BATCH];
        size_t at, n;
} Feed;

static int feed(void *context, BroodBytes *ret)
{
        Feed *f = context;

        if (f->at == f->n)
                return 0;
        f->in[f->at] = new_input();
        *ret = (BroodBytes){ &f->in[f->at++], sizeof(Input) };
        return 1;
}

/* Some are given up half way. */
static void run_imap(Torture *t)
{
        static __thread Feed f;
        size_t index, got = 0, enough = roll(4) ? SIZE_MAX : roll(BATCH);
        bool seen[BATCH] = { false };
        BroodResult result;
        BroodImap *m;
        int r;

        f.at = 0;
        f.n = 1 + roll(BATCH);
        r = brood_pool_imap(t->pool, count_and_answer, feed, &f, roll(9), (int)roll(2), &m);
        if (r < 0)
                fail("imap: %s", strerror(-r));
        while (got < enough && (r = brood_imap_next(m, -1, &result, &index)) == 1) {
                if (index >= f.at || seen[index])
                        fail("imap gave result %zu twice, or too early", index);
                seen[index] = true;
                check(t, f.in[index].task, &result);
                brood_result_clear(&result);
                got++;
        }
        if (r < 0 || (got < enough && got != f.n))
                fail("imap ended after %zu of %zu: %d", got, f.n, r);
        brood_imap_free(m);
}

typedef struct Call {
        Torture *torture;
        Input in;
        unsigned called; /* atomic */
} Call;

static void hear(BroodResult *result, void *context)
{
        Call *c = context;

        check(c->torture, c->in.task, result);
        brood_result_clear(result);
        ADD(c->called, 1);
}

static void run_async(Torture *t)
{
        enum { N = 20 };
        static __thread Call calls[N];
        BroodAsync *asyncs[N];
        BroodResult result;

        for (int i = 0; i < N; i++) {
                Call *c = &calls[i];
                int r;

                *c = (Call){ .torture = t, .in = new_input() };
                r = brood_pool_apply_async(t->pool, count_and_answer,
                                           (BroodBytes){ &c->in, sizeof(c->in) },
                                           i % 2 ? hear : NULL, c, &asyncs[i]);
                if (r < 0)
                        fail("apply_async: %s", strerror(-r));
        }
        for (int i = 0; i < N; i++) {
                int r = brood_async_get(asyncs[i], -1, &result);

                if (r != (i % 2 ? -ENODATA : 0))
                        fail("async: %s", strerror(-r));
                if (i % 2 == 0) {
                        check(t, calls[i].in.task, &result);
                        brood_result_clear(&result);
                } else if (__atomic_load_n(&calls[i].called, __ATOMIC_RELAXED) != 1) {
                        fail("a callback was called %u times", calls[i].called);
                }
                brood_async_free(asyncs[i]);
        }
}

static void *call(void *context)
{
        static void (*const ways[])(Torture *) = { run_map, run_apply, run_imap, run_async };
        static uint64_t threads;
        Torture *t = context;

        dice = 88172645463325252ull + 7919 * __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
        while (!__atomic_load_n(&t->over, __ATOMIC_RELAXED)) {
                ways[roll(4)](t);
                ADD(n_calls, 1);
                __atomic_store_n(&last_progress, seconds(), __ATOMIC_RELAXED);
        }
        return NULL;
}

/* --- the killer --- */

static bool is_worker(BroodPool *pool, pid_t pid)
{
        pid_t pids[64];
        unsigned n = brood_pool_pids(pool, pids, 64);

        for (unsigned i = 0; i < n && i < 64; i++)
                if (pids[i] == pid)
                        return true;
        return false;
}

/* A pidfd that is certainly that process: it still was the one after it had been opened. */
static bool kill_worker(BroodPool *pool)
{
        pid_t pids[64];
        unsigned n = brood_pool_pids(pool, pids, 64);
        pid_t pid = n ? pids[roll(n)] : 0;
        int fd = n ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        bool done = fd >= 0 && is_worker(pool, pid) &&
                    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;

        if (fd >= 0)
                (void)close(fd);
        return done;
}

static bool is_server(pid_t pid)
{
        char path[64], line[128] = "", name[32] = "", state = 'Z';
        int parent = 0, fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        (void)!read(fd, line, sizeof(line) - 1);
        (void)close(fd);
        return sscanf(line, "%*d (%31[^)]) %c %d", name, &state, &parent) == 3 &&
               parent == getpid() && state != 'Z' && strcmp(name, "brood-forksrv") == 0;
}

static bool kill_server(void)
{
        DIR *all = opendir("/proc");
        struct dirent *e;
        bool done = false;

        while (all && !done && (e = readdir(all))) {
                pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
                int fd = pid > 0 && is_server(pid) ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

                if (fd < 0)
                        continue;
                done = is_server(pid) &&
                       syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
                (void)close(fd);
        }
        if (all)
                closedir(all);
        return done;
}

static void torture(BroodStartMethod method, unsigned kills, unsigned retries, const char *path)
{
        Torture t = { .retries = retries };
        BroodPoolSpec spec = { .processes = 3, .method = method, .retries = retries,
                               .initializer = map_executions, .initial = { path, strlen(path) },
                               .tasks_per_child = roll(2) ? 0 : 200 };
        pthread_t callers[CALLERS];
        int r = brood_pool_new(&t.pool, &spec);

        if (r < 0)
                fail("pool: %s", strerror(-r));
        for (int i = 0; i < CALLERS; i++)
                if (pthread_create(&callers[i], NULL, call, &t) != 0)
                        fail("no threads");
        for (unsigned done = 0; done < kills;) {
                struct timespec pause = { 0, (long)(500 + roll(8000)) * 1000 };
                bool server = method == BROOD_FORKSERVER && roll(25) == 0;

                (void)nanosleep(&pause, NULL);
                if (server ? kill_server() : kill_worker(t.pool)) {
                        done++;
                        n_server_kills += server;
                        n_worker_kills += !server;
                }
                if (seconds() > __atomic_load_n(&last_progress, __ATOMIC_RELAXED) + PATIENCE)
                        fail("no call has returned for a minute");
        }
        __atomic_store_n(&t.over, true, __ATOMIC_RELAXED);
        for (int i = 0; i < CALLERS; i++)
                (void)pthread_join(callers[i], NULL);
        if (roll(2)) {
                brood_pool_close(t.pool);
                r = brood_pool_join(t.pool, PATIENCE * 1000000ll);
                if (r < 0)
                        fail("join: %s", strerror(-r));
        }
        brood_pool_free(t.pool);
}

/* --- what is left --- */

static int count_fds(void)
{
        DIR *all = opendir("/proc/self/fd");
        int n = -3;

        while (readdir(all))
                n++;
        closedir(all);
        return n;
}

static void check_nothing_is_left(int fds)
{
        siginfo_t info = { 0 };

        if (brood_process_children(NULL, 0))
                fail("children are left");
        while (kill_server()) /* the last one; and it leaves a zombie, which is ours */
                (void)poll(NULL, 0, 1);
        while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
                info.si_pid = 0;
        for (int i = 0; i < 100 && waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0; i++)
                (void)poll(NULL, 0, 10);
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0)
                fail("a process is left");
        if (count_fds() > fds + 4) /* the sentinel; the channel of the server and its pidfd */
                fail("%d descriptors are left of %d", count_fds(), fds);
}

static unsigned long option(int argc, char **argv, const char *name, unsigned long otherwise)
{
        for (int i = 1; i < argc; i++)
                if (strncmp(argv[i], name, strlen(name)) == 0)
                        return strtoul(argv[i] + strlen(name), NULL, 10);
        return otherwise;
}

int main(int argc, char **argv)
{
        static const char *const names[] = { "spawn", "fork", "forkserver" };
        unsigned kills, left, only = 3;
        uint64_t began = seconds();
        char path[64];
        int fd, fds;

        brood_process_init(argc, argv);
        kills = left = (unsigned)option(argc, argv, "--kills=", 300);
        dice = 2862933555777941757ull * (option(argc, argv, "--seed=", 1) + 1);
        for (int i = 1; i < argc; i++)
                for (unsigned m = 0; m < 3; m++)
                        if (strncmp(argv[i], "--method=", 9) == 0 && !strcmp(argv[i] + 9, names[m]))
                                only = m;
        fd = memfd_create("executions", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, TASKS) < 0)
                fail("memfd: %s", strerror(errno));
        executions = mmap(NULL, TASKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (executions == MAP_FAILED)
                fail("mmap: %s", strerror(errno));
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
        last_progress = seconds();
        fds = count_fds();
        for (unsigned round = 0; left; round++) {
                unsigned n = 50 + roll(50), method = only < 3 ? only : round % 3;

                n = n < left ? n : left;
                torture((BroodStartMethod)method, n, roll(3), path);
                left -= n;
        }
        check_nothing_is_left(fds);
        printf("%u kills of workers, %u of fork servers in %llu s: %llu calls, %llu tasks ok, "
               "%llu killed, %llu executions more than one\n",
               n_worker_kills, n_server_kills, (unsigned long long)(seconds() - began),
               (unsigned long long)n_calls, (unsigned long long)n_ok,
               (unsigned long long)n_killed, (unsigned long long)n_more);
        return n_worker_kills + n_server_kills == kills ? 0 : 1;
}
