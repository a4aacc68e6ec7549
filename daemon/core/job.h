/* SPDX-License-Identifier: MIT */
#pragma once

/* A job: what was asked for, where it stands, and how each of its attempts ended. */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/hashtable.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/uuid.h"

/* name, word, and the states that may follow. The order is the interface's. */
#define JOB_STATES(X)                                                                              \
        X(SCHEDULED, "scheduled", AFTER(QUEUED) | AFTER(CANCELLED) | AFTER(EXPIRED))               \
        X(BLOCKED, "blocked",                                                                      \
          AFTER(QUEUED) | AFTER(SCHEDULED) | AFTER(CANCELLED) | AFTER(EXPIRED))                    \
        X(QUEUED, "queued", AFTER(RUNNING) | AFTER(CANCELLED) | AFTER(EXPIRED) | AFTER(FAILED))    \
        X(RUNNING, "running",                                                                      \
          AFTER(QUEUED) | AFTER(SCHEDULED) | AFTER(SUCCEEDED) | AFTER(FAILED) |                    \
                  AFTER(QUARANTINED) | AFTER(CANCELLED))                                           \
        X(SUCCEEDED, "succeeded", 0)                                                               \
        X(FAILED, "failed", AFTER(QUEUED))                                                         \
        X(QUARANTINED, "quarantined", AFTER(QUEUED))                                               \
        X(CANCELLED, "cancelled", AFTER(QUEUED))                                                   \
        X(EXPIRED, "expired", AFTER(QUEUED))

typedef enum JobState {
#define STATE(name, word, next) JOB_##name,
        JOB_STATES(STATE)
#undef STATE
                JOB_N_STATES,
} JobState;

const char *job_state_name(JobState s);

/* Has a job in this state ended? */
static inline bool job_state_ended(JobState s)
{
        return s >= JOB_SUCCEEDED;
}

/* May `to` follow `from`? */
bool job_state_allows(JobState from, JobState to);

/* In the order of the interface. */
typedef enum Outcome {
        OUTCOME_SUCCEEDED,
        OUTCOME_ERROR,
        OUTCOME_COMMAND_FAILED,
        OUTCOME_TIMEOUT,
        OUTCOME_CANCELLED,
        OUTCOME_WORKER_DIED,
        OUTCOME_SHUTDOWN,
        OUTCOME_SUPERVISOR_DIED,
        OUTCOME_NONE, /* it still runs */
} Outcome;

const char *outcome_name(Outcome o);

/* What is known beyond the outcome: the death certificate. Only where there is something to tell.
 */
typedef struct Certificate {
        char *error;       /* in words */
        char *stderr_tail; /* the worker's last lines; UTF-8 */
        char signal[16];   /* "SEGV"; "" : none */
        int exit_status;   /* -1: none */
        bool died;         /* the process ended: what follows is known */
        bool core_dumped;
        uint64_t cpu_usec, peak_memory_bytes;
} Certificate;

Certificate *certificate_new(const char *error); /* NULL if memory ran out */
void certificate_free(Certificate *c);

typedef struct Attempt {
        uint32_t number;
        uint32_t seat;
        uint32_t generation;
        int32_t pid;
        const struct CorePool *pool;
        usec_t started, ended; /* ended 0: not yet */
        Outcome outcome;
        Certificate *certificate; /* NULL: nothing more to tell */
} Attempt;

/* Which optional fields of the spec were given. */
enum {
        JOB_HAS_ID = 1,
        JOB_HAS_PRIORITY = 2,
        JOB_HAS_RUN_AT = 4,
        JOB_HAS_DELAY = 8,
        JOB_HAS_MAX_ATTEMPTS = 16,
        JOB_HAS_TIMEOUT = 32,
        JOB_HAS_TTL = 64,
        JOB_HAS_KEEP = 128,
        JOB_HAS_UNIQUE_KEY = 256,
        JOB_HAS_DURABILITY = 512,
        JOB_HAS_ATTACHED = 1024,
};

/* What the store is being asked to make durable. */
typedef enum JobRequest {
        REQUEST_NONE,
        REQUEST_ADMIT,  /* the job exists */
        REQUEST_CLAIM,  /* its next attempt may begin */
        REQUEST_SETTLE, /* it goes to job->next_state */
} JobRequest;

