/* SPDX-License-Identifier: MIT */

/* Pools. */

#include "cases.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <brood/pool.h>

static const double SECOND = 1; /* after which something that should be there does not come */

/* --- functions of the workers: numbers in, numbers out --- */

static int64_t number_of(const BroodTask *task)
{
        return *(const int64_t *)brood_task_input(task, NULL);
}

static int result_number(BroodTask *task, int64_t x)
{
        return brood_task_result(task, &x, sizeof(x));
}

static int square(BroodTask *task)
{
        return result_number(task, number_of(task) * number_of(task));
}
BROOD_FUNCTION(square)

static int odd_fails(BroodTask *task)
{
        int64_t x = number_of(task);

        return x % 2 ? brood_task_fail(task, "%d is odd", (int)x) : result_number(task, x);
}

static int three_fails(BroodTask *task)
{
        int64_t x = number_of(task);

        return x == 3 ? brood_task_fail(task, "three is") : result_number(task, x);
}

static int pid_of(BroodTask *task)
{
        return result_number(task, getpid());
}

static int length(BroodTask *task)
{
        size_t size;

        (void)brood_task_input(task, &size);
        return result_number(task, (int64_t)size);
}

static int twice(BroodTask *task)
{
        size_t size;
        const void *input = brood_task_input(task, &size);
        char *both = malloc(2 * size + 1);
        int r;

        memcpy(both, input, size);
        memcpy(both + size, input, size);
        r = brood_task_result(task, both, 2 * size);
        free(both);
        return r;
}

/* Of a text or an array. */
static int json_twice(BroodTask *task)
{
        const json_t *in = brood_task_json(task);
        json_t *out = json_array();

        if (json_is_string(in)) {
                json_decref(out);
                return brood_task_result_json(
                        task, json_sprintf("%s%s", json_string_value(in), json_string_value(in)));
        }
        (void)json_array_extend(out, (json_t *)in);
        (void)json_array_extend(out, (json_t *)in);
        return brood_task_result_json(task, out);
}

static int add(BroodTask *task)
{
        const json_t *pair = brood_task_json(task);

        return brood_task_result_json(
                task, json_integer(json_integer_value(json_array_get(pair, 0)) +
                                   json_integer_value(json_array_get(pair, 1))));
}

static int late(BroodTask *task)
{
        nap(0.3);
        return result_number(task, number_of(task));
}

static int first_is_late(BroodTask *task)
{
        if (number_of(task) == 0)
                nap(0.3);
        return result_number(task, number_of(task));
}

static int die(BroodTask *task)
{
        (void)task;
        return raise(SIGKILL);
}

static int leave(BroodTask *task)
{
        (void)task;
        _exit(3);
}

static int three_dies(BroodTask *task)
{
        return number_of(task) == 3 ? die(task) : result_number(task, number_of(task));
}

static int stay(BroodTask *task)
{
        (void)task;
        return for_ever(NULL);
}

static int64_t prepared;

static int prepare(BroodTask *task)
{
        prepared = number_of(task);
        return 0;
}

static int add_prepared(BroodTask *task)
{
        return result_number(task, number_of(task) + prepared);
}

static int fail_to_prepare(BroodTask *task)
{
        return brood_task_fail(task, "on purpose");
}

/* --- in the parent --- */

static BroodPool *pool_of(unsigned processes)
{
        BroodPool *pool;

        MUST(brood_pool_new(&pool, &(BroodPoolSpec){ .processes = processes,
                                                     .method = BROOD_FORK }));
        return pool;
}

static BroodBytes bytes_of(const int64_t *x)
{
        return (BroodBytes){ x, sizeof(*x) };
}

static int64_t number_in(const BroodResult *r)
{
        return r->state == BROOD_TASK_OK ? *(int64_t *)r->data : -1;
}

