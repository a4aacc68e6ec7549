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

#include "core/breaker.h"
#include "core/figures.h"
#include "core/job.h"
#include "core/retry.h"

typedef struct CorePool {
        char *name;
        JobPolicy policy;
        Heap ready;    /* queued jobs that nobody has claimed; best first */
        Heap arriving; /* jobs whose admission the store is still to be asked for, ready at once */
        uint64_t count[JOB_N_STATES];
        uint64_t open; /* jobs that have not ended */
        uint64_t done; /* jobs ended since the start */
        usec_t last_end; /* of an attempt; 0: none has ended yet */
        uint32_t claiming;  /* claims that the store has not yet confirmed */
        uint32_t admitting; /* jobs that will be ready, unclaimed, when the store has them */
        uint32_t returning; /* jobs that will be ready again when the store has noted it */
        uint32_t waiting;   /* places taken in queues of semaphores */
        bool paused;
        bool busy;   /* it had no room when it was last looked at */
        void *owner; /* who runs its jobs; NULL: nobody just now */
        List link;
} CorePool;

typedef struct CoreHandler {
        char *name;
        CorePool *pool; /* NULL: nobody serves it now; its jobs wait */
        usec_t run_usec; /* how long a run took lately; 0: not known */
        const CorePool *home; /* the last one that served it without a break */
        unsigned since; /* its workers know it from this epoch of theirs on; the pool's */
        HandlerBreaker breaker;
        uint64_t slow; /* runs that lasted longer than SlowAfter= of their pool */
        Heap held; /* ready jobs that wait until somebody serves it, or its breaker closes */
        uint32_t ready; /* jobs of it that are ready, or arriving */
        HandlerFigures figures;
        uint32_t number; /* in the order in which they were made, from 0 */
        List link;
} CoreHandler;

typedef struct CoreSemaphore {
        char *name;
        uint64_t size; /* 0: the config does not have it (any more) */
        uint64_t held;
        bool of_user;  /* how many jobs of a user may run; `name` says whose */
        List queues; /* SemaphoreQueue */
        List link;
} CoreSemaphore;

/* Of one user; 0: off. */
typedef struct CoreUserLimits {
        uint64_t max_queued, max_bytes; /* jobs that have not ended, and their memory */
        uint64_t max_running;           /* more wait */
        uint64_t max_rate;              /* submitted in a second */
} CoreUserLimits;

typedef struct CoreLimits {
        uint64_t max_queued, max_bytes; /* 0: off */
        usec_t keep;                    /* after the end */
        uint64_t keep_max, keep_bytes;  /* jobs, and their memory */
        uint64_t large; /* payloads of durable jobs above this leave memory; 0: none */
        CoreUserLimits user;
        uint32_t own_uid; /* the daemon's: like root it has no limits of a user */
} CoreLimits;

/* A change of a job's state, for those who watch. */
typedef struct CoreChange {
        Uuid id;
        uint32_t uid;
        JobState state;
        const CorePool *pool;
} CoreChange;

typedef struct CoreJournal {
        CoreChange *changes;
        size_t n, capacity;
        bool on;   /* somebody watches */
        bool lost; /* memory ran out: something is missing */
} CoreJournal;

typedef struct Core {
        CoreLimits limits;
        List pools, handlers, semaphores;
        uint32_t n_handlers;
        HashTable ids, keys, users;
        List all;
        List finished;     /* ended and kept for the usual time, oldest first */
        List finished_own; /* ended and kept for a time of their own, oldest first */
        List requests;     /* to the store */
        List instant;      /* the same, of jobs that it does not have */
        List removals;     /* the same, of jobs that were kept long enough: less urgent */
        List marks;        /* what the store is to know, and nothing waits for: core_next_mark() */
        Job *first_event, **last_event;
        Heap timers;
        CoreJournal journal;
        uint64_t last_order, last_seq;
        uint64_t count[JOB_N_STATES];
        uint64_t open, bytes;      /* jobs that have not ended; their memory */
        uint64_t kept, kept_bytes; /* the same of those that have, and are still shown */
        uint64_t stale;            /* ends of attempts that were none any more */
        bool store_down;           /* the store fails: nothing durable is claimed */
        bool unfinished;           /* there is more to look at: settle again soon */
} Core;

enum { CORE_MAX_UNITS = 64 }; /* semaphores of one job */

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
        CoreSemaphore *const *units;   /* those in `semaphores`, none twice */
        unsigned n_units;
        bool memory, attached;
        uint32_t uid, gid;
} JobSpec;

enum {
        CORE_E_QUEUE_FULL = 1, /* MaxQueued= of the daemon */
        CORE_E_POOL_FULL,      /* MaxQueued= of the pool */
        CORE_E_BYTES_FULL,     /* MaxBytes= */
        CORE_E_USER_QUEUED,    /* MaxQueued= of a user */
        CORE_E_USER_BYTES,     /* MaxBytes= of a user */
        CORE_E_USER_RATE,      /* MaxRate= of a user */
        CORE_E_NO_BLOCKER,     /* a job in `after` does not exist: *ret_missing */
        CORE_E_STALE,          /* this attempt is not the job's any more */
};

void core_init(Core *core, const CoreLimits *limits);
void core_fini(Core *core);

