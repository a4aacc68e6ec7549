/* SPDX-License-Identifier: MIT */

/* brood/pool.h, by each of the three start methods. */

#include <brood/pool.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#include "unit.h"

enum { SECOND = 1000 * 1000, SOON = 30 * SECOND, MIB = 1024 * 1024 };

static const char *const method_names[] = { "spawn", "fork", "forkserver" };

#define EACH_METHOD(m) for (BroodStartMethod m = BROOD_SPAWN; m <= BROOD_FORKSERVER; m++)

/* --- functions --- */

static long input_number(const BroodTask *task)
{
        return *(const long *)brood_task_input(task, NULL);
}

static int square(BroodTask *task)
{
        long x = input_number(task);

        x *= x;
        return brood_task_result(task, &x, sizeof(x));
}
BROOD_FUNCTION(square)

static int echo(BroodTask *task)
{
        size_t size;
        const char *input = brood_task_input(task, &size);

        if (input[size] != '\0' || (uintptr_t)input % 16)
                return brood_task_fail(task, "the input is not as promised");
        return brood_task_result(task, input, size);
}
BROOD_FUNCTION(echo)

static int nothing(BroodTask *task)
{
        return 0;
}
BROOD_FUNCTION(nothing)

static int fail_odd(BroodTask *task)
{
        long x = input_number(task);

        if (x % 2)
                return brood_task_fail(task, "%ld is odd", x);
        return brood_task_result(task, &x, sizeof(x));
}
BROOD_FUNCTION(fail_odd)

static int fail_silently(BroodTask *task)
{
        return 1;
}
BROOD_FUNCTION(fail_silently)

static int fail_after_a_result(BroodTask *task)
{
        (void)brood_task_result(task, "abc", 3);
        return brood_task_fail(task, "no");
}
BROOD_FUNCTION(fail_after_a_result)

static int sum_json(BroodTask *task)
{
        const json_t *a = brood_task_json(task);

        if (!json_is_array(a))
                return brood_task_fail(task, "no array");
        return brood_task_result_json(task, json_integer(
                json_integer_value(json_array_get(a, 0)) +
                json_integer_value(json_array_get(a, 1))));
}
BROOD_FUNCTION(sum_json)

static int say_pid(BroodTask *task)
{
        pid_t pid = getpid();

        return brood_task_result(task, &pid, sizeof(pid));
}
BROOD_FUNCTION(say_pid)

static int nap(BroodTask *task)
{
        long ms = input_number(task);

        (void)poll(NULL, 0, (int)ms);
        return brood_task_result(task, &ms, sizeof(ms));
}
BROOD_FUNCTION(nap)

static int die_of_13(BroodTask *task)
{
        if (input_number(task) == 13)
                (void)kill(getpid(), SIGKILL);
        return square(task);
}
BROOD_FUNCTION(die_of_13)

static int exit_of_13(BroodTask *task)
{
        if (input_number(task) == 13)
                _exit(7);
        return square(task);
}
BROOD_FUNCTION(exit_of_13)

static int close_everything(BroodTask *task)
{
        for (int i = 0; i < 256; i++)
                (void)close(i);
        return 0;
}
BROOD_FUNCTION(close_everything)

/* Dies at its first attempt: a file says whether it has been there. */
static int die_once(BroodTask *task)
{
        const char *path = brood_task_input(task, NULL);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

        if (fd >= 0)
                (void)kill(getpid(), SIGKILL);
        return brood_task_result(task, "again", 5);
}
BROOD_FUNCTION(die_once)

static int swell(BroodTask *task)
{
        long n = input_number(task);
        char *bytes = malloc((size_t)n);
        int r;

        memset(bytes, 'x', (size_t)n);
        r = brood_task_result(task, bytes, (size_t)n);
        free(bytes);
        return r;
}
BROOD_FUNCTION(swell)

static long remembered;

static int remember(BroodTask *task)
{
        remembered = input_number(task);
        return 0;
}
BROOD_FUNCTION(remember)

static int recall(BroodTask *task)
{
        return brood_task_result(task, &remembered, sizeof(remembered));
}
BROOD_FUNCTION(recall)

static int refuse_to_start(BroodTask *task)
{
        return brood_task_fail(task, "no %s today", (const char *)brood_task_input(task, NULL));
}
BROOD_FUNCTION(refuse_to_start)

static int die_at_start(BroodTask *task)
{
        (void)kill(getpid(), SIGKILL);
        return 0;
}
BROOD_FUNCTION(die_at_start)

static int hang_at_start(BroodTask *task)
{
        (void)poll(NULL, 0, 60 * 1000);
        return 0;
}
BROOD_FUNCTION(hang_at_start)

static int stop_self(BroodTask *task)
{
        (void)kill(getpid(), SIGSTOP);
        return 0;
}
BROOD_FUNCTION(stop_self)

static int unnamed(BroodTask *task)
{
        return brood_task_result(task, "u", 1);
}

/* --- helpers --- */

static BroodPool *make(const BroodPoolSpec *spec)
{
        BroodPool *pool = NULL;
        int r = brood_pool_new(&pool, spec);

        if (r < 0)
                fail_msg("%s: %s", method_names[spec ? spec->method : BROOD_FORK], strerror(-r));
        return pool;
}