/* Writes a number, or what went wrong. */
static int describe(char *to, size_t room, const BroodResult *r)
{
        switch (r->state) {
        case BROOD_TASK_OK:
                return snprintf(to, room, "%lld", (long long)number_in(r));
        case BROOD_TASK_FAILED:
                return snprintf(to, room, "failed: %s", r->message);
        case BROOD_TASK_KILLED:
                return snprintf(to, room, "killed");
        case BROOD_TASK_CANCELLED:
                return snprintf(to, room, "cancelled");
        }
        return 0;
}

static void say_results(const BroodResult *results, size_t n)
{
        char line[1000] = "";
        size_t at = 0;

        for (size_t i = 0; i < n; i++) {
                at += (size_t)snprintf(line + at, sizeof(line) - at, "%s", i ? " " : "");
                at += (size_t)describe(line + at, sizeof(line) - at, &results[i]);
        }
        say("%s", line);
}

static void say_result(int r, BroodResult *result)
{
        if (r == -ETIMEDOUT)
                say("nothing comes");
        else if (r < 0)
                say("%s", word(r));
        else {
                say_results(result, 1);
                brood_result_clear(result);
        }
}

/* The function of `from` to `to` - 1. */
static BroodResult *map(BroodPool *pool, BroodFunction function, int64_t from, int64_t to,
                        size_t chunk)
{
        size_t n = (size_t)(to - from);
        BroodBytes *inputs = calloc(n + 1, sizeof(*inputs));
        int64_t *numbers = calloc(n + 1, sizeof(*numbers));
        BroodResult *results = NULL;

        for (size_t i = 0; i < n; i++) {
                numbers[i] = from + (int64_t)i;
                inputs[i] = bytes_of(&numbers[i]);
        }
        MUST((int)brood_pool_map(pool, function, inputs, n, chunk, &results));
        free(inputs);
        free(numbers);
        return results;
}

static void say_map(BroodPool *pool, BroodFunction function, int n, size_t chunk)
{
        BroodResult *results = map(pool, function, 0, n, chunk);

        say_results(results, (size_t)n);
        brood_results_free(results, (size_t)n);
}

static void say_apply(BroodPool *pool, BroodFunction function, int64_t x)
{
        BroodResult result;
        int r = brood_pool_apply(pool, function, bytes_of(&x), &result);

        say_result(r, &result);
}

static BroodAsync *begin(BroodPool *pool, BroodFunction function, int64_t x)
{
        BroodAsync *async;

        MUST(brood_pool_apply_async(pool, function, bytes_of(&x), NULL, NULL, &async));
        return async;
}

static void say_async(BroodAsync *async, double timeout)
{
        BroodResult result;
        int r = brood_async_get(async, usec(timeout), &result);

        say_result(r, &result);
}

/* --- map --- */

CASE(map_is_in_order)
{
        BroodPool *pool = pool_of(3);

        say_map(pool, square, 20, 0);
        brood_pool_free(pool);
}

CASE(map_of_nothing)
{
        BroodPool *pool = pool_of(2);
        BroodResult *results = NULL;

        say("%d", (int)brood_pool_map(pool, square, NULL, 0, 0, &results));
        brood_results_free(results, 0);
        brood_pool_free(pool);
}

CASE(map_by_chunks)
{
        static const size_t chunks[] = { 1, 3, 7, 100 };
        BroodPool *pool = pool_of(2);

        for (unsigned i = 0; i < LENGTH(chunks); i++)
                say_map(pool, square, 10, chunks[i]);
        brood_pool_free(pool);
}

static long long sum_of_map(BroodPool *pool, int64_t from, int64_t to, size_t chunk)
{
        BroodResult *results = map(pool, square, from, to, chunk);
        long long sum = 0;

        for (int64_t i = 0; i < to - from; i++)
                sum += number_in(&results[i]);
        brood_results_free(results, (size_t)(to - from));
        return sum;
}

