/* SPDX-License-Identifier: MIT */

/* What callers do. */

#include <brood/pool.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "pool/block.h"
#include "pool/inside.h"
#include "process/child.h"

const char pool_terminated[] = "the pool was terminated";

void brood_result_clear(BroodResult *r)
{
        BlockRun run = BLOCK_RUN_INIT;

        block_run_add(&run, r);
        block_run_end(&run);
        free(r->message);
        *r = (BroodResult){ 0 };
}

void brood_results_free(BroodResult *results, size_t n)
{
        BlockRun run = BLOCK_RUN_INIT;

        for (size_t i = 0; results && i < n; i++) {
                block_run_add(&run, &results[i]);
                free(results[i].message);
        }
        block_run_end(&run);
        free(results);
}

/* --- life --- */

bool pool_is_ours(const BroodPool *pool)
{
        return pool->generation == children_generation();
}

void pool_lock(BroodPool *pool)
{
        (void)pthread_mutex_lock(&pool->mutex);
}

void pool_unlock(BroodPool *pool)
{
        (void)pthread_mutex_unlock(&pool->mutex);
}

bool pool_is_foreman(const BroodPool *pool)
{
        return pthread_equal(pthread_self(), pool->foreman);
}

static int copy_bytes(BroodBytes *to, BroodBytes from)
{
        void *copy = malloc(from.size + 1);

        if (!copy)
                return -ENOMEM;
        if (from.size)
                memcpy(copy, from.data, from.size);
        *to = (BroodBytes){ copy, from.size };
        return 0;
}

static void destroy(BroodPool *pool)
{
        fd_close(pool->epoll);
        fd_close(pool->wake);
        (void)pthread_mutex_destroy(&pool->mutex);
        (void)pthread_cond_destroy(&pool->ended);
        free((void *)pool->initial.data);
        free(pool->broken);
        free(pool);
}

DEFINE_CLEANUP(BroodPool, destroy);

void pool_release(BroodPool *pool)
{
        bool last = --pool->users == 0;

        pool_unlock(pool);
        if (last)
                destroy(pool);
}

static int take_spec(BroodPool *pool, const BroodPoolSpec *spec)
{
        pool->method = spec ? spec->method : BROOD_FORK;
        if ((unsigned)pool->method > BROOD_FORKSERVER)
                return -EINVAL;
        if (pool->method != BROOD_FORK && !child_can_be_fresh())
                return -ENOTSUP;
        pool->size = spec && spec->processes ? spec->processes : brood_cpu_count();
        if (!spec)
                return 0;
        pool->tasks_per_child = spec->tasks_per_child;
        pool->retries = spec->retries;
        if (spec->initializer &&
            !function_write(&pool->initializer, spec->initializer, pool->method))
                return -ENOENT;
        return copy_bytes(&pool->initial, spec->initial);
}

static int make_ground(BroodPool *pool)
{
        struct epoll_event e = { .events = EPOLLIN };

        pool->epoll = fd_own(epoll_create1(EPOLL_CLOEXEC));
        pool->wake = fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (pool->epoll < 0 || pool->wake < 0 ||
            epoll_ctl(pool->epoll, EPOLL_CTL_ADD, pool->wake, &e) < 0)
                return -errno;
        return 0;
}

/* The program's signals are not for this thread. */
static int start_foreman(BroodPool *pool)
{
        sigset_t all, before;
        int r;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&pool->foreman, NULL, foreman, pool);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

int brood_pool_new(BroodPool **ret, const BroodPoolSpec *spec)
{
        AUTO(destroy) BroodPool *pool = calloc(1, sizeof(*pool));
        int r;

        if (!pool)
                return -ENOMEM;
        list_init(&pool->chunks);
        list_init(&pool->refused);
        list_init(&pool->hands);
        (void)pthread_mutex_init(&pool->mutex, NULL);
        cond_init(&pool->ended);
        pool->users = 2; /* the caller, and the foreman */
        pool->generation = children_generation();
        r = make_ground(pool);
        if (r == 0)
                r = take_spec(pool, spec);
        if (r == 0)
                r = start_foreman(pool);
        if (r < 0)
                return r;
        *ret = MOVE_PTR(pool);
        return 0;
}

static void end(BroodPool *pool, bool now)
{
        if (!pool_is_ours(pool))
                return;
        pool_lock(pool);
        pool->closing = true;
        pool->terminating |= now;
        foreman_wake(pool);
        pool_unlock(pool);
}