enum { MANY = 1000 };
static long numbers[MANY];
static BroodBytes inputs[MANY];

static void set_up_inputs(void)
{
        for (long i = 0; i < MANY; i++) {
                numbers[i] = i;
                inputs[i] = (BroodBytes){ &numbers[i], sizeof(long) };
        }
}

static long result_number(const BroodResult *r)
{
        return r->data ? *(const long *)r->data : -1;
}

static int count_fds(void)
{
        DIR *all = opendir("/proc/self/fd");
        int n = -3;

        while (readdir(all))
                n++;
        closedir(all);
        return n;
}

static void check_squares(const BroodResult *results, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(results[i].state, BROOD_TASK_OK);
                assert_int_equal(results[i].size, sizeof(long));
                assert_int_equal(result_number(&results[i]), i * i);
                assert_null(results[i].message);
        }
}

/* --- map and apply --- */

static void test_map_keeps_the_order_for_every_chunk_size(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 3, .method = m });
                static const size_t chunks[] = { 0, 1, 2, 7, MANY, 10 * MANY, SIZE_MAX };

                for (size_t i = 0; i < ELEMENTS(chunks); i++) {
                        BroodResult *results;

                        assert_int_equal(brood_pool_map(pool, square, inputs, MANY, chunks[i],
                                                        &results), 0);
                        check_squares(results, MANY);
                        brood_results_free(results, MANY);
                }
                brood_pool_free(pool);
        }
}

static void test_map_of_nothing(void **state)
{
        BroodPool *pool = make(NULL);
        BroodResult *results = NULL;

        assert_int_equal(brood_pool_map(pool, square, NULL, 0, 0, &results), 0);
        brood_results_free(results, 0);
        brood_results_free(NULL, 5);
        brood_pool_free(pool);
        brood_pool_free(NULL);
}

static void test_apply_gives_what_the_function_gave(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                BroodResult r;

                assert_int_equal(brood_pool_apply(pool, square, inputs[9], &r), 0);
                assert_int_equal(result_number(&r), 81);
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, echo, (BroodBytes){ "", 0 }, &r), 0);
                assert_int_equal(r.state, BROOD_TASK_OK);
                assert_int_equal(r.size, 0);
                assert_string_equal(r.data, "");
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, nothing, (BroodBytes){ NULL, 0 }, &r), 0);
                assert_int_equal(r.state, BROOD_TASK_OK);
                assert_int_equal(r.size, 0);
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, fail_odd, inputs[5], &r), 0);
                assert_int_equal(r.state, BROOD_TASK_FAILED);
                assert_string_equal(r.message, "5 is odd");
                assert_null(r.data);
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, fail_silently, inputs[5], &r), 0);
                assert_int_equal(r.state, BROOD_TASK_FAILED);
                assert_string_equal(r.message, "the function failed and did not say why");
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, fail_after_a_result, inputs[5], &r), 0);
                assert_string_equal(r.message, "no");
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, unnamed, inputs[5], &r),
                                 m == BROOD_FORK ? 0 : -ENOENT);
                if (m == BROOD_FORK)
                        brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, NULL, inputs[5], &r), -ENOENT);
                brood_pool_free(pool);
        }
}

static void test_map_counts_what_did_not_succeed(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        BroodResult *results;

        assert_int_equal(brood_pool_map(pool, fail_odd, inputs, 100, 0, &results), 50);
        for (int i = 0; i < 100; i++)
                assert_int_equal(results[i].state, i % 2 ? BROOD_TASK_FAILED : BROOD_TASK_OK);
        brood_results_free(results, 100);
        brood_pool_free(pool);
}

static void test_map_of_json(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                json_t *in = json_pack("[[i,i],[i,i],s,[i,i]]", 1, 2, 3, 4, "x", 5, 6);
                json_t *expected = json_pack("[i,i,n,i]", 3, 7, 11), *out = NULL;

                assert_int_equal(brood_pool_map_json(pool, sum_json, in, 0, &out), 1);
                CHECK(json_equal(out, expected), method_names[m]);
                json_decref(in);
                json_decref(expected);
                json_decref(out);
                brood_pool_free(pool);
        }
}

static void test_what_is_no_array_can_not_be_mapped(void **state)
{
        BroodPool *pool = make(NULL);
        json_t *out = NULL;

        assert_int_equal(brood_pool_map_json(pool, sum_json, json_null(), 0, &out), -EINVAL);
        assert_null(out);
        brood_pool_free(pool);
}

static void test_large_inputs_and_results_cross(void **state)
{
        EACH_METHOD(m) {
                enum { N = UNLESS_TSAN(12, 3) };
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                char *big = malloc(3 * MIB);
                BroodBytes large[N];
                BroodResult *results;

                for (size_t i = 0; i < 3 * MIB; i++)
                        big[i] = (char)(i * 7 + i / 251);
                for (int i = 0; i < N; i++)
                        large[i] = (BroodBytes){ big, 3 * MIB - (size_t)i * 1001 };
                for (size_t chunk = 1; chunk <= N; chunk += N - 1) {
                        assert_int_equal(brood_pool_map(pool, echo, large, N, chunk, &results), 0);
                        for (int i = 0; i < N; i++) {
                                assert_int_equal(results[i].size, large[i].size);
                                assert_memory_equal(results[i].data, big, results[i].size);
                        }
                        brood_results_free(results, N);
                }
                free(big);
                brood_pool_free(pool);
        }
}

