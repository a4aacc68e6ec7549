/* SPDX-License-Identifier: MIT */
#pragma once

/* The queue: every job, what may happen to it, and what does.
 *
 * Pure: no system call, no clock, no randomness of its own. Facts come in as function calls with
 * the time as an argument; decisions go out in two queues that the supervisor empties:
 *
 *   requests  what the store has to make durable; core_complete() brings the answer
 *   events    what has become of jobs, for those who wait for them
 *
 * Nothing takes effect before its request is complete: a job is not shown before its admission is,
 * not run before its claim is, not ended before its settlement is. */

#include "core/job.h"
#include "core/retry.h"

typedef struct CorePool {
        char *name;
        JobPolicy policy;
        Heap ready;   /* queued jobs that nobody has claimed; best first */
        uint64_t count[JOB_N_STATES];
        uint64_t open; /* jobs that have not ended */
        uint64_t done; /* jobs ended since the start */
        uint32_t claiming; /* claims that the store has not yet confirmed */
        bool paused;
        void *owner; /* who runs its jobs; NULL: nobody just now */
        List link;
} CorePool;

typedef struct CoreHandler {
        char *name;
        CorePool *pool; /* NULL: nobody serves it now; its jobs wait */
        usec_t run_usec; /* how long a run took lately; 0: not known */
        List link;
} CoreHandler;

typedef struct CoreLimits {
        uint64_t max_queued, max_bytes; /* 0: off */
        usec_t keep;                    /* after the end */
        uint64_t keep_max, keep_bytes;  /* jobs, and their memory */
} CoreLimits;

typedef struct Core {
        CoreLimits limits;
        List pools, handlers;
        HashTable ids, keys;
        List all;
        List finished;     /* ended and kept for the usual time, oldest first */
        List finished_own; /* ended and kept for a time of their own, oldest first */
        List requests, events;
        Heap timers;
        uint64_t next_order;
        uint64_t count[JOB_N_STATES];
        uint64_t open, bytes;      /* jobs that have not ended; their memory */
        uint64_t kept, kept_bytes; /* the same of those that have, and are still shown */
} Core;

/* A job as a client asks for it. Slices are copied. */
typedef struct JobSpec {
        CoreHandler *handler;
        Uuid id; /* given, or made by the caller */
        uint16_t has;
        int priority;
        uint32_t max_attempts;
        usec_t run_at, delay, timeout, ttl, keep;
        Slice args;       /* JSON text of an object */
        Slice unique_key; /* without escapes */
        Slice tags, semaphores, after; /* JSON text of the lists */
        const Uuid *blockers;          /* the ids in `after` */
        unsigned n_blockers;
        bool memory, attached;
        uint32_t uid, gid;
} JobSpec;

enum {
        CORE_E_QUEUE_FULL = 1, /* MaxQueued= of the daemon */
        CORE_E_POOL_FULL,      /* MaxQueued= of the pool */
        CORE_E_BYTES_FULL,     /* MaxBytes= */
        CORE_E_NO_BLOCKER,     /* a job in `after` does not exist: *ret_missing */
};

void core_init(Core *core, const CoreLimits *limits);
void core_fini(Core *core);

/* Pools and handlers by name; found or made. NULL if memory ran out. They live as long as the core.
 */
CorePool *core_pool(Core *core, const char *name);
CoreHandler *core_handler(Core *core, const char *name);
/* Only found; NULL: there is none. */
CoreHandler *core_find_handler(Core *core, Slice name);
/* Lets another pool, or nobody (NULL), serve the handler; jobs that wait go along. */
void core_bind_handler(Core *core, CoreHandler *handler, CorePool *pool);

/* Admits jobs: all of them, or none and an error (CORE_E_… or -ENOMEM). jobs[i] becomes the new
 * job, or, where duplicate[i], the one that is there already (of this id, or open with this key).
 */
int core_submit(Core *core, const JobSpec *specs, unsigned n, usec_t now, Job **jobs,
                bool *duplicate, Uuid *ret_missing);

/* The job that core_claim() would give; NULL: there is none. */
Job *core_peek(const Core *core, const CorePool *pool);

/* The user's job with this id, or, for an operator, anybody's. NULL: there is none to be shown. */
Job *core_find(Core *core, const Uuid *id, uint32_t uid, bool any);

/* Claims the best job that is ready in a pool; NULL: there is none. */
Job *core_claim(Core *core, CorePool *pool);
/* It has not begun after all: back to its place. */
void core_unclaim(Core *core, Job *job, usec_t now);

typedef struct AttemptBegin {
        uint32_t seat, generation;
        int32_t pid;
} AttemptBegin;

/* A claimed job begins. Returns 0 or -ENOMEM. */
int core_begin(Core *core, Job *job, const AttemptBegin *begin, usec_t now);

/* A running job says how far it is, 0 to 1. */
void core_progress(Core *core, Job *job, double fraction);

typedef struct AttemptEnd {
        Outcome outcome;
        bool may_retry;
        bool untouched; /* its worker died before it looked at it: this attempt costs nothing,
                           unless it goes on like that */
        Slice result;             /* copied; of a failure: its details; empty: none */
        Certificate *certificate; /* stolen; NULL: nothing to tell */
} AttemptEnd;

/* The attempt has ended: decides what follows. */
void core_settle(Core *core, Job *job, AttemptEnd *end, usec_t now, uint64_t random);

/* Ends a job that does not run; one that runs is marked, and the caller ends the attempt. Nothing
 * happens to one that has ended. `reason` is copied. */
void core_cancel(Core *core, Job *job, const char *reason, usec_t now);

/* A new budget for a job that ended badly. False if its state, or another job with its key, forbids
 * it. */
bool core_retry(Core *core, Job *job, usec_t now);

/* The store's answer to job->request: true if it is durable. A job whose admission was refused gets
 * EVENT_REFUSED, and core_forget() by who has told the client. */
void core_complete(Core *core, Job *job, bool durable, usec_t now);

/* What time brings about: jobs get ready, expire, are forgotten. Bounded work; call it again while
 * core_next_due() is not in the future. */
void core_tick(Core *core, usec_t now);
usec_t core_next_due(const Core *core);

/* The queues. Next takes one out, with its JobEvents; NULL when empty. */
Job *core_next_request(Core *core);
Job *core_next_event(Core *core, unsigned *ret);

/* Removes a job that has ended or was refused. */
void core_forget(Core *core, Job *job);