void brood_pool_close(BroodPool *pool)
{
        end(pool, false);
}

void brood_pool_terminate(BroodPool *pool)
{
        end(pool, true);
}

/* --- waiting --- */

bool pool_wait(BroodPool *pool, pthread_cond_t *changed, usec_t until)
{
        struct timespec t = clock_timespec(until);

        if (until == USEC_INFINITY)
                return pthread_cond_wait(changed, &pool->mutex) == 0;
        return pthread_cond_timedwait(changed, &pool->mutex, &t) != ETIMEDOUT;
}

/* Under the lock. */
static int wait_for_batch(Batch *b, int64_t timeout_usec)
{
        usec_t until = clock_until(timeout_usec);

        if (b->left && timeout_usec && pool_is_foreman(b->pool))
                return -EDEADLK;
        while (b->left)
                if (!pool_wait(b->pool, b->ended, until) && b->left)
                        return -ETIMEDOUT;
        return 0;
}

static int wait_for_end(BroodPool *pool, int64_t timeout_usec)
{
        usec_t until = clock_until(timeout_usec);

        if (!pool->closing)
                return -EINVAL;
        if (pool_is_foreman(pool))
                return -EDEADLK;
        while (!pool->over)
                if (!pool_wait(pool, &pool->ended, until) && !pool->over)
                        return -ETIMEDOUT;
        return 0;
}

int brood_pool_join(BroodPool *pool, int64_t timeout_usec)
{
        int r;

        if (!pool_is_ours(pool))
                return -ECHILD;
        pool_lock(pool);
        pool->users++;
        r = wait_for_end(pool, timeout_usec);
        pool_release(pool);
        return r;
}

/* Whoever is still in a call, or has an async or an imap of it, keeps the memory. */
void brood_pool_free(BroodPool *pool)
{
        if (!pool || !pool_is_ours(pool))
                return;
        brood_pool_terminate(pool);
        if (pool_is_foreman(pool))
                (void)pthread_detach(pool->foreman); /* from a callback */
        else
                (void)pthread_join(pool->foreman, NULL);
        pool_lock(pool);
        pool_release(pool);
}

unsigned brood_pool_pids(BroodPool *pool, pid_t *pids, unsigned n)
{
        const Hand *h;
        unsigned found = 0;

        if (!pool_is_ours(pool))
                return 0;
        pool_lock(pool);
        LIST_FOREACH(&pool->hands, h, link) {
                if (found < n)
                        pids[found] = brood_process_pid(h->process);
                found++;
        }
        pool_unlock(pool);
        return found;
}

/* --- batches --- */

/* As Python: four chunks for each worker. */
static size_t chunk_for(const BroodPool *pool, size_t n, size_t chunk)
{
        return chunk ? chunk : MAX((n + 4 * (size_t)pool->size - 1) / (4 * (size_t)pool->size),
                                   (size_t)1);
}

/* Under the lock. */
static int begin(BroodPool *pool, BroodFunction function, const BroodBytes *inputs, size_t n,
                 size_t chunk, Batch **ret)
{
        WireFunction name;
        Batch *b;
        int r;

        if (pool->closing)
                return -ESHUTDOWN;
        if (!function || !function_write(&name, function, pool->method))
                return -ENOENT;
        b = batch_new(pool, function, inputs, n);
        if (!b)
                return -ENOMEM;
        r = batch_start(b, chunk_for(pool, n, chunk));
        if (r < 0) {
                batch_release(b);
                return r;
        }
        *ret = b;
        return 0;
}

int64_t brood_pool_map(BroodPool *pool, BroodFunction function, const BroodBytes *inputs, size_t n,
                       size_t chunk, BroodResult **ret)
{
        Batch *b;
        int64_t r;

        if (!pool_is_ours(pool))
                return -ECHILD;
        if (pool_is_foreman(pool))
                return -EDEADLK;
        pool_lock(pool);
        pool->users++;
        r = begin(pool, function, inputs, n, chunk, &b);
        if (r == 0) {
                (void)wait_for_batch(b, -1);
                r = (int64_t)b->failed;
                *ret = MOVE_PTR(b->results);
                b->n = 0; /* they are the caller's */
                batch_release(b);
        }
        pool_release(pool);
        return r;
}

int brood_pool_apply(BroodPool *pool, BroodFunction function, BroodBytes input, BroodResult *ret)
{
        BroodResult *results;
        int64_t r = brood_pool_map(pool, function, &input, 1, 1, &results);

        if (r < 0)
                return (int)r;
        *ret = results[0];
        free(results);
        return 0;
}