static void test_a_result_may_outlive_those_it_came_with(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        BroodResult *results, kept[10];

        assert_int_equal(brood_pool_map(pool, square, inputs, 100, 0, &results), 0);
        for (int i = 0; i < 10; i++) {
                assert_int_equal((uintptr_t)results[i * 7].data % 16, 0);
                kept[i] = results[i * 7];
                results[i * 7] = (BroodResult){ 0 };
        }
        brood_results_free(results, 100);
        brood_pool_free(pool);
        for (int i = 9; i >= 0; i--) {
                assert_int_equal(result_number(&kept[i]), 49L * i * i);
                brood_result_clear(&kept[i]);
                assert_null(kept[i].data);
        }
}

static void test_results_of_every_size_around_a_page_of_them(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 1, .method = BROOD_FORK });
        enum { N = 40 };
        long sizes[N];
        BroodBytes in[N];
        BroodResult *results;

        for (int i = 0; i < N; i++) {
                sizes[i] = i % 4 == 0 ? 10 : 64 * 1024 - 20 + i;
                in[i] = (BroodBytes){ &sizes[i], sizeof(long) };
        }
        assert_int_equal(brood_pool_map(pool, swell, in, N, N, &results), 0);
        for (int i = 0; i < N; i++)
                assert_int_equal(results[i].size, sizes[i]);
        brood_results_free(results, N);
        brood_pool_free(pool);
}

/* --- death --- */

static void test_only_the_task_that_kills_its_worker_is_hit(void **state)
{
        static const size_t chunks[] = { 0, 1, 5, MANY };

        EACH_METHOD(m)
                for (size_t i = 0; i < ELEMENTS(chunks); i++) {
                        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                        BroodResult *results;

                        assert_int_equal(brood_pool_map(pool, die_of_13, inputs, 200, chunks[i],
                                                        &results), 1);
                        for (int k = 0; k < 200; k++)
                                if (k == 13) {
                                        assert_int_equal(results[k].state, BROOD_TASK_KILLED);
                                        assert_string_equal(results[k].message,
                                                            "its worker was killed by SIGKILL");
                                } else {
                                        assert_int_equal(result_number(&results[k]), k * k);
                                }
                        brood_results_free(results, 200);
                        brood_pool_free(pool);
                }
}

static void test_a_worker_that_exits_is_dead_too(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                BroodResult r;

                assert_int_equal(brood_pool_apply(pool, exit_of_13, inputs[13], &r), 0);
                assert_int_equal(r.state, BROOD_TASK_KILLED);
                assert_string_equal(r.message, "its worker ended with status 7");
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, close_everything, inputs[1], &r), 0);
                /* it had finished: the result was found; or it was killed while it closed */
                assert_true(r.state == BROOD_TASK_OK || r.state == BROOD_TASK_KILLED);
                brood_result_clear(&r);
                assert_int_equal(brood_pool_apply(pool, square, inputs[2], &r), 0);
                assert_int_equal(result_number(&r), 4);
                brood_result_clear(&r);
                brood_pool_free(pool);
        }
}

static void test_a_task_runs_again_as_often_as_was_asked(void **state)
{
        for (unsigned retries = 0; retries < 2; retries++) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK,
                                                         .retries = retries });
                char path[64];
                BroodResult r;

                (void)snprintf(path, sizeof(path), "/tmp/brood-die-once.%d", getpid());
                assert_int_equal(brood_pool_apply(pool, die_once,
                                                  (BroodBytes){ path, strlen(path) }, &r), 0);
                assert_int_equal(r.state, retries ? BROOD_TASK_OK : BROOD_TASK_KILLED);
                brood_result_clear(&r);
                assert_int_equal(unlink(path), 0);
                /* and no more often */
                assert_int_equal(brood_pool_apply(pool, die_of_13, inputs[13], &r), 0);
                assert_int_equal(r.state, BROOD_TASK_KILLED);
                brood_result_clear(&r);
                brood_pool_free(pool);
        }
}

static void test_idle_workers_that_are_killed_are_replaced(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 3, .method = m });
                usec_t until = clock_monotonic() + SOON;
                BroodResult *results;
                pid_t pids[8];

                assert_int_equal(brood_pool_map(pool, square, inputs, MANY, 0, &results), 0);
                brood_results_free(results, MANY);
                while (brood_pool_pids(pool, pids, 8) < 3 && clock_monotonic() < until)
                        (void)poll(NULL, 0, 1);
                for (int i = 0; i < 3; i++)
                        assert_int_equal(kill(pids[i], SIGKILL), 0);
                assert_int_equal(brood_pool_map(pool, square, inputs, MANY, 0, &results), 0);
                check_squares(results, MANY);
                brood_results_free(results, MANY);
                while (brood_pool_pids(pool, pids, 8) != 3 && clock_monotonic() < until)
                        (void)poll(NULL, 0, 1);
                assert_int_equal(brood_pool_pids(pool, NULL, 0), 3);
                brood_pool_free(pool);
        }
}