CASE(map_of_many)
{
        BroodPool *pool = pool_of(2);

        say("%lld", sum_of_map(pool, 0, 20000, 0));
        brood_pool_free(pool);
}

CASE(map_waits_for_the_late)
{
        BroodPool *pool = pool_of(2);

        say_map(pool, first_is_late, 5, 1);
        brood_pool_free(pool);
}

CASE(map_with_a_failure)
{
        BroodPool *pool = pool_of(2);

        say_map(pool, three_fails, 5, 1);
        brood_pool_free(pool);
}

CASE(map_after_failures)
{
        BroodPool *pool = pool_of(2);

        brood_results_free(map(pool, odd_fails, 0, 5, 1), 5);
        say_map(pool, square, 5, 0);
        brood_pool_free(pool);
}

typedef struct Sum {
        BroodPool *pool;
        int64_t from;
        long long sum;
} Sum;

static void *sum_in_thread(void *context)
{
        Sum *s = context;

        s->sum = sum_of_map(s->pool, s->from, 1000, 10);
        return NULL;
}

CASE(map_by_two_threads)
{
        BroodPool *pool = pool_of(2);
        Sum sums[2] = { { pool, 0, 0 }, { pool, 500, 0 } };
        pthread_t threads[2];

        for (int i = 0; i < 2; i++)
                MUST(-pthread_create(&threads[i], NULL, sum_in_thread, &sums[i]));
        for (int i = 0; i < 2; i++)
                MUST(-pthread_join(threads[i], NULL));
        say("%lld %lld", sums[0].sum, sums[1].sum);
        brood_pool_free(pool);
}

CASE(starmap)
{
        BroodPool *pool = pool_of(2);
        json_t *in = json_pack("[[ii][ii][ii]]", 1, 2, 10, 20, -1, 1), *out, *x;
        char line[100] = "";
        size_t i;

        MUST((int)brood_pool_map_json(pool, add, in, 0, &out));
        json_array_foreach(out, i, x)
                (void)snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%d",
                               i ? " " : "", (int)json_integer_value(x));
        say("%s", line);
        json_decref(in);
        json_decref(out);
        brood_pool_free(pool);
}

CASE(map_of_json)
{
        BroodPool *pool = pool_of(2);
        json_t *in = json_pack("[ss[in]s]", "a", "ü", 1, ""), *out;
        char *text;

        MUST((int)brood_pool_map_json(pool, json_twice, in, 0, &out));
        text = json_dumps(out, JSON_COMPACT);
        say("%s", text);
        free(text);
        json_decref(in);
        json_decref(out);
        brood_pool_free(pool);
}

/* --- apply --- */

CASE(apply)
{
        BroodPool *pool = pool_of(2);

        for (int64_t x = 0; x < 3; x++)
                say_apply(pool, square, x);
        brood_pool_free(pool);
}

CASE(apply_that_fails)
{
        BroodPool *pool = pool_of(2);

        say_apply(pool, odd_fails, 7);
        say_apply(pool, odd_fails, 8);
        brood_pool_free(pool);
}

CASE(apply_to_large_input)
{
        BroodPool *pool = pool_of(2);
        char *input = calloc(1, 5 << 20);
        BroodResult result;

        MUST(brood_pool_apply(pool, length, (BroodBytes){ input, 5 << 20 }, &result));
        say_result(0, &result);
        free(input);
        brood_pool_free(pool);
}

CASE(apply_with_large_result)
{
        BroodPool *pool = pool_of(2);
        char *input = calloc(1, 3 << 20);
        BroodResult result;

        MUST(brood_pool_apply(pool, twice, (BroodBytes){ input, 3 << 20 }, &result));
        say("%zu", result.size);
        brood_result_clear(&result);
        free(input);
        brood_pool_free(pool);
}

