/* SPDX-License-Identifier: MIT */

/* What libbrood's multiprocessing is measured by; mp_peer.py does the same with Python's.
 *
 *     mp apply|map|queue|pipe100|pipe1m|recover N | start|memory METHOD
 *
 * Prints `METRIC VALUE UNIT`. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <brood/connection.h>
#include <brood/pool.h>
#include <brood/queue.h>

enum { WORKERS = 2, STARTS = 8 };

static void must(int64_t r, const char *what)
{
        if (r >= 0)
                return;
        fprintf(stderr, "%s: %s\n", what, strerror((int)-r));
        exit(1);
}

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void doze(double seconds)
{
        (void)usleep((useconds_t)(seconds * 1e6));
}

/* --- in the workers --- */

static int no_op(BroodTask *task)
{
        return brood_task_result(task, brood_task_input(task, NULL), sizeof(int64_t));
}

static int pid_of(BroodTask *task)
{
        return brood_task_result(task, &(int64_t){ getpid() }, sizeof(int64_t));
}

/* Its input is who is to be killed. */
static int work_until_killed(BroodTask *task)
{
        if (*(const int64_t *)brood_task_input(task, NULL) == getpid())
                for (;;)
                        (void)pause();
        doze(0.05);
        return 0;
}

static int nothing(BroodChild *child)
{
        (void)child;
        return 0;
}
BROOD_ENTRY(nothing)

/* --- pool --- */

static BroodPool *new_pool(BroodStartMethod method)
{
        BroodPool *pool;

        must(brood_pool_new(&pool, &(BroodPoolSpec){ .processes = WORKERS, .method = method }),
             "brood_pool_new");
        return pool;
}

static BroodResult *run_map(BroodPool *pool, BroodFunction function, long n, size_t chunk)
{
        BroodBytes *inputs = calloc((size_t)n, sizeof(*inputs));
        int64_t *numbers = calloc((size_t)n, sizeof(*numbers));
        BroodResult *results;

        for (long i = 0; i < n; i++) {
                numbers[i] = i;
                inputs[i] = (BroodBytes){ &numbers[i], sizeof(*numbers) };
        }
        must(brood_pool_map(pool, function, inputs, (size_t)n, chunk, &results), "brood_pool_map");
        free(inputs);
        free(numbers);
        return results;
}

static void warm_up(BroodPool *pool)
{
        brood_results_free(run_map(pool, no_op, WORKERS * 8L, 1), WORKERS * 8);
}

static void bench_apply(long n)
{
        BroodPool *pool = new_pool(BROOD_FORK);
        double begin;

        warm_up(pool);
        begin = now();
        for (int64_t i = 0; i < n; i++) {
                BroodResult result;

                must(brood_pool_apply(pool, no_op, (BroodBytes){ &i, sizeof(i) }, &result),
                     "brood_pool_apply");
                brood_result_clear(&result);
        }
        printf("apply %.6g tasks/s\n", (double)n / (now() - begin));
        brood_pool_free(pool);
}

static void bench_map(long n)
{
        BroodPool *pool = new_pool(BROOD_FORK);
        double begin;

        warm_up(pool);
        begin = now(); /* making the inputs counts, as Python's range() does */
        brood_results_free(run_map(pool, no_op, n, 0), (size_t)n);
        printf("map %.6g tasks/s\n", (double)n / (now() - begin));
        brood_pool_free(pool);
}

static bool known(const int64_t *pids, int64_t pid)
{
        return pids[0] == pid || pids[1] == pid;
}

/* The workers' pids, all of whom have run a task. */
static void learn(BroodPool *pool, int64_t *pids)
{
        pids[0] = pids[1] = 0;
        while (!pids[1]) {
                BroodResult *r = run_map(pool, pid_of, WORKERS * 4L, 1);

                for (int i = 0; i < WORKERS * 4; i++) {
                        int64_t pid = *(int64_t *)r[i].data;

                        if (!known(pids, pid))
                                pids[pids[0] ? 1 : 0] = pid;
                }
                brood_results_free(r, WORKERS * 4);
        }
}

static bool somebody_new(BroodPool *pool, const int64_t *pids)
{
        BroodResult *r = run_map(pool, pid_of, 4, 1);
        bool found = false;

        for (int i = 0; i < 4; i++)
                found = found || (r[i].state == BROOD_TASK_OK &&
                                  !known(pids, *(int64_t *)r[i].data));
        brood_results_free(r, 4);
        return found;
}

static double recover_once(void)
{
        BroodPool *pool = new_pool(BROOD_FORK);
        BroodAsync *busy[WORKERS];
        int64_t pids[WORKERS];
        double begin;

        learn(pool, pids);
        for (int i = 0; i < WORKERS; i++)
                must(brood_pool_apply_async(pool, work_until_killed,
                                            (BroodBytes){ pids, sizeof(pids[0]) }, NULL, NULL,
                                            &busy[i]),
                     "brood_pool_apply_async");
        while (!brood_async_ready(busy[0]) && !brood_async_ready(busy[1]))
                doze(0.001);
        begin = now();
        (void)kill((pid_t)pids[0], SIGKILL);
        while (!somebody_new(pool, pids))
                ;
        begin = now() - begin;
        for (int i = 0; i < WORKERS; i++)
                brood_async_free(busy[i]);
        brood_pool_free(pool);
        return begin;
}

