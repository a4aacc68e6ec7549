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
        X(QUEUED, "queued", AFTER(RUNNING) | AFTER(BLOCKED) | AFTER(CANCELLED) | AFTER(EXPIRED))   \
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
/* OUTCOME_NONE: there is none of that name. */
Outcome outcome_of_name(const char *name);

/* What is known beyond the outcome: the death certificate. Only where there is something to tell.
 */
typedef struct Certificate {
        char *error;       /* in words */
        char *stderr_tail; /* the worker's last lines; UTF-8 */
        char signal[16];   /* "SEGV"; "" : none */
        int exit_status;   /* -1: none */
        bool died;         /* the process ended: what follows is known */
        bool core_dumped;
        bool oom_killed;   /* by the kernel, for lack of memory; also of a command alone */
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

/* Which optional fields of the spec were given. The first six are numbers, kept behind the
 * struct in this order; then come the texts, kept so too. The store keeps the bits: none changes
 * its meaning. */
enum {
        JOB_HAS_RUN_AT = 1,
        JOB_HAS_DELAY = 2,
        JOB_HAS_TIMEOUT = 4,
        JOB_HAS_TTL = 8,
        JOB_HAS_KEEP = 16,
        JOB_HAS_MAX_ATTEMPTS = 32,
        JOB_HAS_UNIQUE_KEY = 64,
        JOB_HAS_TAGS = 128,       /* JSON text of the list, as it was given; so are the next two */
        JOB_HAS_SEMAPHORES = 256,
        JOB_HAS_AFTER = 512,
        JOB_HAS_ID = 1024,
        JOB_HAS_PRIORITY = 2048,
        JOB_HAS_DURABILITY = 4096,
        JOB_HAS_ATTACHED = 8192,
};
#define JOB_NUMBERS 0x003fu
#define JOB_TEXTS   0x03c0u

/* What the store is being asked to make durable. */
typedef enum JobRequest {
        REQUEST_NONE,
        REQUEST_ADMIT,  /* the job exists; with job->claim, its first attempt may begin, too */
        REQUEST_CLAIM,  /* its next attempt may begin */
        REQUEST_SETTLE, /* it goes to job->next_state */
        REQUEST_FORGET, /* it was kept long enough */
        REQUEST_MARK,   /* its end was asked for, or it has not begun after all: core_next_mark() */
} JobRequest;

/* What has become of a job, for those who wait for it; a set. */
typedef enum JobEvent {
        EVENT_ADMITTED = 1,
        EVENT_REFUSED = 2, /* the store would not have it; who tells the client forgets it */
        EVENT_CLAIMED = 4,
        EVENT_CHANGED = 8, /* its state, or its progress */
        EVENT_ENDED = 16,
        EVENT_MARKED = 64,  /* that its end was asked for is durable */
        EVENT_FETCHED = 32, /* its large payloads are here, or could not be had */
} JobEvent;

/* The heap in which a job stands. */
typedef enum JobPlace {
        PLACE_NONE,
        PLACE_READY,    /* CorePool.ready */
        PLACE_ARRIVING, /* CorePool.arriving */
        PLACE_HELD,     /* CoreHandler.held */
} JobPlace;

/* What a job has been through; most that wait have nothing to tell and share job_no_history. */
typedef struct JobHistory {
        Attempt *attempts; /* the last of them are kept */
        uint32_t n_attempts;
        uint32_t deaths;    /* workers it has killed since its budget was set */
        uint32_t failures;  /* in a row, for the backoff */
        uint32_t untouched; /* in a row: workers that died before they looked at it */
        usec_t started;     /* its first attempt; 0: not yet */
        usec_t claimed;     /* when the store noted its last attempt */
        double progress;    /* -1: none */
        char *reason;       /* why it ended so, in words; NULL: nothing to add */
        char *result;       /* JSON text of an object; NULL: none, or only the store has it */
        size_t result_len;
} JobHistory;

extern const JobHistory job_no_history;

typedef struct Job Job;
struct JobTies;

/* What waits is many: this is kept small, and what few jobs need stands elsewhere. */
struct Job {
        Uuid id;
        struct CoreHandler *handler;
        struct CorePool *pool;
        uint32_t uid, gid;

        uint8_t state;      /* JobState; written by core_set_state() */
        uint8_t next_state; /* while a settle is under way */
        uint8_t request;    /* JobRequest */
        uint8_t events;     /* JobEvents that nobody has seen yet */
        uint8_t place;      /* JobPlace */
        bool args_elsewhere; /* large arguments have an allocation of their own; no bit of the word
                                below: the storage thread looks at it */
        bool listed : 1;       /* admitted: queries show it */
        bool memory : 1;       /* the store does not have it, and is not to */
        bool attached : 1;
        bool trial : 1;        /* its handler is tried with it: breaker.h */
        bool gone : 1;         /* the store has let it go: it is only shown for a while */
        bool cancel_asked : 1; /* ends as cancelled unless it succeeds */
        bool touched : 1;      /* a worker has begun it, at least once */
        bool claim : 1;        /* the claim goes with the admission */
        bool claim_kept : 1;   /* the store has it as claimed */
        bool holds : 1;        /* one unit of each of its semaphores */
        bool no_ttl : 1;       /* a new budget has none */
        bool args_shed : 1;    /* its large arguments are only in the store just now */
        bool result_shed : 1;  /* so is its large result */
        bool mark_asked : 1;   /* the store is being told that its end was asked for */
        bool fetching : 1;     /* the store was asked for them */
        bool in_events : 1;
        bool has_key : 1;      /* its key is taken */
        uint16_t has;       /* JOB_HAS_… */
        int16_t priority;

        uint32_t attempt;   /* number of the last one begun */
        uint32_t budget;    /* number of the last one allowed */
        uint32_t args_len;
        uint32_t bytes;     /* memory accounted for it, without its result */
        uint32_t ready_index, timer_index;

        usec_t submitted;
        usec_t ready_at;    /* while it waits: not to begin before */
        usec_t ended;       /* when it has, or is about to; 0: not */
        usec_t due;         /* place in the timers; 0: not in them */
        uint64_t order;     /* age: when it was first ready, made unique; 0: never yet */
        uint64_t seq;       /* the store's number for it; 0: it has none */

        HashLink by_id;
        List all;           /* every job, oldest first */
        List link;          /* requests, or those that have ended, oldest first */
        Job *next_event;

        JobHistory *history;  /* never NULL */
        struct JobTies *ties; /* to other jobs and to semaphores; NULL: none */
        void *calls;          /* who waits for it; owned by the api. Not NULL: not forgotten */
        void *slot;           /* where it is placed; owned by the pool */
        _Alignas(8) char data[]; /* key link, numbers, arguments, texts; see job.c */
};

/* How much stands behind the struct for these fields. */
typedef struct JobData {
        uint16_t has;
        usec_t numbers[6];
        Slice args;
        bool args_elsewhere; /* in an allocation of their own */
        Slice texts[4];      /* key, tags, semaphores, after */
} JobData;

/* A new job with nothing but its data, copied; NULL if memory ran out. */
Job *job_new(const JobData *data);
/* Gives the memory back; the job must be in nothing. */
void job_free(Job *j);

/* A number of the spec; `otherwise` if it was not given. */
usec_t job_number(const Job *j, uint16_t which, usec_t otherwise);
/* A text of the spec; empty if it was not given. */
Slice job_text(const Job *j, uint16_t which);

static inline Slice job_key(const Job *j)
{
        return job_text(j, JOB_HAS_UNIQUE_KEY);
}

/* The arguments; empty: none, or only the store has them. */
Slice job_args(const Job *j);
/* Large arguments come from the store (stolen), or leave memory (NULL). Returns the change in
 * bytes of memory. */
int64_t job_set_args(Job *j, char *args, size_t len);

/* The link by which a job with a key is found. */
typedef struct KeyLink {
        HashLink link;
        Job *job;
} KeyLink;
KeyLink *job_key_link(Job *j);

/* Its history, to be written to; NULL if memory ran out. */
JobHistory *job_history(Job *j);
/* Sets why it ended so, if nothing is set yet; without memory it stays without words. */
void job_set_reason(Job *j, const char *reason);
void job_clear_reason(Job *j);

/* The attempt that runs, or ran last; NULL: none yet. */
static inline Attempt *job_last_attempt(const Job *j)
{
        const JobHistory *h = j->history;

        return h->n_attempts ? &h->attempts[h->n_attempts - 1] : NULL;
}

/* Adds a record for the next attempt; of more than JOB_KEEP_ATTEMPTS the oldest go, but for the
 * first. NULL if memory ran out. */
enum { JOB_KEEP_ATTEMPTS = 100 };
Attempt *job_add_attempt(Job *j);