/* They hold for what comes; nothing that is there is refused. How many jobs of a user may run holds
 * for jobs that are submitted while there is such a limit. */
void core_set_limits(Core *core, const CoreLimits *limits);

/* Pools and handlers by name; found or made. NULL if memory ran out. They live as long as the core.
 */
CorePool *core_pool(Core *core, const char *name);
CoreHandler *core_handler(Core *core, const char *name);
/* Only found; NULL: there is none. */
CoreHandler *core_find_handler(Core *core, Slice name);
/* Lets another pool, or nobody (NULL), serve the handler; jobs that wait go along. */
void core_bind_handler(Core *core, CoreHandler *handler, CorePool *pool);

/* The same for semaphores: found or made, of size 0; only found. */
CoreSemaphore *core_semaphore(Core *core, const char *name);
CoreSemaphore *core_find_semaphore(Core *core, Slice name);

/* Admits jobs of one user: all of them, or none and an error (CORE_E_… or -ENOMEM). jobs[i]
 * becomes the new job, or, where duplicate[i], the one that is there already (of this id, or open
 * with this key). */
int core_submit(Core *core, const JobSpec *specs, unsigned n, usec_t now, Job **jobs,
                bool *duplicate, Uuid *ret_missing);

/* The user's job with this id, or, for an operator, anybody's. NULL: there is none to be shown. */
Job *core_find(Core *core, const Uuid *id, uint32_t uid, bool any);

/* The best job of a pool that could be claimed; NULL: there is none. On the way, what cannot run
 * just now (a semaphore is missing, its handler's breaker is open) is put aside. */
Job *core_peek(Core *core, CorePool *pool, usec_t now);
/* Claims that job, if the pool has room for it beside those that it will have to run before:
 * `room` counts them all. NULL: there is none. */
Job *core_claim(Core *core, CorePool *pool, unsigned room, usec_t now);
/* Has an older job of its rank, or one of a higher, been given back since, that needs no store to
 * go first? */
bool core_is_overtaken(const Job *job);
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
        bool untouched; /* it was taken back, or its worker died, before that looked at it: this
                           attempt costs nothing, unless workers go on dying like that */
        bool bystander; /* its worker died, and another job is known to have done it: it counts as
                           an attempt, and as no death */
        Slice result;             /* copied; of a failure: its details; empty: none */
        Certificate *certificate; /* stolen; NULL: nothing to tell */
} AttemptEnd;

/* The attempt of this number has ended: decides what follows. Returns 0, or CORE_E_STALE, counted,
 * with nothing changed and the certificate freed, if the job is not in that attempt (any more). */
int core_settle(Core *core, Job *job, uint32_t number, AttemptEnd *end, usec_t now,
                uint64_t random);

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

/* The queues. Next takes one out, with its JobEvents; NULL when empty. A request is core's again
 * with core_complete(). */
Job *core_next_request(Core *core);
Job *core_next_instant(Core *core);
Job *core_next_removal(Core *core);
/* A job of which the store is to know that its end was asked for (it runs), or that it has not
 * begun after all (it is queued again). It goes on meanwhile; core_marked() answers. */
Job *core_next_mark(Core *core);
void core_marked(Core *core, Job *job, bool durable);
Job *core_next_event(Core *core, unsigned *ret);

/* The state in which a job that does not run waits just now. */
JobState core_waiting_state(const Job *job, usec_t now);

/* Removes a job that has ended or was refused. */
void core_forget(Core *core, Job *job);

/* The store fails, or does so no more. */
void core_set_store_down(Core *core, bool down);

/* Large payloads that the store has leave memory, unless they are needed just now. */
void core_shed(Core *core, Job *job);
/* They come back: each is stolen, and may be NULL. */
void core_unshed(Core *core, Job *job, char *args, size_t args_len, char *result,
                 size_t result_len);
/* The same where somebody asked for it (job->fetching): EVENT_FETCHED. */
void core_fetched(Core *core, Job *job, char *args, size_t args_len, char *result,
                  size_t result_len);
/* Is one of them missing? */
static inline bool core_is_shed(const Job *job)
{
        return job->args_shed || job->result_shed;
}

/* --- restoring, before anything else happens --- */

/* A job as the store has kept it, `spec` as it was (its blockers and keep aside). */
typedef struct JobRecord {
        JobSpec spec;
        CorePool *pool;
        uint64_t seq;
        JobState state; /* of the last write */
        uint32_t attempt, budget, failures, deaths, untouched;
        usec_t submitted, order, ready_at, started, claimed, ended;
        Slice reason, result;
        bool args_shed, result_shed;
} JobRecord;

/* Makes the job; its attempts and dependencies are added by the caller: job_add_attempt(),
 * core_restore_blocker(). Returns 0 or -ENOMEM. */
int core_restore(Core *core, const JobRecord *record, Job **ret);
/* A job that had not succeeded when `waiting` was last written. Returns 0 or -ENOMEM. */
int core_restore_blocker(Core *core, Job *waiting, const Uuid *id);
/* All is there, pools have their policies: each job takes its place, and what ran when the last
 * daemon died has an attempt that ended so. */
void core_resume(Core *core, usec_t now);
