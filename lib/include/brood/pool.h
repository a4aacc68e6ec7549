/* SPDX-License-Identifier: MIT */
#pragma once

/* A pool of worker processes, as Python's multiprocessing.Pool has it.
 *
 *     static int square(BroodTask *task)
 *     {
 *             double x = *(const double *)brood_task_input(task, NULL);
 *
 *             x *= x;
 *             return brood_task_result(task, &x, sizeof(x));
 *     }
 *     BROOD_FUNCTION(square)
 *
 *     brood_pool_new(&pool, NULL);
 *     failed = brood_pool_map(pool, square, inputs, 100000, 0, &results);
 *
 * Tasks are bytes or JSON in, bytes or JSON out. Each worker has a line of its own to the pool, so
 * one that is killed, at whatever moment, is an error of its tasks (BROOD_TASK_KILLED; or they run
 * again, where `retries` says so), is replaced, and concerns nobody else: no call here ever hangs
 * because a process has died. Of a chunk only the task that was at work is hit, and the others run
 * on elsewhere.
 *
 * All functions may be called by any thread of the process that made the pool. They return 0, or
 * what they say, or a negative errno: -ESHUTDOWN after close or terminate, -ETIMEDOUT, -ENOENT the
 * function is not known by a name (see BROOD_FUNCTION), -ENOMEM, -EDEADLK in a callback, which can
 * not wait for tasks, -ECHILD in a fork of that process, where the pool is dead. Times are
 * microseconds; a negative timeout means for ever, 0 not to wait. */

#include <brood/process.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct BroodPool BroodPool;

/* --- in the worker --- */

typedef struct BroodTask BroodTask;

/* Returns 0 after brood_task_result…(), or without one (the result is empty), or non-zero after
 * brood_task_fail(). */
typedef int (*BroodFunction)(BroodTask *task);