static void test_a_stopped_worker_holds_up_its_tasks_and_no_end(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                BroodAsync *stuck;
                BroodResult r;

                assert_int_equal(brood_pool_apply_async(pool, stop_self, inputs[0], NULL, NULL,
                                                        &stuck), 0);
                assert_int_equal(brood_async_get(stuck, 50 * 1000, &r), -ETIMEDOUT);
                for (int i = 0; i < 20; i++) {
                        assert_int_equal(brood_pool_apply(pool, square, inputs[i], &r), 0);
                        assert_int_equal(result_number(&r), i * i);
                        brood_result_clear(&r);
                }
                brood_pool_terminate(pool);
                assert_int_equal(brood_async_get(stuck, SOON, &r), 0);
                assert_int_equal(r.state, BROOD_TASK_CANCELLED);
                assert_string_equal(r.message, "the pool was terminated");
                brood_result_clear(&r);
                assert_int_equal(brood_pool_join(pool, SOON), 0);
                brood_async_free(stuck);
                brood_pool_free(pool);
        }
}

/* --- workers --- */

static void test_each_worker_has_its_initializer_and_so_many_tasks(void **state)
{
        EACH_METHOD(m) {
                long value = 4711;
                BroodPool *pool = make(&(BroodPoolSpec){
                        .processes = 2, .method = m, .initializer = remember,
                        .initial = { &value, sizeof(value) }, .tasks_per_child = 3 });
                BroodResult *results;
                struct { pid_t pid; int n; } seen[64] = { 0 };

                value = 0; /* it was copied */
                assert_int_equal(brood_pool_map(pool, recall, inputs, 30, 0, &results), 0);
                for (int i = 0; i < 30; i++)
                        assert_int_equal(result_number(&results[i]), 4711);
                brood_results_free(results, 30);
                assert_int_equal(brood_pool_map(pool, say_pid, inputs, 60, 0, &results), 0);
                for (int i = 0; i < 60; i++) {
                        pid_t pid = *(pid_t *)results[i].data;
                        int k = 0;

                        while (seen[k].pid && seen[k].pid != pid)
                                k++;
                        seen[k].pid = pid;
                        CHECK(++seen[k].n <= 3, method_names[m]);
                }
                brood_results_free(results, 60);
                brood_pool_close(pool);
                assert_int_equal(brood_pool_join(pool, SOON), 0);
                brood_pool_free(pool);
        }
}

static void test_workers_that_do_not_start_are_told_of_and_not_waited_for(void **state)
{
        const struct {
                BroodFunction initializer;
                const char *words;
        } rows[] = {
                { refuse_to_start, "the workers of the pool do not start: no luck today" },
                { die_at_start,
                  "the workers of the pool do not start: they are killed by SIGKILL" },
        };

        EACH_METHOD(m)
                for (size_t i = 0; i < ELEMENTS(rows); i++) {
                        BroodPool *pool = make(&(BroodPoolSpec){
                                .processes = 2, .method = m, .initializer = rows[i].initializer,
                                .initial = { "luck", 4 } });
                        BroodResult *results;

                        for (int again = 0; again < 2; again++) {
                                assert_int_equal(brood_pool_map(pool, square, inputs, 10, 1,
                                                                &results), 10);
                                for (int k = 0; k < 10; k++) {
                                        assert_int_equal(results[k].state, BROOD_TASK_CANCELLED);
                                        assert_string_equal(results[k].message, rows[i].words);
                                }
                                brood_results_free(results, 10);
                        }
                        brood_pool_close(pool);
                        assert_int_equal(brood_pool_join(pool, SOON), 0);
                        brood_pool_free(pool);
                }
}

static void test_a_worker_that_hangs_at_its_start_keeps_no_pool(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK,
                                                 .initializer = hang_at_start });
        BroodAsync *a;

        assert_int_equal(brood_pool_apply_async(pool, square, inputs[1], NULL, NULL, &a), 0);
        assert_int_equal(brood_async_wait(a, 50 * 1000), -ETIMEDOUT);
        assert_false(brood_async_ready(a));
        brood_pool_free(pool); /* the async lives on */
        assert_true(brood_async_ready(a));
        brood_async_free(a);
}

static void test_a_pool_that_makes_no_sense_is_refused(void **state)
{
        BroodPool *pool = NULL;

        assert_int_equal(brood_pool_new(&pool, &(BroodPoolSpec){ .method = 7 }), -EINVAL);
        assert_int_equal(brood_pool_new(&pool, &(BroodPoolSpec){ .initializer = unnamed }),
                         -ENOENT);
        assert_null(pool);
}

