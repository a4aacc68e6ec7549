/* SPDX-License-Identifier: MIT */
#pragma once

/* A worker, as the supervisor sees it: a process with slots, from its birth to its obituary.
 *
 *     STARTING ─prepared─▶ SPARE ─promoted─▶ ACTIVE ─▶ LEAVING ─▶ DYING ─▶ over
 *         └───────────────────┴──────────────────┴───────────────────┘
 *
 * Its name is pool.seat; with the generation it is unique. It is over when the process is dead
 * *and* what it had written has been read. */

#include <event2/event_struct.h>

#include "core/ladder.h"
#include "pool/cgroup.h"
#include "pool/recycle.h"
#include "pool/slot.h"
#include "process/exit.h"
#include "varlink/scan.h"

typedef enum WorkerState {
        WORKER_STARTING, /* asked for, or born and not yet prepared */
        WORKER_SPARE,
        WORKER_ACTIVE,
        WORKER_LEAVING,  /* gets no more jobs */
        WORKER_DYING,    /* dead or as good as dead; its verdict is not yet here */
} WorkerState;

/* Why we wanted its end. */
typedef enum WorkerEnd {
        END_OUTSIDE, /* we did not */
        END_TIMEOUT,
        END_CANCEL,
        END_RETIRED,  /* scaled down, or replaced by a newer kind */
        END_RECYCLED, /* it has served long enough */
        END_SHUTDOWN,
        END_NONSENSE, /* it broke the protocol */
        END_START,    /* it was not ready in time */
        END_FORKER,   /* its fork server died */
} WorkerEnd;

enum { STDERR_TAIL = 2048 };

/* Whose job has brought down a worker with several slots. */
typedef struct Culprit {
        const Slot *slot; /* NULL: that is not known, or there is one slot */
        Uuid job;
        uint32_t uid;
        int signal;       /* by which its handler crashed; 0: it was to be ended */
        unsigned n_jobs;  /* that fell with the worker */
} Culprit;

typedef struct Worker {
        List in_pool;
        struct Pool *pool;
        struct Forker *forker; /* NULL: it has died */
        unsigned seat, generation, epoch;
        char name[80];
        WorkerState state;
        const char *told;      /* what it was when it was last looked at: worker_note_state() */
        bool told_active;      /* that was idle or busy */
        WorkerEnd end;         /* why; the first reason stays */
        char end_detail[160];
        bool prepared;
        pid_t pid;             /* 0: not yet born */
        int pidfd;
        usec_t started;        /* steady */
        usec_t idle_since;     /* while none of its slots is busy: since when */
        uint64_t jobs_done;
        Wear wear;
        ExitVerdict verdict;
        bool dead;             /* the verdict is there */
        bool oom_killed;       /* by the kernel, for lack of memory; of the verdict */
        Culprit culprit;       /* of the verdict, too */
        WorkerCgroup group;     /* its cgroup, with all that it has started */
        Ladder ladder;         /* of its leaving */
        struct event timer;    /* start deadline, rungs */
        struct event exited;   /* the pidfd is readable */
        Link control;
        Buffer control_out;
        int output;            /* its stdout and stderr; -1: closed */
        struct event output_ready;
        char tail[STDERR_TAIL]; /* its last words, a ring */
        size_t tail_written;
        uint32_t words_uid;     /* whose job they are of */
        bool words_mixed;       /* jobs of others may have written some of them, too */
        char line[2048];       /* of output, not yet complete */
        size_t line_len;
        bool between_jobs;      /* what it writes now is of no job */
        List free;              /* Slot.idle: with several slots, those with nothing to do */
        SlotPage *pages;        /* one for each slot; NULL: a command, which has none */
        unsigned n_busy;        /* slots with something to do */
        unsigned n_slots;
        Slot slots[];
} Worker;

/* Asks the pool's fork server for one. Returns 0 or -errno. */
int worker_start(struct Pool *pool, unsigned seat, unsigned generation, Worker **ret);

/* From forker.c. */
void worker_born(Worker *worker, pid_t pid, int pidfd);
void worker_not_born(Worker *worker, int error);
void worker_exited(Worker *worker, const ExitVerdict *verdict, usec_t now);

/* A spare gets jobs from now on. */
void worker_promote(Worker *worker);

/* It gets no more jobs, finishes what runs, and goes; with `force` by SIGKILL. */
void worker_leave(Worker *worker, WorkerEnd why, bool force, usec_t now);
/* Ends it now. The format says why, for the obituary. */
void worker_kill(Worker *worker, WorkerEnd why, const char *format, ...) PRINTF(3, 4);
void worker_signal(Worker *worker, int signal);

/* A slot's connection has ended, or said what cannot be. */
void worker_slot_ended(Worker *worker, Slot *slot, int error);
void worker_slot_idle(Worker *worker, usec_t now);
/* The answer to Prepare. */
void worker_prepared(Worker *worker, const VarlinkScan *scan, const VarlinkNode *handlers,
                     usec_t now);

/* Wakes its watching thread, which sends answers that a handler now keeps from leaving. */
void worker_poke(Worker *worker, const Job *job);

/* Asks on the control connection for the end of one attempt. */
void worker_ask_cancel(Worker *worker, const Job *job, uint32_t attempt, const char *reason);

/* Was it told to go, for no fault of its own, while the pool goes on? */
static inline bool worker_was_asked(const Worker *worker)
{
        return worker->end == END_RETIRED || worker->end == END_RECYCLED;
}

/* Is any slot of it at work? */
static inline bool worker_busy(const Worker *worker)
{
        return worker->n_busy > 0;
}
/* Its state as the interface has it. */
const char *worker_state_name(const Worker *worker);
/* It may have changed: who watches is told. `reason`: of its death; NULL: it lives. That it has
 * become idle or busy, as with each job, worker_tell_state() tells when it is time to. */
void worker_note_state(Worker *worker, const char *reason);
void worker_tell_state(Worker *worker);

void worker_free(Worker *worker);

/* A job of this user begins: last words from now on are its own. */
void worker_new_words(Worker *worker, uint32_t uid);
/* The job on its slot ends: what was written so far is its own. */
void worker_end_words(Worker *worker);

/* The rest of what it wrote. */
void worker_read_output(Worker *worker);