CASE(apply_async)
{
        BroodPool *pool = pool_of(2);
        BroodAsync *later = begin(pool, late, 7);

        say("ready: %s", yes(brood_async_ready(later)));
        say_async(later, 0.02);
        MUST(brood_async_wait(later, -1));
        say("ready: %s", yes(brood_async_ready(later)));
        say_async(later, 5);
        brood_async_free(later);
        brood_pool_free(pool);
}

CASE(apply_async_of_many)
{
        BroodPool *pool = pool_of(2);
        BroodResult results[50];
        BroodAsync *later[50];

        for (int i = 0; i < 50; i++)
                later[i] = begin(pool, square, i);
        for (int i = 0; i < 50; i++) {
                MUST(brood_async_get(later[i], usec(20), &results[i]));
                brood_async_free(later[i]);
        }
        say_results(results, 50);
        for (int i = 0; i < 50; i++)
                brood_result_clear(&results[i]);
        brood_pool_free(pool);
}

/* Context: the write end of a pipe. */
static void called(BroodResult *result, void *context)
{
        if (result->state == BROOD_TASK_OK)
                say("called with %d", (int)number_in(result));
        else
                say("called with: %s", result->message);
        brood_result_clear(result);
        MUST(brood_send(context, "", 0));
}

static void say_call_back(BroodFunction function, int64_t x)
{
        BroodPool *pool = pool_of(2);
        BroodConnection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        MUST(brood_pool_apply_async(pool, function, bytes_of(&x), called, put, NULL));
        say("%s", yes(MUST(brood_poll(got, usec(20)))));
        brood_pool_free(pool);
}

CASE(apply_async_with_callback)
{
        say_call_back(square, 9);
}

CASE(apply_async_with_error_callback)
{
        say_call_back(odd_fails, 9);
}

/* --- imap --- */

typedef struct Range {
        int64_t next, end;
        int64_t given;
} Range;

static int next_of_range(void *context, BroodBytes *ret)
{
        Range *r = context;

        if (r->next == r->end)
                return 0;
        r->given = r->next++;
        *ret = bytes_of(&r->given);
        return 1;
}

static BroodImap *imap(BroodPool *pool, BroodFunction function, Range *range, size_t chunk,
                       int ordered)
{
        BroodImap *i;

        MUST(brood_pool_imap(pool, function, next_of_range, range, chunk, ordered, &i));
        return i;
}

/* All results; how many. */
static size_t all_of(BroodImap *i, BroodResult *results)
{
        size_t n = 0;

        while (MUST(brood_imap_next(i, usec(20), &results[n], NULL)))
                n++;
        return n;
}

static int by_number(const void *a, const void *b)
{
        int64_t x = number_in(a), y = number_in(b);

        return (x > y) - (x < y);
}

static void say_imap(BroodFunction function, int64_t n, size_t chunk)
{
        BroodPool *pool = pool_of(2);
        BroodImap *i = imap(pool, function, &(Range){ 0, n, 0 }, chunk, true);
        BroodResult results[32];
        size_t got = all_of(i, results);

        say_results(results, got);
        while (got)
                brood_result_clear(&results[--got]);
        brood_imap_free(i);
        brood_pool_free(pool);
}

CASE(imap_is_in_order)
{
        say_imap(first_is_late, 10, 1);
}

CASE(imap_by_chunks)
{
        say_imap(square, 10, 3);
}

CASE(imap_unordered)
{
        BroodPool *pool = pool_of(2);
        BroodImap *i = imap(pool, square, &(Range){ 0, 20, 0 }, 1, false);
        BroodResult results[32];
        size_t got = all_of(i, results);

        qsort(results, got, sizeof(results[0]), by_number);
        say_results(results, got);
        while (got)
                brood_result_clear(&results[--got]);
        brood_imap_free(i);
        brood_pool_free(pool);
}

