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
#include "pool/wire.h"

typedef struct Batch {
        BroodPool *pool;
        WireFunction function;
        const BroodBytes *inputs; /* the caller's, or `owned` */
        BroodBytes owned;
        size_t n, left;           /* tasks; those that have not ended */
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
        bool ready, leaving, dead;
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
        pthread_cond_t ended;  /* a batch has, or the pool */
        pthread_t foreman;
        int epoll, wake;
        List chunks;           /* Chunk: to be handed out */
        List hands;
        unsigned bad_starts;   /* in a row */
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
/* Writes it behind what the worker has; hand_send() sends it. */
void hand_give(Hand *hand, Chunk *chunk, usec_t now);
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
/* All that wait end so. */
void chunks_cancel(BroodPool *pool, const char *why);
