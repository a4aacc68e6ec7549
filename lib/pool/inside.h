/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of brood/pool.h share.
 *
 * Callers make batches of tasks, cut into chunks, and wait for them; one thread, the foreman,
 * starts workers, hands chunks to them and takes their results. Everything is under the pool's one
 * lock, which nobody holds while waiting. */

#include <brood/pool.h>

#include <pthread.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/macros.h"
#include "pool/wire.h"

typedef struct Batch {
        BroodPool *pool;
        WireFunction function;
        const BroodBytes *inputs; /* the caller's, or `owned` */
        BroodBytes owned;
        size_t n, left, failed;   /* tasks; those that have not ended; that ended badly */
        pthread_cond_t own;
        pthread_cond_t *ended;    /* told when all have; NULL: nobody waits */
        BroodResult *results;     /* n of them */
        usec_t chunk_usec;        /* how long one of its chunks took lately; 0: not known */
        unsigned users;           /* who looks at it; the last one frees it */
        BroodCallback callback;
        void *context;
        List link;                /* of an imap's batches, in their order */
        size_t first;             /* of an imap: the number of its first input */
        size_t told;              /* of an imap: results that were handed out */
} Batch;

/* Some tasks of a batch that go to a worker together. */
typedef struct Chunk {
        List link;
        Batch *batch;
        size_t first, n;
        unsigned deaths; /* workers that its first task has killed */
} Chunk;

enum { HAND_LINE = 16, HAND_ENDED = 1 /* beside its address: its process has ended */ };

/* A worker, as the pool sees it. */
typedef struct Hand {
        List link;
        BroodProcess *process;
        int fd;
        WirePage *page;
        Buffer in, out;
        bool ready, leaving;
        bool closed;        /* it has closed its socket, and is being killed */
        bool dead;          /* its process has ended */
        usec_t gone_by;     /* it was told to go: then it is killed; 0: it was not */
        uint64_t received;  /* bytes of results */
        uint64_t results;   /* tasks that have ended there */
        uint64_t given;     /* tasks that it was given */
        Chunk *line[HAND_LINE]; /* a ring: at work, and what follows */
        unsigned first, n_line;
        size_t at;          /* tasks of the first that have ended */
        usec_t since;       /* it is at the first */
        bool wants_out;     /* epoll tells when it takes more */
} Hand;

struct BroodPool {
        unsigned size;
        BroodStartMethod method;
        WireFunction initializer;
        BroodBytes initial;
        unsigned tasks_per_child, retries;

        pthread_mutex_t mutex;
        pthread_cond_t ended;  /* the pool has */
        unsigned users;        /* its owner, the foreman, calls, asyncs, imaps: the last frees it */
        unsigned generation;   /* of the process that made it */
        pthread_t foreman;
        int epoll, wake;
        List chunks;           /* Chunk: to be handed out */
        List hands;
        List refused;          /* Chunk: there is no memory to send them */
        size_t imaps;          /* that may have more inputs */
        unsigned bad_starts;   /* in a row */
        unsigned no_starts;    /* the same: not even a process */
        usec_t start_after;    /* no worker before */
        bool closing, terminating;
        bool over;             /* the foreman has gone */
        char *broken;          /* why it can have no workers; NULL: it can */
};

/* functions.c */
BroodFunction function_find(const char *name);
/* Returns false where it can not be said: a function without a name, for another program image. */
bool function_write(WireFunction *to, BroodFunction function, BroodStartMethod method);

/* worker.c: what a worker runs; its descriptors are the socket and the page. */
int pool_worker(BroodChild *child);

/* hand.c: one worker. */
int hand_start(BroodPool *pool);
/* Writes it behind what the worker has; hand_send() sends it. False: there is no memory. */
bool hand_give(Hand *hand, Chunk *chunk, usec_t now);
void hand_send(BroodPool *pool, Hand *hand);
/* Sends and receives what there is. False: it has closed its socket. */
bool hand_talk(BroodPool *pool, Hand *hand, usec_t now);
/* Its process is dead, or made so: what it had ends, or goes back. */
void hand_bury(BroodPool *pool, Hand *hand, usec_t now);
/* It gets no more. */
void hand_leave(Hand *hand);

/* foreman.c: the thread. */
void *foreman(void *pool);
void foreman_wake(BroodPool *pool);
/* Under the lock: hands out what is there, without waiting for the thread to do it. */
void foreman_feed(BroodPool *pool);
/* Under the lock: there will be no workers. */
void foreman_break(BroodPool *pool, const char *format, ...) PRINTF(2, 3);

/* pool.c */
/* False in a fork of the process that made it: no foreman is there, and the lock is anybody's. */
bool pool_is_ours(const BroodPool *pool);
void pool_lock(BroodPool *pool);
void pool_unlock(BroodPool *pool);
/* Under the lock, and ends that: one user less. */
void pool_release(BroodPool *pool);
/* Are we in a callback, which can not wait for what the foreman does? */
bool pool_is_foreman(const BroodPool *pool);
/* Waits for a change; false when it is `until` (USEC_INFINITY: never). */
bool pool_wait(BroodPool *pool, pthread_cond_t *changed, usec_t until);

/* What tasks are told that had not ended. */
extern const char pool_terminated[];

/* batch.c, all under the lock */
Batch *batch_new(BroodPool *pool, BroodFunction function, const BroodBytes *inputs, size_t n);
/* Hands its tasks to the pool. Returns 0 or -ENOMEM. */
int batch_start(Batch *batch, size_t chunk);
/* A task has ended; takes over what the result owns. */
void batch_note(Batch *batch, size_t task, const BroodResult *result);
void batch_release(Batch *batch);
/* Back to the head of the line. */
void chunk_return(BroodPool *pool, Chunk *chunk);
/* All of these end so. */
void chunks_end(List *chunks, BroodTaskState state, const char *why);
/* A condition that knows the monotonic clock. */
void cond_init(pthread_cond_t *cond);