CASE(imap_unordered_does_not_wait_for_the_late)
{
        BroodPool *pool = pool_of(2);
        BroodImap *i = imap(pool, first_is_late, &(Range){ 0, 4, 0 }, 1, false);
        BroodResult results[32];
        size_t got = all_of(i, results);

        say("the last is %d", (int)number_in(&results[got - 1]));
        while (got)
                brood_result_clear(&results[--got]);
        brood_imap_free(i);
        brood_pool_free(pool);
}

static void say_next(BroodImap *i, double timeout)
{
        BroodResult result;
        int r = brood_imap_next(i, usec(timeout), &result, NULL);

        if (r == 0)
                say("at the end");
        else
                say_result(r, &result);
}

CASE(imap_with_failures)
{
        BroodPool *pool = pool_of(2);
        BroodImap *i = imap(pool, odd_fails, &(Range){ 0, 5, 0 }, 1, true);

        for (int k = 0; k < 6; k++)
                say_next(i, 20);
        brood_imap_free(i);
        brood_pool_free(pool);
}

CASE(imap_timeout)
{
        BroodPool *pool = pool_of(2);
        BroodImap *i = imap(pool, late, &(Range){ 5, 6, 0 }, 1, true);

        say_next(i, 0.02);
        say_next(i, 20);
        brood_imap_free(i);
        brood_pool_free(pool);
}

CASE(imap_at_the_end)
{
        BroodPool *pool = pool_of(2);
        BroodImap *i = imap(pool, square, &(Range){ 0, 1, 0 }, 1, true);

        for (int k = 0; k < 3; k++)
                say_next(i, 20);
        brood_imap_free(i);
        brood_pool_free(pool);
}

/* --- workers --- */

/* How many different numbers there are. */
static int different(const BroodResult *results, size_t n)
{
        int found = 0;

        for (size_t i = 0; i < n; i++) {
                size_t k = 0;

                while (number_in(&results[k]) != number_in(&results[i]))
                        k++;
                found += k == i;
        }
        return found;
}

CASE(workers_are_used_again)
{
        BroodPool *pool = pool_of(2);
        BroodResult *results = map(pool, pid_of, 0, 50, 1);
        bool mine = false;

        for (int i = 0; i < 50; i++)
                mine = mine || number_in(&results[i]) == getpid();
        say("at most two: %s, not mine: %s", yes(different(results, 50) <= 2), yes(!mine));
        brood_results_free(results, 50);
        brood_pool_free(pool);
}

CASE(workers_as_many_as_wanted)
{
        BroodPool *pool = pool_of(3);

        for (int i = 0; i < 1000 && brood_pool_pids(pool, NULL, 0) < 3; i++)
                nap(0.01);
        say("%u", brood_pool_pids(pool, NULL, 0));
        brood_pool_free(pool);
}

static BroodPool *pool_with(BroodFunction initializer, const int64_t *x, unsigned processes,
                            unsigned tasks_per_child)
{
        BroodPool *pool;

        MUST(brood_pool_new(&pool, &(BroodPoolSpec){ .processes = processes,
                                                     .method = BROOD_FORK,
                                                     .initializer = initializer,
                                                     .initial = { x, x ? sizeof(*x) : 0 },
                                                     .tasks_per_child = tasks_per_child }));
        return pool;
}

CASE(tasks_per_child)
{
        for (unsigned n = 1; n <= 3; n++) {
                BroodPool *pool = pool_with(NULL, NULL, 1, n);
                BroodResult *results = map(pool, pid_of, 0, 6, 1);

                say("%u tasks: %d processes", n, different(results, 6));
                brood_results_free(results, 6);
                brood_pool_free(pool);
        }
}

CASE(initializer)
{
        BroodPool *pool = pool_with(prepare, &(int64_t){ 1000 }, 2, 0);

        say_map(pool, add_prepared, 5, 1);
        brood_pool_free(pool);
}

CASE(initializer_of_replacements)
{
        BroodPool *pool = pool_with(prepare, &(int64_t){ 1000 }, 1, 1);

        say_map(pool, add_prepared, 3, 1);
        brood_pool_free(pool);
}