static void test_without_descriptors_tasks_are_told_so(void **state)
{
        int taken[1024], n = 0, fd;
        BroodPool *pool;
        BroodResult r;
        pid_t pid = fork();
        int status;

        if (pid) {
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
                return;
        }
        (void)alarm(60);
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 200, 200 });
        while (n < 1024 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
                taken[n++] = fd;
        for (int i = 0; i < 4; i++)
                close(taken[--n]);
        if (brood_pool_new(&pool, &(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK }) < 0)
                _exit(1);
        if (brood_pool_apply(pool, square, inputs[2], &r) < 0 || r.state != BROOD_TASK_CANCELLED ||
            !strstr(r.message, "Too many open files"))
                _exit(2);
        brood_pool_free(pool);
        /* and one that gets some in time goes on */
        if (brood_pool_new(&pool, &(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK }) < 0)
                _exit(3);
        (void)poll(NULL, 0, 150);
        for (int i = 0; i < 30; i++)
                close(taken[--n]);
        if (brood_pool_apply(pool, square, inputs[2], &r) < 0 || r.state != BROOD_TASK_OK)
                _exit(4);
        brood_pool_free(pool);
        _exit(0);
}

/* --- async --- */

typedef struct Heard {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        BroodPool *pool;
        int n, left, errors;
        long sum;
} Heard;

static void hear(BroodResult *result, void *context)
{
        Heard *h = context;

        (void)pthread_mutex_lock(&h->mutex);
        h->n++;
        h->sum += result_number(result);
        h->errors += result->state != BROOD_TASK_OK;
        (void)pthread_cond_broadcast(&h->changed);
        (void)pthread_mutex_unlock(&h->mutex);
        brood_result_clear(result);
}

static void wait_until_heard(Heard *h, int n)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += 30;
        (void)pthread_mutex_lock(&h->mutex);
        while (h->n < n)
                assert_int_equal(pthread_cond_timedwait(&h->changed, &h->mutex, &t), 0);
        (void)pthread_mutex_unlock(&h->mutex);
}

#define HEARD_INIT { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

static void test_results_are_called_back_or_taken_once(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                Heard heard = HEARD_INIT;
                BroodAsync *a, *b;
                BroodResult r;

                for (int i = 0; i < 100; i++)
                        assert_int_equal(brood_pool_apply_async(pool, square, inputs[i], hear,
                                                                &heard, i ? NULL : &a), 0);
                assert_int_equal(brood_pool_apply_async(pool, die_of_13, inputs[13], hear, &heard,
                                                        NULL), 0);
                wait_until_heard(&heard, 101);
                assert_int_equal(heard.sum, 328350 - 1);
                assert_int_equal(heard.errors, 1);
                assert_int_equal(brood_async_wait(a, SOON), 0);
                assert_int_equal(brood_async_get(a, -1, &r), -ENODATA);
                brood_async_free(a);

                assert_int_equal(brood_pool_apply_async(pool, square, inputs[5], NULL, NULL, &b),
                                 0);
                assert_int_equal(brood_async_get(b, SOON, &r), 0);
                assert_int_equal(result_number(&r), 25);
                brood_result_clear(&r);
                assert_true(brood_async_ready(b));
                assert_int_equal(brood_async_get(b, 0, &r), -ENODATA);
                brood_async_free(b);
                /* given up while it runs */
                assert_int_equal(brood_pool_apply_async(pool, nap, inputs[50], NULL, NULL, &b), 0);
                brood_async_free(b);
                brood_async_free(NULL);
                brood_pool_free(pool);
        }
}

/* Each result asks for the next, and what would wait for the foreman is refused in it. */
static void go_on(BroodResult *result, void *context)
{
        Heard *h = context;
        BroodResult r, *all;
        BroodAsync *a;
        int left = --h->left;

        h->errors += result->state != BROOD_TASK_OK;
        brood_result_clear(result);
        h->errors += brood_pool_apply(h->pool, square, inputs[1], &r) != -EDEADLK;
        h->errors += brood_pool_map(h->pool, square, inputs, 2, 0, &all) != -EDEADLK;
        h->errors += brood_pool_apply_async(h->pool, square, inputs[3], NULL, NULL, &a) != 0;
        h->errors += brood_async_wait(a, -1) != -EDEADLK;
        brood_async_free(a);
        h->errors += brood_pool_pids(h->pool, NULL, 0) == 0;
        if (left > 0)
                h->errors += brood_pool_apply_async(h->pool, left % 3 ? square : die_of_13,
                                                    inputs[3], go_on, h, NULL) != 0;
        (void)pthread_mutex_lock(&h->mutex);
        h->n++;
        (void)pthread_cond_broadcast(&h->changed);
        (void)pthread_mutex_unlock(&h->mutex);
}

static void test_a_callback_may_call_the_pool(void **state)
{
        Heard heard = HEARD_INIT;

        heard.pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        heard.left = 50;
        assert_int_equal(brood_pool_apply_async(heard.pool, square, inputs[3], go_on, &heard,
                                                NULL), 0);
        wait_until_heard(&heard, 50);
        assert_int_equal(heard.errors, 0);
        brood_pool_free(heard.pool);
}

static void free_pool(BroodResult *result, void *context)
{
        Heard *h = context;

        brood_result_clear(result);
        brood_pool_free(h->pool);
        (void)pthread_mutex_lock(&h->mutex);
        h->n++;
        (void)pthread_cond_broadcast(&h->changed);
        (void)pthread_mutex_unlock(&h->mutex);
}