static int by_size(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static void bench_recover(long n)
{
        double *times = calloc((size_t)n, sizeof(*times));

        for (long i = 0; i < n; i++)
                times[i] = recover_once();
        qsort(times, (size_t)n, sizeof(*times), by_size);
        printf("recover %.6g ms\n", times[n / 2] * 1e3);
        free(times);
}

static long pss_of(int64_t pid)
{
        char path[64], line[128];
        long kib = 0;
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "Pss: %ld", &kib) == 1)
                        break;
        if (f)
                (void)fclose(f);
        return kib;
}

static void bench_memory(BroodStartMethod method, const char *name)
{
        BroodPool *pool = new_pool(method);
        int64_t pids[WORKERS];

        learn(pool, pids);
        printf("memory-%s %.6g KiB\n", name, (double)(pss_of(pids[0]) + pss_of(pids[1])) / 2);
        brood_pool_free(pool);
}

/* --- queue and pipe: a child puts, this process gets --- */

typedef struct Stream {
        BroodQueue *queue;
        BroodConnection *connection;
        size_t size;
        long n;
} Stream;

static int feed(BroodChild *child)
{
        const Stream *s = child->context;
        char *message = calloc(1, s->size);

        for (long i = 0; i <= s->n; i++)
                must(s->queue ? brood_queue_put(s->queue, message, s->size, -1)
                              : brood_send(s->connection, message, s->size),
                     "feed");
        free(message);
        return 0;
}

static void take(const Stream *s, BroodConnection *from)
{
        void *message;
        size_t size;

        must(s->queue ? brood_queue_get(s->queue, &message, &size, -1)
                      : brood_receive(from, &message, &size),
             "take");
        free(message);
}

static void bench_stream(const char *metric, const char *unit, Stream *s, BroodConnection *from)
{
        int fd = s->connection ? brood_connection_fd(s->connection) : -1;
        BroodProcess *p;
        double begin;

        must(brood_process_start(&p, &(BroodProcessSpec){ .method = BROOD_FORK,
                                                          .function = feed,
                                                          .context = s,
                                                          .fds = &fd,
                                                          .n_fds = fd >= 0 }),
             "brood_process_start");
        take(s, from);
        begin = now();
        for (long i = 0; i < s->n; i++)
                take(s, from);
        printf("%s %.6g %s/s\n", metric, (double)s->n / (now() - begin), unit);
        (void)brood_process_free(p);
}

static void bench_queue(long n)
{
        Stream s = { .size = 100, .n = n };

        must(brood_queue_new(&s.queue, 1000, 0), "brood_queue_new");
        bench_stream("queue", "elements", &s, NULL);
        brood_queue_free(s.queue);
}

static void bench_pipe(const char *metric, size_t size, long n)
{
        Stream s = { .size = size, .n = n };
        BroodConnection *from;

        must(brood_pipe(&from, &s.connection, false), "brood_pipe");
        bench_stream(metric, "messages", &s, from);
        brood_connection_free(s.connection);
        brood_connection_free(from);
}

/* --- start --- */

static void start_and_join(BroodStartMethod method, int n)
{
        BroodProcess *p[STARTS];

        for (int i = 0; i < n; i++)
                must(brood_process_start(&p[i], &(BroodProcessSpec){ .method = method,
                                                                     .target = "nothing" }),
                     "brood_process_start");
        for (int i = 0; i < n; i++)
                (void)brood_process_free(p[i]);
}

static void bench_start(BroodStartMethod method, const char *name)
{
        double begin;

        start_and_join(method, 1); /* the fork server is there already */
        begin = now();
        start_and_join(method, STARTS);
        printf("start8-%s %.6g ms\n", name, (now() - begin) * 1e3);
}

static BroodStartMethod method_of(const char *name)
{
        return strcmp(name, "spawn") == 0        ? BROOD_SPAWN
               : strcmp(name, "forkserver") == 0 ? BROOD_FORKSERVER
                                                 : BROOD_FORK;
}

static int bench(const char *name, const char *what)
{
        long n = strtol(what, NULL, 10);

        if (strcmp(name, "start") == 0)
                bench_start(method_of(what), what);
        else if (strcmp(name, "memory") == 0)
                bench_memory(method_of(what), what);
        else if (n <= 0)
                return 2;
        else if (strcmp(name, "apply") == 0)
                bench_apply(n);
        else if (strcmp(name, "map") == 0)
                bench_map(n);
        else if (strcmp(name, "queue") == 0)
                bench_queue(n);
        else if (strcmp(name, "pipe100") == 0)
                bench_pipe(name, 100, n);
        else if (strcmp(name, "pipe1m") == 0)
                bench_pipe(name, 1 << 20, n);
        else if (strcmp(name, "recover") == 0)
                bench_recover(n);
        else
                return 2;
        return 0;
}

/* For workers that are no copy of this process. */
BROOD_FUNCTION(no_op)
BROOD_FUNCTION(pid_of)

int main(int argc, char **argv)
{
        brood_process_init(argc, argv);
        return argc == 3 ? bench(argv[1], argv[2]) : 2;
}