CASE(initializer_that_fails)
{
        BroodPool *pool = pool_with(fail_to_prepare, &(int64_t){ 0 }, 1, 0);
        BroodAsync *later = begin(pool, square, 1);

        say_async(later, SECOND);
        brood_async_free(later);
        brood_pool_free(pool);
}

CASE(pool_by_start_method)
{
        static const BroodStartMethod methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };

        for (unsigned i = 0; i < LENGTH(methods); i++) {
                BroodPool *pool;

                MUST(brood_pool_new(&pool, &(BroodPoolSpec){ .processes = 2,
                                                             .method = methods[i] }));
                say_map(pool, square, 5, 0);
                brood_pool_free(pool);
        }
}

static int have_a_pool(BroodChild *self)
{
        BroodPool *pool = pool_of(2);

        (void)self;
        say_map(pool, square, 5, 0);
        brood_pool_free(pool);
        return 0;
}

CASE(pool_in_a_child)
{
        ended(child(have_a_pool, NULL));
}

/* --- deaths --- */

CASE(worker_killed_at_work)
{
        BroodPool *pool = pool_of(2);

        say_map(pool, three_dies, 6, 1);
        brood_pool_free(pool);
}

static void say_one(BroodFunction function, double timeout)
{
        BroodPool *pool = pool_of(1);
        BroodAsync *later = begin(pool, function, 1);

        say_async(later, timeout);
        brood_async_free(later);
        brood_pool_free(pool);
}

CASE(worker_killed_by_its_task)
{
        say_one(die, SECOND);
}

CASE(worker_left_by_its_task)
{
        say_one(leave, SECOND);
}

CASE(next_task_after_a_death)
{
        BroodPool *pool = pool_of(1);
        BroodAsync *dead = begin(pool, die, 1), *later;

        (void)brood_async_wait(dead, usec(SECOND));
        later = begin(pool, square, 5);
        say_async(later, 20);
        brood_async_free(dead);
        brood_async_free(later);
        brood_pool_free(pool);
}

CASE(idle_worker_killed)
{
        BroodPool *pool = pool_of(1);
        BroodResult *pid = map(pool, pid_of, 0, 1, 1);
        BroodAsync *later;

        nap(0.1);
        (void)kill((pid_t)number_in(pid), SIGKILL);
        nap(0.3);
        later = begin(pool, square, 5);
        say_async(later, SECOND);
        brood_async_free(later);
        brood_results_free(pid, 1);
        brood_pool_free(pool);
}

/* --- the end --- */

static const char *word_of_apply(BroodPool *pool)
{
        BroodResult result;
        int r = brood_pool_apply(pool, square, bytes_of(&(int64_t){ 1 }), &result);

        if (r == 0)
                brood_result_clear(&result);
        return word(r);
}

CASE(submit_after_close)
{
        BroodPool *pool = pool_of(1);
        BroodResult *results;
        BroodBytes input = bytes_of(&(int64_t){ 1 });

        brood_pool_close(pool);
        say("%s", word_of_apply(pool));
        say("%s", word((int)brood_pool_map(pool, square, &input, 1, 0, &results)));
        brood_pool_free(pool);
}

CASE(submit_after_terminate)
{
        BroodPool *pool = pool_of(1);
        BroodAsync *later;

        brood_pool_terminate(pool);
        say("%s", word(brood_pool_apply_async(pool, square, bytes_of(&(int64_t){ 1 }), NULL, NULL,
                                              &later)));
        brood_pool_free(pool);
}