static void test_a_callback_may_free_the_pool(void **state)
{
        Heard heard = HEARD_INIT;

        heard.pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        assert_int_equal(brood_pool_apply_async(heard.pool, square, inputs[3], free_pool, &heard,
                                                NULL), 0);
        wait_until_heard(&heard, 1);
        while (brood_process_children(NULL, 0)) /* it ends in its own time */
                (void)poll(NULL, 0, 1);
}

/* --- imap --- */

typedef struct Source {
        size_t at, n, asked;
        int end;
} Source;

static int next_number(void *context, BroodBytes *ret)
{
        Source *s = context;

        s->asked++;
        if (s->at == s->n)
                return s->end;
        *ret = inputs[s->at++];
        return 1;
}

static void test_imap_gives_results_in_order_or_as_they_come(void **state)
{
        static const size_t chunks[] = { 0, 1, 7, 10 * MANY };

        EACH_METHOD(m)
                for (size_t i = 0; i < 2 * ELEMENTS(chunks); i++) {
                        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                        int ordered = i % 2;
                        Source source = { .n = 300 };
                        bool seen[300] = { false };
                        BroodImap *imap;
                        BroodResult r;
                        size_t index, n = 0;

                        assert_int_equal(brood_pool_imap(pool, square, next_number, &source,
                                                         chunks[i / 2], ordered, &imap), 0);
                        while (brood_imap_next(imap, SOON, &r, &index) == 1) {
                                assert_true(index < 300 && !seen[index]);
                                seen[index] = true;
                                if (ordered)
                                        assert_int_equal(index, n);
                                assert_int_equal(result_number(&r), index * index);
                                brood_result_clear(&r);
                                n++;
                        }
                        assert_int_equal(n, 300);
                        assert_int_equal(brood_imap_next(imap, 0, &r, NULL), 0);
                        brood_imap_free(imap);
                        brood_pool_free(pool);
                }
}

static void test_imap_is_not_far_ahead_of_a_slow_reader(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        Source source = { .n = MANY };
        BroodImap *imap;
        BroodResult r;

        assert_int_equal(brood_pool_imap(pool, square, next_number, &source, 2, 1, &imap), 0);
        for (size_t i = 0; i < 20; i++) {
                assert_int_equal(brood_imap_next(imap, SOON, &r, NULL), 1);
                brood_result_clear(&r);
                assert_true(source.asked <= i + 1 + 2 * 3 * 2 + 2);
        }
        brood_imap_free(imap);
        brood_imap_free(NULL);
        brood_pool_free(pool);
}

static void test_an_imap_ends_with_what_its_inputs_end_with(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        Source source = { .n = 25, .end = -EIO };
        BroodImap *imap;
        BroodResult r;
        int n = 0;

        assert_int_equal(brood_pool_imap(pool, square, next_number, &source, 4, 1, &imap), 0);
        while (brood_imap_next(imap, SOON, &r, NULL) == 1) {
                brood_result_clear(&r);
                n++;
        }
        assert_int_equal(n, 25);
        assert_int_equal(brood_imap_next(imap, SOON, &r, NULL), -EIO);
        assert_int_equal(source.asked, 26);
        brood_imap_free(imap);
        assert_int_equal(brood_pool_imap(pool, NULL, next_number, &source, 4, 1, &imap), -ENOENT);
        brood_pool_free(pool);
}

static void test_an_imap_times_out_and_goes_on(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 1, .method = BROOD_FORK });
        Source source = { .at = 100, .n = 101 };
        BroodImap *imap;
        BroodResult r;
        size_t index = 99;

        assert_int_equal(brood_pool_imap(pool, nap, next_number, &source, 1, 1, &imap), 0);
        assert_int_equal(brood_imap_next(imap, 0, &r, &index), -ETIMEDOUT);
        assert_int_equal(brood_imap_next(imap, 1000, &r, &index), -ETIMEDOUT);
        assert_int_equal(brood_imap_next(imap, -1, &r, &index), 1);
        assert_int_equal(index, 0);
        brood_result_clear(&r);
        assert_int_equal(brood_imap_next(imap, -1, &r, &index), 0);
        brood_imap_free(imap);
        brood_pool_free(pool);
}

static void test_a_pool_that_is_closed_ends_its_imaps(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        Source source = { .n = 200 }, other = { .n = 5 };
        BroodImap *imap, *late = NULL;
        BroodResult r;
        int n = 0;

        assert_int_equal(brood_pool_imap(pool, square, next_number, &source, 1, 1, &imap), 0);
        brood_pool_close(pool);
        assert_int_equal(brood_pool_imap(pool, square, next_number, &other, 1, 1, &late),
                         -ESHUTDOWN);
        assert_null(late);
        assert_int_equal(brood_pool_join(pool, 20 * 1000), -ETIMEDOUT);
        while (brood_imap_next(imap, SOON, &r, NULL) == 1) {
                assert_int_equal(result_number(&r), (long)n * n);
                brood_result_clear(&r);
                n++;
        }
        assert_int_equal(n, 200);
        assert_int_equal(brood_pool_join(pool, SOON), 0);
        brood_imap_free(imap);
        brood_pool_free(pool);
}