/* What has become of a job, for those who wait for it; a set. */
typedef enum JobEvent {
        EVENT_ADMITTED = 1,
        EVENT_REFUSED = 2, /* the store would not have it; who tells the client forgets it */
        EVENT_CLAIMED = 4,
        EVENT_CHANGED = 8, /* its state, or its progress */
        EVENT_ENDED = 16,
} JobEvent;

typedef struct Job Job;

struct Job {
        Uuid id;
        struct CoreHandler *handler;
        struct CorePool *pool;
        uint32_t uid, gid;

        uint8_t state;      /* JobState; written by core_set_state() */
        uint8_t next_state; /* while a settle is under way */
        uint8_t request;    /* JobRequest */
        uint8_t events;     /* JobEvents that nobody has seen yet */
        bool memory;        /* durability is memory */
        bool attached;
        bool cancel_asked;  /* ends as cancelled unless it succeeds */
        bool listed;        /* admitted: queries show it */
        bool touched;       /* a worker has begun it, at least once */
        uint16_t has;       /* JOB_HAS_… */
        int16_t priority;

        uint32_t attempt;   /* number of the last one begun */
        uint32_t budget;    /* number of the last one allowed */
        uint32_t max_attempts;
        uint32_t deaths;    /* workers it has killed since its budget was set */
        uint32_t failures;  /* in a row, for the backoff */
        uint32_t untouched; /* in a row: workers that died before they looked at it */
        uint32_t n_attempts;
        Attempt *attempts;  /* the last of them are kept */

        usec_t submitted, started, ended;
        usec_t run_at, delay, timeout, ttl, keep; /* as given; 0: not */
        usec_t ready_at;    /* SCHEDULED: when it is to be queued */
        usec_t due;         /* place in the timers; 0: not in them */
        uint64_t order;     /* age: from when it was first ready; 0: never yet */

        uint32_t ready_index, timer_index;
        HashLink by_id, by_key;
        List all;           /* every job, oldest first */
        List finished;      /* ended and kept */
        List request_link, event_link;
        List waiters;       /* calls; owned by the api */
        uint32_t pins;      /* the api still has to say something of it: not forgotten meanwhile */
        List blockers;      /* Dependency.in_waiting */
        List dependents;    /* Dependency.in_blocker */
        List attached_link; /* in its connection, if attached; owned by the api */

        void *slot;         /* where it is placed; owned by the pool */
        int fds[3];         /* an attached command's; -1: none */
        double progress;    /* -1: none */
        char *reason;       /* why it ended so, in words; NULL: nothing to add */
        char *result;       /* JSON text of an object; NULL: none */
        size_t result_len;
        size_t bytes;       /* memory accounted for it, without its result */

        /* Behind the struct, one after the other: */
        uint32_t args_len, key_len, tags_len, semaphores_len, after_len;
        char data[];
};

static inline Slice job_args(const Job *j)
{
        return (Slice){ j->data, j->args_len };
}

static inline Slice job_key(const Job *j)
{
        return (Slice){ j->data + j->args_len, j->key_len };
}

/* These three are JSON text as it was given; empty: not given. */
static inline Slice job_tags(const Job *j)
{
        return (Slice){ j->data + j->args_len + j->key_len, j->tags_len };
}

static inline Slice job_semaphores(const Job *j)
{
        return (Slice){ job_tags(j).data + j->tags_len, j->semaphores_len };
}

static inline Slice job_after(const Job *j)
{
        return (Slice){ job_semaphores(j).data + j->semaphores_len, j->after_len };
}

/* The attempt that runs, or ran last; NULL: none yet. */
static inline Attempt *job_last_attempt(const Job *j)
{
        return j->n_attempts ? &j->attempts[j->n_attempts - 1] : NULL;
}

/* Adds a record for the next attempt; of more than JOB_KEEP_ATTEMPTS the oldest go, but for the
 * first. NULL if memory ran out. */
enum { JOB_KEEP_ATTEMPTS = 100 };
Attempt *job_add_attempt(Job *j);

/* Gives the memory back; the job must be in nothing. */
void job_free(Job *j);
