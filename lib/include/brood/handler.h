/* SPDX-License-Identifier: MIT */
#pragma once

/* Writing handlers for brood in C.
 *
 * A module is a shared object that exports one table with the name `brood_module`. A handler is a
 * function that gets a job and returns 0 after brood_job_result() or brood_job_result_json(), or
 * non-zero after brood_job_fail(). A handler that returns without any of these gives the result {}.
 *
 *     static int hello(BroodJob *job)
 *     {
 *             return brood_job_result(job, "{\"text\":\"hello\"}", 16);
 *     }
 *
 *     static const BroodHandler handlers[] = { { .name = "hello", .run = hello }, { 0 } };
 *
 *     const BroodModule brood_module = {
 *             .abi = BROOD_MODULE_ABI, .size = sizeof(BroodModule),
 *             .name = "hello", .handlers = handlers,
 *     };
 *
 *     cc -shared -fPIC hello.c -o hello.so $(pkg-config --cflags --libs brood)
 *
 * Everything here is called in the worker, by the thread that runs the handler. A pool with
 * Concurrency=thread runs the handlers of a module that is BROOD_THREAD_SAFE in several threads of
 * one process: a crash of one ends them all, and only its own job is told that it was the one. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BroodJob BroodJob;

#define BROOD_MODULE_ABI 2 /* 1 was without `start`; modules of it are still taken */

/* What a module promises, in BroodModule.flags. */
#define BROOD_THREAD_SAFE 1u /* its handlers may run in several threads at a time */
#define BROOD_FORK_SAFE   2u /* what `init` made is still good in a fork of the process */
#define BROOD_SUBINTERPRETERS 4u /* it has an interpreter for each slot */

typedef struct BroodHandler {
        const char *name;         /* what clients name in `handler` */
        int (*run)(BroodJob *job); /* returns 0, or non-zero after brood_job_fail() */
        const char *summary;      /* one line for people */
        /* For Concurrency=async, see brood/async.h: begins the job and returns 0; or non-zero after
         * brood_job_fail(), and then it is over. One of the two functions may be NULL. */
        int (*start)(BroodJob *job);
} BroodHandler;

typedef struct BroodModule {
        uint32_t abi;  /* BROOD_MODULE_ABI */
        uint32_t size; /* sizeof(BroodModule) */
        uint32_t flags;
        const char *name;
        const BroodHandler *handlers; /* ended by one without a name */
        /* Run once in the fork server, before any worker is forked: load here what all share.
         * `settings` are the pool's [Settings], strings in an object, borrowed. Each returns 0, or
         * non-zero to refuse. All three may be NULL. */
        int (*init)(const json_t *settings);
        int (*worker_init)(const json_t *settings); /* once in each worker */
        void (*fini)(void);                         /* when a worker leaves in good order */
        /* What follows may be missing: `size` says so. */
        /* The handlers of a module that knows them only after `init`, and whose `handlers` is NULL;
         * they stay where they are for good. */
        const BroodHandler *(*offer)(void);
        /* Somebody asks for the end of a job that runs: what brood_job_cancelled() says, as an
         * event. By a thread of the worker's that must not be kept waiting; the job stays until
         * this returns. It is not called for what was asked before the handler was. */
        void (*ending)(const BroodJob *job);
        /* A line for people (`broodctl pools`), asked for after `init`. */
        const char *(*about)(void);
} BroodModule;

/* In `init` and `worker_init`: why it refuses, one line. Always returns 1. And what was said last;
 * NULL: nothing. */
int brood_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *brood_refusal(void);

/* What Concurrency= and Slots= of the pool say. In `init` and from then on. */
const char *brood_worker_concurrency(void);
unsigned brood_worker_slots(void);

/* The job's id, 36 characters; valid as long as the job. */
const char *brood_job_id(const BroodJob *job);

/* Which attempt this is, from 1. */
int brood_job_attempt(const BroodJob *job);

/* The name of its handler: the one of the BroodHandler, the very same pointer. */
const char *brood_job_handler(const BroodJob *job);

/* In which slot of its worker it runs, from 0: one at a time in each, and always in the same
 * thread. */
unsigned brood_job_slot(const BroodJob *job);

/* Microseconds left until the job's timeout; negative when it has passed; INT64_MAX without one. */
int64_t brood_job_time_left(const BroodJob *job);

/* The arguments, one JSON object: as bytes without a terminator, or parsed when first asked for
 * (borrowed from the job; NULL only if memory ran out). */
const char *brood_job_args_bytes(const BroodJob *job, size_t *ret_size);
const json_t *brood_job_args(BroodJob *job);

/* Has somebody asked for the end of this job (a cancel, its timeout, a shutdown)? A handler that
 * looks now and then and then fails can keep its worker alive. Cheap: one atomic load. */
int brood_job_cancelled(const BroodJob *job);

/* Why: "cancel", "timeout" or "shutdown"; NULL: nobody has. */
const char *brood_job_cancel_reason(const BroodJob *job);

/* A descriptor that is readable when the answer to that is yes, to be polled, never read; -1 if
 * there is none to be had. */
int brood_job_cancel_fd(BroodJob *job);

/* How far it is, 0 to 1. Returns 0, or -errno if the supervisor cannot be told. */
int brood_job_progress(BroodJob *job, double fraction);

/* A piece of output for those who follow the job; `stream` is 1 (stdout) or 2 (stderr). Bytes of
 * any kind and number; the end of a piece may cut a UTF-8 character in two. Costs an atomic load
 * when nobody follows. Returns as progress does. */
int brood_job_output(BroodJob *job, int stream, const void *bytes, size_t size);

/* The result: a JSON object, as text (copied) or as a value (stolen). Returns 0, or non-zero after
 * failing the job because it is no object. */
int brood_job_result(BroodJob *job, const char *text, size_t size);
int brood_job_result_json(BroodJob *job, json_t *result);

/* The job failed. `retry` 0: trying again is pointless. `details` (stolen; may be NULL) becomes the
 * result of a job that fails for good. Always returns 1, so that a handler can return it. */
int brood_job_fail(BroodJob *job, int retry, json_t *details, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* Fails the job because its arguments are wrong: no retry. Always returns 1. */
int brood_job_bad_args(BroodJob *job, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