static void test_an_imap_that_is_freed_half_way_or_after_its_pool(void **state)
{
        for (int late = 0; late < 2; late++) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
                Source source = { .at = 5, .n = MANY };
                BroodImap *imap;
                BroodResult r;

                assert_int_equal(brood_pool_imap(pool, nap, next_number, &source, 1, 0, &imap), 0);
                assert_int_equal(brood_imap_next(imap, SOON, &r, NULL), 1);
                brood_result_clear(&r);
                if (late) {
                        int n = 0, e;

                        brood_pool_free(pool);
                        while ((e = brood_imap_next(imap, SOON, &r, NULL)) == 1) {
                                brood_result_clear(&r);
                                n++;
                        }
                        assert_int_equal(e, -ESHUTDOWN);
                        assert_true(n < 20);
                }
                brood_imap_free(imap);
                if (!late) {
                        assert_int_equal(brood_pool_apply(pool, square, inputs[3], &r), 0);
                        brood_result_clear(&r);
                        brood_pool_free(pool);
                }
        }
}

/* --- the end --- */

static void test_close_lets_tasks_run_and_takes_no_more(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                BroodAsync *a[20];
                BroodResult r, *results;

                assert_int_equal(brood_pool_join(pool, 0), -EINVAL);
                for (int i = 0; i < 20; i++)
                        assert_int_equal(brood_pool_apply_async(pool, nap, inputs[5], NULL, NULL,
                                                                &a[i]), 0);
                brood_pool_close(pool);
                brood_pool_close(pool);
                assert_int_equal(brood_pool_apply(pool, square, inputs[1], &r), -ESHUTDOWN);
                assert_int_equal(brood_pool_map(pool, square, inputs, 3, 0, &results), -ESHUTDOWN);
                assert_int_equal(brood_pool_apply_async(pool, square, inputs[1], NULL, NULL,
                                                        &(BroodAsync *){ NULL }), -ESHUTDOWN);
                assert_int_equal(brood_pool_join(pool, 0), -ETIMEDOUT);
                assert_int_equal(brood_pool_join(pool, SOON), 0);
                assert_int_equal(brood_pool_join(pool, -1), 0);
                for (int i = 0; i < 20; i++) {
                        assert_int_equal(brood_async_get(a[i], 0, &r), 0);
                        assert_int_equal(r.state, BROOD_TASK_OK);
                        brood_result_clear(&r);
                        brood_async_free(a[i]);
                }
                assert_int_equal(brood_pool_pids(pool, NULL, 0), 0);
                brood_pool_free(pool);
        }
}

static void *map_naps(void *pool)
{
        BroodResult *results;
        int64_t failed = brood_pool_map(pool, nap, inputs + 10, 200, 0, &results);

        if (failed < 0)
                return (void *)(intptr_t)failed;
        for (int i = 0; i < 200; i++)
                if (results[i].state != BROOD_TASK_OK && results[i].state != BROOD_TASK_CANCELLED)
                        failed = -EIO;
        brood_results_free(results, 200);
        return (void *)(intptr_t)failed;
}

static void test_a_pool_may_be_ended_while_threads_wait_for_it(void **state)
{
        for (int freed = 0; freed < 2; freed++)
                EACH_METHOD(m) {
                        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = m });
                        pthread_t threads[3];
                        void *r;

                        for (int i = 0; i < 3; i++)
                                assert_int_equal(pthread_create(&threads[i], NULL, map_naps, pool),
                                                 0);
                        (void)poll(NULL, 0, 60);
                        if (freed)
                                brood_pool_free(pool);
                        else
                                brood_pool_terminate(pool);
                        for (int i = 0; i < 3; i++) {
                                assert_int_equal(pthread_join(threads[i], &r), 0);
                                CHECK((intptr_t)r > 0, method_names[m]);
                        }
                        if (!freed) {
                                assert_int_equal(brood_pool_join(pool, SOON), 0);
                                brood_pool_free(pool);
                        }
                }
}

static void *map_squares(void *pool)
{
        intptr_t wrong = 0;

        for (int round = 0; round < UNLESS_TSAN(20, 4); round++) {
                BroodResult *results;

                if (brood_pool_map(pool, square, inputs, 100, (size_t)round % 4, &results) != 0)
                        return (void *)(intptr_t)-1;
                for (long i = 0; i < 100; i++)
                        wrong += result_number(&results[i]) != i * i;
                brood_results_free(results, 100);
        }
        return (void *)wrong;
}

static void test_threads_map_at_once(void **state)
{
        EACH_METHOD(m) {
                BroodPool *pool = make(&(BroodPoolSpec){ .processes = 3, .method = m,
                                                         .tasks_per_child = 50 });
                pthread_t threads[4];
                void *r;

                for (int i = 0; i < 4; i++)
                        assert_int_equal(pthread_create(&threads[i], NULL, map_squares, pool), 0);
                for (int i = 0; i < 4; i++) {
                        assert_int_equal(pthread_join(threads[i], &r), 0);
                        CHECK((intptr_t)r == 0, method_names[m]);
                }
                brood_pool_close(pool);
                assert_int_equal(brood_pool_join(pool, SOON), 0);
                brood_pool_free(pool);
        }
}