CASE(close_runs_what_is_there)
{
        BroodPool *pool = pool_of(1);
        BroodResult results[3];
        BroodAsync *later[3];

        for (int i = 0; i < 3; i++)
                later[i] = begin(pool, late, i);
        brood_pool_close(pool);
        MUST(brood_pool_join(pool, -1));
        for (int i = 0; i < 3; i++) {
                MUST(brood_async_get(later[i], 0, &results[i]));
                brood_async_free(later[i]);
        }
        say_results(results, 3);
        for (int i = 0; i < 3; i++)
                brood_result_clear(&results[i]);
        brood_pool_free(pool);
}

CASE(close_twice)
{
        BroodPool *pool = pool_of(1);

        brood_pool_close(pool);
        brood_pool_close(pool);
        MUST(brood_pool_join(pool, -1));
        MUST(brood_pool_join(pool, -1));
        say("joined");
        brood_pool_free(pool);
}

CASE(join_before_close)
{
        BroodPool *pool = pool_of(1);

        say("%s", word(brood_pool_join(pool, -1)));
        brood_pool_close(pool);
        MUST(brood_pool_join(pool, -1));
        brood_pool_free(pool);
}

CASE(terminate_while_a_task_runs)
{
        BroodPool *pool = pool_of(2);

        for (int i = 0; i < 2; i++)
                brood_async_free(begin(pool, stay, 0));
        nap(0.2);
        brood_pool_terminate(pool);
        MUST(brood_pool_join(pool, -1));
        say("joined");
        brood_pool_free(pool);
}

CASE(terminate_twice)
{
        BroodPool *pool = pool_of(2);

        brood_pool_terminate(pool);
        brood_pool_terminate(pool);
        MUST(brood_pool_join(pool, -1));
        say("joined");
        brood_pool_free(pool);
}

CASE(close_after_terminate)
{
        BroodPool *pool = pool_of(2);

        brood_pool_terminate(pool);
        brood_pool_close(pool);
        MUST(brood_pool_join(pool, -1));
        say("%s", word_of_apply(pool));
        brood_pool_free(pool);
}

CASE(result_after_terminate)
{
        BroodPool *pool = pool_of(1);
        BroodAsync *later = begin(pool, stay, 0);

        nap(0.2);
        brood_pool_terminate(pool);
        MUST(brood_pool_join(pool, -1));
        say_async(later, SECOND);
        brood_async_free(later);
        brood_pool_free(pool);
}

/* Whether it runs; one that nobody has reaped does not. */
static bool exists(pid_t pid)
{
        char path[32], state = 'Z';
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        f = fopen(path, "re");
        if (!f)
                return false;
        if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
                state = 'Z';
        (void)fclose(f);
        return state != 'Z';
}

CASE(workers_are_gone_after_join)
{
        BroodPool *pool = pool_of(2);
        BroodResult *results = map(pool, pid_of, 0, 20, 1);
        bool gone = true;

        brood_pool_close(pool);
        MUST(brood_pool_join(pool, -1));
        for (int i = 0; i < 20; i++)
                gone = gone && !exists((pid_t)number_in(&results[i]));
        say("gone: %s", yes(gone));
        brood_results_free(results, 20);
        brood_pool_free(pool);
}

static BroodPool *forgotten;

CASE(pool_that_is_forgotten)
{
        forgotten = pool_of(2);
        say_map(forgotten, square, 3, 0);
}

static int tell_a_worker(BroodChild *self)
{
        BroodPool *pool = pool_of(1);
        BroodResult *pid = map(pool, pid_of, 0, 1, 1);

        MUST(brood_send(self->context, pid->data, sizeof(int64_t)));
        return for_ever(self);
}

CASE(pool_of_a_killed_process)
{
        BroodConnection *got, *put;
        BroodProcess *p;
        int64_t pid = 0;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(tell_a_worker, put, 1, put);
        MUST((int)brood_receive_into(got, &pid, sizeof(pid), NULL));
        MUST(brood_process_kill(p));
        ended(p);
        for (int i = 0; i < 100 && exists((pid_t)pid); i++)
                nap(0.01);
        say("its worker is gone: %s", yes(!exists((pid_t)pid)));
}