/* Makes a function known by its name; needed for any start method but BROOD_FORK. */
#define BROOD_FUNCTION(function_)                                                                  \
        __attribute__((constructor)) static void brood_function_##function_(void)                  \
        {                                                                                          \
                brood_function_register(#function_, function_);                                    \
        }
void brood_function_register(const char *name, BroodFunction function);

/* The input: bytes with a 0 byte behind them that does not count, aligned to 16; valid during the
 * task. */
const void *brood_task_input(const BroodTask *task, size_t *ret_size);
/* The input parsed as JSON, borrowed; NULL: it is none (Python's starmap: unpack an array). */
const json_t *brood_task_json(BroodTask *task);
/* The result: copied; or stolen. Return 0, or non-zero after failing the task (no memory). */
int brood_task_result(BroodTask *task, const void *bytes, size_t size);
int brood_task_result_json(BroodTask *task, json_t *value);
/* It failed, and why, in words. Always returns 1 (Python: raise). */
int brood_task_fail(BroodTask *task, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- the pool --- */

typedef struct BroodBytes {
        const void *data;
        size_t size;
} BroodBytes;

typedef struct BroodPoolSpec {
        unsigned processes;          /* 0: as many as there are CPUs (Python: processes=) */
        BroodStartMethod method;     /* of a spec that is not NULL; without a spec: BROOD_FORK */
        BroodFunction initializer;   /* first thing in each worker; a failure ends the worker, and
                                        ten in a row, or fifty deaths before it is done, the
                                        pool: its tasks are cancelled and say why; so they do if
                                        for five seconds no worker can be started at all (Python:
                                        initializer=, where they wait for ever) */
        BroodBytes initial;          /* its input; copied (Python: initargs=) */
        unsigned tasks_per_child;    /* then it is replaced; 0: never (Python: maxtasksperchild=) */
        unsigned retries;            /* how often a task runs again that killed its worker */
} BroodPoolSpec;

/* NULL: all defaults. -EINVAL, -ENOENT (the initializer), -ENOTSUP as brood_process_start()
 * (Python: Pool(…)). */
int brood_pool_new(BroodPool **ret, const BroodPoolSpec *spec);

typedef enum BroodTaskState {
        BROOD_TASK_OK,
        BROOD_TASK_FAILED,     /* the function said so; `message` is what it said */
        BROOD_TASK_KILLED,     /* its worker died of it; `message` says how */
        BROOD_TASK_CANCELLED,  /* the pool was terminated before it ran to its end */
} BroodTaskState;

typedef struct BroodResult {
        BroodTaskState state;
        unsigned place;  /* the library's own */
        void *data;      /* with a 0 byte behind it that does not count; NULL unless OK */
        size_t size;
        char *message;   /* NULL if OK */
} BroodResult;

/* The bytes of results that came together are in one piece of memory, which goes with the last of
 * them; so it is these functions that free them, and not free(). A result may be moved as it is. */

/* Frees what is in each, and the array. */
void brood_results_free(BroodResult *results, size_t n);
/* Frees what is in one. */
void brood_result_clear(BroodResult *result);

/* Runs the function on one input and waits (Python: apply()). */
int brood_pool_apply(BroodPool *pool, BroodFunction function, BroodBytes input, BroodResult *ret);

/* Runs it on all inputs; results stand in their order. `chunk`: inputs that go to a worker at a
 * time; 0: chosen. Returns how many of them did not succeed, or -errno (Python: map()). */
int64_t brood_pool_map(BroodPool *pool, BroodFunction function, const BroodBytes *inputs, size_t n,
                       size_t chunk, BroodResult **ret);

/* The same with JSON: an array of inputs, an array of results (null where one did not succeed)
 * (Python: map(); with arrays as inputs: starmap()). */
int64_t brood_pool_map_json(BroodPool *pool, BroodFunction function, const json_t *inputs,
                            size_t chunk, json_t **ret);

/* --- one that runs by the way (Python: AsyncResult) --- */

typedef struct BroodAsync BroodAsync;

/* Called in a thread of the pool, which it must not hold up; the result is the callee's to clear.
 */
typedef void (*BroodCallback)(BroodResult *result, void *context);

/* Starts it and returns; the input is copied. With a callback `ret` may be NULL (Python:
 * apply_async(callback=, error_callback=)). */
int brood_pool_apply_async(BroodPool *pool, BroodFunction function, BroodBytes input,
                           BroodCallback callback, void *context, BroodAsync **ret);

/* Has it ended? (Python: ready(); successful() is the state of the result) */
int brood_async_ready(BroodAsync *async);
/* Waits; 0 or -ETIMEDOUT (Python: wait()). */
int brood_async_wait(BroodAsync *async, int64_t timeout_usec);
/* Waits and takes the result; once. -ENODATA: it went to the callback, or was taken (Python:
 * get()). */
int brood_async_get(BroodAsync *async, int64_t timeout_usec, BroodResult *ret);
/* It runs on all the same. May come after brood_pool_free(). */
void brood_async_free(BroodAsync *async);

/* --- one after the other (Python: imap(), imap_unordered()) --- */

typedef struct BroodImap BroodImap;

/* Gives the next input: 1 with *ret (which has to stay until the next call), 0 at the end, or
 * -errno. Called by the thread that asks for results, as it asks: never more ahead of the results
 * than keeps the workers busy. */
typedef int (*BroodNext)(void *context, BroodBytes *ret);

/* Runs it on what `next` gives; `ordered` 0: results come as they are ready. `chunk` 0: 1 (Python:
 * imap(), imap_unordered()). */
int brood_pool_imap(BroodPool *pool, BroodFunction function, BroodNext next, void *context,
                    size_t chunk, int ordered, BroodImap **ret);
/* 1 with *ret, and *ret_index the number of its input from 0 (may be NULL); 0 at the end;
 * -ETIMEDOUT, or what `next` returned; for one thread at a time (Python: next(), StopIteration). */
int brood_imap_next(BroodImap *imap, int64_t timeout_usec, BroodResult *ret, size_t *ret_index);
/* Tasks of it that have not begun do not. May come after brood_pool_free(). */
void brood_imap_free(BroodImap *imap);

/* --- its end --- */

/* No more tasks; those that are there run, and those of an imap up to its end (Python: close()). */
void brood_pool_close(BroodPool *pool);
/* Now: workers are killed, tasks cancelled (Python: terminate()). */
void brood_pool_terminate(BroodPool *pool);
/* Waits until all workers are gone, after either of them; -EINVAL before. An imap that is neither
 * at its end nor freed has tasks to come: nobody waits for ever who reads it in another thread, or
 * before (Python: join()). */
int brood_pool_join(BroodPool *pool, int64_t timeout_usec);
/* terminate, join, and gone; threads that wait for tasks are told that these are cancelled; in a
 * callback it does not wait (Python: with Pool() as pool). */
void brood_pool_free(BroodPool *pool);

/* Workers that live, up to n pids of them; returns how many there are. */
unsigned brood_pool_pids(BroodPool *pool, pid_t *pids, unsigned n);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