static void test_in_a_fork_the_pool_is_its_parents(void **state)
{
        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 2, .method = BROOD_FORK });
        BroodResult r, *results;
        int status;
        pid_t pid;

        assert_int_equal(brood_pool_apply(pool, square, inputs[2], &r), 0);
        brood_result_clear(&r);
        pid = fork();
        if (pid == 0) {
                bool right = brood_pool_apply(pool, square, inputs[2], &r) == -ECHILD &&
                             brood_pool_map(pool, square, inputs, 2, 0, &results) == -ECHILD &&
                             brood_pool_join(pool, -1) == -ECHILD;

                (void)alarm(30);
                brood_pool_terminate(pool);
                brood_pool_free(pool);
                exit(right ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(brood_pool_apply(pool, square, inputs[3], &r), 0);
        assert_int_equal(result_number(&r), 9);
        brood_result_clear(&r);
        brood_pool_free(pool);
}

/* A program that exits with a pool that works. */
static void test_a_program_may_exit_with_a_pool(void **state)
{
        EACH_METHOD(m) {
                usec_t began = clock_monotonic();
                int status;
                pid_t pid = fork();

                if (pid == 0) {
                        static BroodPool *pool;
                        static BroodAsync *a[9];
                        BroodResult r;

                        (void)alarm(30);
                        pool = make(&(BroodPoolSpec){ .processes = 3, .method = m });
                        for (int i = 0; i < 9; i++)
                                (void)brood_pool_apply_async(pool, nap, inputs[999], NULL, NULL,
                                                             &a[i]);
                        (void)brood_async_get(a[8], 30 * 1000, &r);
                        exit(6);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 6 << 8);
                assert_true(clock_monotonic() - began < 15 * USEC_PER_SEC);
        }
}

static void test_nothing_is_left(void **state)
{
        int before = 0;

        for (int round = 0; round < 3; round++) {
                EACH_METHOD(m) {
                        BroodPool *pool = make(&(BroodPoolSpec){ .processes = 3, .method = m });
                        BroodResult *results;

                        assert_int_equal(brood_pool_map(pool, die_of_13, inputs, 50, 0, &results),
                                         1);
                        brood_results_free(results, 50);
                        brood_pool_free(pool);
                }
                if (!round)
                        before = count_fds();
        }
        assert_int_equal(count_fds(), before);
        assert_int_equal(brood_process_children(NULL, 0), 0);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_map_keeps_the_order_for_every_chunk_size),
                cmocka_unit_test(test_map_of_nothing),
                cmocka_unit_test(test_apply_gives_what_the_function_gave),
                cmocka_unit_test(test_map_counts_what_did_not_succeed),
                cmocka_unit_test(test_map_of_json),
                cmocka_unit_test(test_what_is_no_array_can_not_be_mapped),
                cmocka_unit_test(test_large_inputs_and_results_cross),
                cmocka_unit_test(test_a_result_may_outlive_those_it_came_with),
                cmocka_unit_test(test_results_of_every_size_around_a_page_of_them),
                cmocka_unit_test(test_only_the_task_that_kills_its_worker_is_hit),
                cmocka_unit_test(test_a_worker_that_exits_is_dead_too),
                cmocka_unit_test(test_a_task_runs_again_as_often_as_was_asked),
                cmocka_unit_test(test_idle_workers_that_are_killed_are_replaced),
                cmocka_unit_test(test_a_stopped_worker_holds_up_its_tasks_and_no_end),
                cmocka_unit_test(test_each_worker_has_its_initializer_and_so_many_tasks),
                cmocka_unit_test(test_workers_that_do_not_start_are_told_of_and_not_waited_for),
                cmocka_unit_test(test_a_worker_that_hangs_at_its_start_keeps_no_pool),
                cmocka_unit_test(test_a_pool_that_makes_no_sense_is_refused),
                cmocka_unit_test(test_without_descriptors_tasks_are_told_so),
                cmocka_unit_test(test_results_are_called_back_or_taken_once),
                cmocka_unit_test(test_a_callback_may_call_the_pool),
                cmocka_unit_test(test_a_callback_may_free_the_pool),
                cmocka_unit_test(test_imap_gives_results_in_order_or_as_they_come),
                cmocka_unit_test(test_imap_is_not_far_ahead_of_a_slow_reader),
                cmocka_unit_test(test_an_imap_ends_with_what_its_inputs_end_with),
                cmocka_unit_test(test_an_imap_times_out_and_goes_on),
                cmocka_unit_test(test_a_pool_that_is_closed_ends_its_imaps),
                cmocka_unit_test(test_an_imap_that_is_freed_half_way_or_after_its_pool),
                cmocka_unit_test(test_close_lets_tasks_run_and_takes_no_more),
                cmocka_unit_test(test_a_pool_may_be_ended_while_threads_wait_for_it),
                cmocka_unit_test(test_threads_map_at_once),
                cmocka_unit_test(test_in_a_fork_the_pool_is_its_parents),
                cmocka_unit_test(test_a_program_may_exit_with_a_pool),
                cmocka_unit_test(test_nothing_is_left),
        };

        brood_process_init(argc, argv);
        set_up_inputs();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