/* --- JSON --- */

static int write_inputs(const json_t *inputs, BroodBytes *to)
{
        const json_t *one;
        size_t i;

        json_array_foreach(inputs, i, one) {
                char *text = json_dumps(one, JSON_COMPACT | JSON_ENCODE_ANY);

                if (!text)
                        return -ENOMEM;
                to[i] = (BroodBytes){ text, strlen(text) };
        }
        return 0;
}

static json_t *read_results(const BroodResult *results, size_t n)
{
        json_t *all = json_array();

        for (size_t i = 0; all && i < n; i++) {
                json_t *one = results[i].state == BROOD_TASK_OK
                                      ? json_loadb(results[i].data, results[i].size,
                                                   JSON_DECODE_ANY, NULL)
                                      : NULL;

                (void)json_array_append_new(all, one ? one : json_null());
        }
        return all;
}

int64_t brood_pool_map_json(BroodPool *pool, BroodFunction function, const json_t *inputs,
                            size_t chunk, json_t **ret)
{
        size_t n = json_array_size(inputs);
        BroodBytes *texts = json_is_array(inputs) ? calloc(n + 1, sizeof(*texts)) : NULL;
        BroodResult *results = NULL;
        int64_t r = texts ? write_inputs(inputs, texts) : json_is_array(inputs) ? -ENOMEM : -EINVAL;

        if (r == 0)
                r = brood_pool_map(pool, function, texts, n, chunk, &results);
        if (r >= 0) {
                *ret = read_results(results, n);
                brood_results_free(results, n);
                r = *ret ? r : -ENOMEM;
        }
        for (size_t i = 0; texts && i < n; i++)
                free((void *)texts[i].data);
        free(texts);
        return r;
}

/* --- by the way --- */

struct BroodAsync {
        Batch *batch;
        bool taken;
};

static int begin_async(BroodPool *pool, BroodFunction function, BroodBytes input,
                       BroodCallback callback, void *context, Batch **ret)
{
        BroodBytes copy;
        Batch *b;
        int r = copy_bytes(&copy, input);

        if (r < 0)
                return r;
        r = begin(pool, function, &copy, 1, 1, &b);
        if (r < 0) {
                free((void *)copy.data);
                return r;
        }
        b->owned = copy; /* nobody has looked: the lock is ours */
        b->inputs = &b->owned;
        b->callback = callback;
        b->context = context;
        *ret = b;
        return 0;
}

int brood_pool_apply_async(BroodPool *pool, BroodFunction function, BroodBytes input,
                           BroodCallback callback, void *context, BroodAsync **ret)
{
        AUTO(free) BroodAsync *async = calloc(1, sizeof(*async));
        Batch *b;
        int r;

        if (!async)
                return -ENOMEM;
        if (!pool_is_ours(pool))
                return -ECHILD;
        pool_lock(pool);
        r = begin_async(pool, function, input, callback, context, &b);
        if (r == 0 && ret)
                pool->users++;
        else if (r == 0)
                batch_release(b);
        pool_unlock(pool);
        if (r < 0 || !ret)
                return r;
        async->batch = b;
        async->taken = callback != NULL;
        *ret = MOVE_PTR(async);
        return 0;
}

int brood_async_wait(BroodAsync *async, int64_t timeout_usec)
{
        BroodPool *pool = async->batch->pool;
        int r;

        if (!pool_is_ours(pool))
                return -ECHILD;
        pool_lock(pool);
        r = wait_for_batch(async->batch, timeout_usec);
        pool_unlock(pool);
        return r;
}

int brood_async_ready(BroodAsync *async)
{
        return brood_async_wait(async, 0) == 0;
}

int brood_async_get(BroodAsync *async, int64_t timeout_usec, BroodResult *ret)
{
        BroodPool *pool = async->batch->pool;
        int r = brood_async_wait(async, timeout_usec);

        if (r < 0)
                return r;
        pool_lock(pool);
        if (async->taken) {
                r = -ENODATA;
        } else {
                async->taken = true;
                *ret = async->batch->results[0];
                async->batch->results[0] = (BroodResult){ 0 };
        }
        pool_unlock(pool);
        return r;
}

void brood_async_free(BroodAsync *async)
{
        BroodPool *pool;

        if (!async || !pool_is_ours(async->batch->pool))
                return;
        pool = async->batch->pool;
        pool_lock(pool);
        batch_release(async->batch);
        pool_release(pool);
        free(async);
}
