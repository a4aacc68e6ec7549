/* SPDX-License-Identifier: MIT */
#pragma once

/* Many jobs in one thread: what stands behind brood/async.h.
 *
 * The loop itself is not linked: a fork server must not have it. It is a shared object that a
 * worker loads after the fork, and that exports an AsyncLoop by the name ASYNC_LOOP. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "brood/async.h"

#define ASYNC_LOOP "brood_async_loop"
enum { ASYNC_LOOP_ABI = 1 };

typedef struct AsyncEvent AsyncEvent;
typedef void AsyncFunction(void *context);

/* One for the process. */
typedef struct AsyncLoop {
        uint32_t abi;
        int (*open)(void); /* 0 or -errno */
        struct event_base *(*base)(void);
        /* A descriptor (-1: none), BROOD_ASYNC_READ or _WRITE, and a time in µs (negative: none).
         * With `stays` it is watched until it is dropped. NULL: no memory. */
        AsyncEvent *(*watch)(int fd, int what, int64_t usec, bool stays, AsyncFunction *function,
                             void *context);
        AsyncEvent *(*watch_signal)(int number, AsyncFunction *function, void *context);
        void (*activate)(AsyncEvent *event); /* calls it, in the next turn */
        void (*drop)(AsyncEvent *event);
        int (*run)(void); /* until stop(); 0 or -errno */
        void (*stop)(void);
        void (*close)(void);
} AsyncLoop;

struct Worker;
struct WorkerSlot;
struct HandlerSpeed;

/* What a slot has of it. */
typedef struct AsyncSlot {
        AsyncEvent *event; /* its connection can be read; NULL: it has ended */
        List waits;        /* of its job */
        Buffer args;       /* of its job: the connection's buffer goes on */
        struct HandlerSpeed *speed; /* of the handler in flight; NULL: none is */
        usec_t began;
        unsigned depth;    /* callbacks of the job that are running */
        bool done;         /* completed in one of them */
        BroodAsyncCallback on_cancel;
        void *cancel_context;
} AsyncSlot;

/* The main thread's part. Returns 0 or -errno. */
int async_serve(struct Worker *w);

/* A run begins. */
void async_start(struct WorkerSlot *slot, struct HandlerSpeed *speed);

/* The watching thread: a job was cancelled. */
void async_wake(struct Worker *w);

void async_slot_fini(struct WorkerSlot *slot);
