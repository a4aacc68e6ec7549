/* SPDX-License-Identifier: MIT */
#pragma once

/* Handlers that wait without a thread: for pools with Concurrency=async.
 *
 * A worker of such a pool has one thread and one event loop (libevent), and as many jobs in flight
 * as the pool's Slots= says. A handler has a start function beside, or instead of, `run`: it begins
 * what is to be waited for and returns; when the job is done, some callback gives the result and
 * completes it. Nothing may block: what one job does, all others of its worker wait for.
 *
 *     static void woken(BroodJob *job, void *context)
 *     {
 *             brood_job_result(job, "{\"slept\":true}", 14);
 *             brood_job_complete(job);
 *     }
 *
 *     static int nap(BroodJob *job)
 *     {
 *             return brood_async_after(job, 1000000, woken, NULL);
 *     }
 *
 *     static const BroodHandler handlers[] = { { .name = "nap", .start = nap }, { 0 } };
 *
 * What a job waits for here is forgotten when it completes, without a call. All of it is called in
 * the worker's thread. The functions return 0, or -errno; -ENOTSUP where the pool is not async. */

#include <stdint.h>
#include <sys/types.h>

#include "brood/handler.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*BroodAsyncCallback)(BroodJob *job, void *context);

/* The job is done: with its result, its failure, or neither, which is the result {}. It is not to
 * be touched any more after the callback that calls this. */
void brood_job_complete(BroodJob *job);

/* Calls back once, after so many microseconds. */
int brood_async_after(BroodJob *job, int64_t usec, BroodAsyncCallback callback, void *context);

/* Calls back once, when the descriptor can be read or written. */
#define BROOD_ASYNC_READ  1
#define BROOD_ASYNC_WRITE 2
int brood_async_fd(BroodJob *job, int fd, int what, BroodAsyncCallback callback, void *context);

/* Calls back once, when a child process of this worker has ended, which is then reaped, with its
 * wait status. It is reaped, too, when the job has completed before. Nobody else may wait for it.
 */
typedef void (*BroodAsyncChild)(BroodJob *job, pid_t pid, int wait_status, void *context);
int brood_async_child(BroodJob *job, pid_t pid, BroodAsyncChild callback, void *context);

/* Calls back once, when somebody asks for the end of the job (see brood_job_cancelled()); soon, if
 * somebody has. The job then completes, as a failure most often, or goes on. */
int brood_async_on_cancel(BroodJob *job, BroodAsyncCallback callback, void *context);

/* The loop, for everything else; NULL where the pool is not async. Of a crash in a callback that it
 * calls nobody can tell whose job it was: what is waited for by the functions above is told apart.
 */
struct event_base *brood_async_base(void);

#ifdef __cplusplus
}
#endif
