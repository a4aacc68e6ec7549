/* SPDX-License-Identifier: MIT */
#pragma once

/* A world for the core to live in: clients, workers, a store, a clock and a supervisor that may
 * die at any moment, all of them by chance from a seed, and without any I/O. What the daemon's
 * layers do around core is done here in the same order: daemon/supervisor.c (world.c),
 * daemon/store (storage.c), daemon/pool (labour.c), daemon/api (clients.c).
 *
 * Beside the core stands the model: what is known of each job by what was asked of core and heard
 * from it, and by what the store has committed. oracle.c compares the two at each event,
 * audit.c recounts everything that core counts. The first difference ends the program.
 *
 * Nothing but the seed decides: no address, no real time, no order of a hash table. */

#include "core/core.h"
#include "core/table.h"
#include "core/ties.h"
#include "dice.h"
#include "events.h"
#include "store/batch.h"

enum {
        SIM_POOLS = 3,
        SIM_HANDLERS = 6,
        SIM_SEMAPHORES = 4,
        SIM_KEYS = 5,
        SIM_USERS = 2,
        SIM_SLOTS = 4,    /* of a pool */
        SIM_LINE = 5,     /* runs of a slot */
        SIM_AFTER = 3,    /* predecessors of a job */
        SIM_ECHOES = 32,  /* attempts that have ended, for late answers */
        SIM_LARGE = 100,  /* payloads above this leave memory */
        SIM_TEXT = 256,   /* the largest payload */
};

/* --- jobs --- */

typedef struct SimSpec {
        unsigned handler;
        uint32_t uid;
        uint16_t has;
        int priority;
        uint32_t max_attempts;
        usec_t run_at, delay, timeout, ttl, keep;
        unsigned args_len, key; /* of JOB_HAS_UNIQUE_KEY */
        unsigned units;         /* a bit for each semaphore */
        unsigned n_after;
        Uuid after[SIM_AFTER];
        bool memory, attached, tags;
} SimSpec;

typedef enum SimLife {
        LIFE_NONE,  /* there is none, or none any more */
        LIFE_ASKED, /* submitted, and nobody knows yet */
        LIFE_THERE, /* acknowledged, or found again after a crash */
} SimLife;

typedef struct SimJob {
        uint32_t index;       /* stands in its id, too */
        uint32_t incarnation; /* jobs that had this id */
        Uuid id;
        struct SimJob *twin;  /* another user's job of the same id */
        List live;            /* World.live, unless LIFE_NONE */
        SimSpec spec;
        SimLife life;
        Job *job;             /* core's; of one that has ended it may be gone */
        uint64_t seq;

        JobState state, next; /* as heard; what its settlement is to bring */
        bool listed, settling;
        bool in_memory;       /* from the first: the store never had it */
        bool acked;           /* a client was told that it exists */
        bool told_end;        /* … and that it has ended */
        bool unknown;         /* a client does not know whether it was taken */
        bool cancel_waits, cancel_told; /* a client waits for the answer to a cancel; has it */
        bool cancel_asked;    /* by a client, or a handler said so */
        bool bad_once;        /* it ended badly, was refused or lost, at least once */
        bool retried, retrying;
        bool doomed;          /* it was to be forgotten, but somebody had yet to hear of it */
        bool removing, removed; /* the store was asked to forget it, and has */
        bool good_once;       /* it succeeded */
        usec_t submitted, not_before, ended, delay; /* delay: the longest that may follow */

        uint32_t attempt, budget, failures, deaths, untouched;
        bool touched;
        uint32_t executed, executions; /* the highest number that a worker began; how many */
        uint32_t result_number, result_len;
} SimJob;

/* --- the store --- */

typedef struct SimText {
        char *data;
        size_t len;
} SimText;

typedef struct SimAttempt {
        Attempt attempt; /* certificate: NULL or not */
        unsigned pool;
} SimAttempt;

/* What a row of the table `job` has, its payloads in `large` and its dependencies. */
typedef struct SimRow {
        uint64_t seq;
        Uuid id;
        uint32_t uid, gid;
        unsigned handler, pool;
        JobState state;
        unsigned given, large;
        int priority;
        uint32_t attempt, budget, failures, deaths, untouched;
        usec_t submitted, order, ready_at, started, claimed, ended;
        usec_t numbers[6];
        SimText texts[4];
        SimText args, large_args, result, large_result, reason;
        SimAttempt *attempts;
        uint32_t n_attempts;
        Uuid edges[SIM_AFTER];
        unsigned n_edges;
} SimRow;

typedef struct SimFetch {
        List link;
        Job *job;
        uint64_t seq;
        bool want_args, want_result;
} SimFetch;

typedef struct SimStore {
        SimRow **rows; /* by seq; NULL: none */
        uint64_t first, end, capacity;
        StoreBatch batches[2], *filling, *writing;
        uint64_t *digests; /* of the histories in `writing`, when it was handed over */
        unsigned cap_digests;
        List fetches, fetching, kept;
        bool working, done, good, down, retry_due;
        bool outage;       /* commits fail for a while */
} SimStore;

/* --- workers --- */

typedef enum SimAnswer {
        ANSWER_SUCCESS,
        ANSWER_ERROR,
        ANSWER_NO_RETRY,
        ANSWER_COMMAND,
        ANSWER_CANCELLED,
        ANSWER_RECALLED,
} SimAnswer;

typedef struct SimRun {
        Job *job;          /* NULL: recalled */
        SimJob *model;
        uint32_t written;  /* the number in the message */
        bool executed;
        SimAnswer answer;
} SimRun;

/* A worker with its line of runs: the first `answered` of them are answered and not yet read, the
 * first `looked` the worker has taken. */
typedef struct SimSlot {
        struct SimPool *pool;
        bool alive, closed, asked, timed_out;
        unsigned count, looked, answered;
        unsigned window; /* closed: so many may be executed */
        uint32_t generation;
        usec_t deadline;
        SimRun runs[SIM_LINE];
} SimSlot;

typedef struct SimPool {
        CorePool *core;
        bool removed, full;
        bool pages; /* its workers say what they have begun; else nothing is written ahead */
        SimSlot slots[SIM_SLOTS];
} SimPool;

typedef struct SimEcho {
        SimJob *model;
        uint32_t incarnation;
        uint32_t number;
} SimEcho;

/* --- the world --- */

typedef struct SimConfig {
        CoreLimits limits;
        JobPolicy policies[SIM_POOLS];
        bool removed[SIM_POOLS];
        int served_by[SIM_HANDLERS]; /* pool; -1: nobody */
        bool quick[SIM_HANDLERS];    /* its runs are written ahead */
        uint64_t sizes[SIM_SEMAPHORES];
} SimConfig;

enum { SIM_TRACE = 50 };

typedef struct SimNote {
        uint64_t step;
        usec_t now;
        SimEvent event;
        int64_t job, a, b;
} SimNote;

typedef struct World {
        Dice dice;
        uint64_t seed, step;
        usec_t now;
        bool kind;     /* nothing bad happens */
        bool crash;    /* the supervisor dies as soon as it can */
        unsigned audit_every; /* steps */
        Core core;
        SimConfig config;
        SimStore store;
        SimPool pools[SIM_POOLS];
        bool dispatching;
        CoreHandler *handlers[SIM_HANDLERS];
        CoreSemaphore *semaphores[SIM_SEMAPHORES];
        SimJob **jobs;
        uint32_t n_jobs, cap_jobs;
        List live;
        SimJob *keys[SIM_HANDLERS][SIM_KEYS][SIM_USERS]; /* who had it last */
        SimEcho echoes[SIM_ECHOES];
        unsigned n_echoes;
        uint64_t seen[SIM_N_EVENTS], max_open;

        bool trace;
        SimNote notes[SIM_TRACE];
        uint64_t n_notes, digest;
} World;

/* --- trace.c --- */

#define SIM_NOBODY (-1)

/* Something has happened, to a job or to nobody. */
void world_note(World *w, SimEvent event, int64_t job, int64_t a, int64_t b);
void world_figures(const World *w);
/* Tells the seed, the step and the last events, and ends the program. */
void world_fail(const World *w, const SimJob *m, const char *claim) __attribute__((noreturn));
void world_tell(const World *w, const SimJob *m, const char *claim);
const char *sim_event_word(SimEvent event);

#define CHECK(world, model, claim)                                                                 \
        do {                                                                                       \
                if (__builtin_expect(!(claim), 0))                                                 \
                        world_fail(world, model, __FILE_NAME__ ": " #claim);                       \
        } while (0)

/* --- model.c --- */

SimJob *model_new(World *w, uint32_t uid);
/* A job of another user with the same id. */
SimJob *model_twin(World *w, SimJob *of);
/* NULL: nobody has made it. */
SimJob *model_of_id(const World *w, const Uuid *id, uint32_t uid);
SimJob *model_of(const World *w, const Job *job);
/* One of the last; NULL: there is none yet. */
SimJob *model_pick(World *w);
void model_set_life(World *w, SimJob *m, SimLife life);
/* A job in memory is forgotten without a word. */
void model_sync(World *w, SimJob *m);
void model_sync_all(World *w);
void model_free_all(World *w);
/* Payloads that tell whose they are. */
Slice model_args(const SimJob *m, char *to);
Slice model_result(const SimJob *m, uint32_t number, uint32_t len, char *to);
unsigned pool_index(const World *w, const CorePool *pool);

static inline bool model_is_open(const SimJob *m)
{
        return m->life != LIFE_NONE &&
               (!m->listed || !job_state_ended(m->state) || m->retrying);
}

/* --- oracle.c: what must be true of each event --- */

void oracle_submitted(World *w, SimJob *m, Job *job);
void oracle_listen(World *w);
void oracle_told(World *w, SimJob *m, Job *job, unsigned events);
void oracle_given(World *w, SimJob *m, const Job *job);
void oracle_executed(World *w, SimJob *m, uint32_t number);
void oracle_begun(World *w, SimJob *m, const Job *job);
void oracle_settling(World *w, SimJob *m, const Job *job, const AttemptEnd *end);
void oracle_settled(World *w, SimJob *m, const Job *job);
void oracle_handed_over(World *w, SimJob *m, const StoreItem *item);
/* A job that is to be settled: may it end so? */
void oracle_settlement(World *w, SimJob *m, const Job *job);
/* Jobs are to be forgotten since there were so many (with so much memory). */
void oracle_removals(World *w, bool many);
/* Of those that have ended, and that core would forget now, some are still needed: later, then. */
bool oracle_before_tick(World *w);
void oracle_committed(World *w, SimJob *m, const SimRow *row);
void oracle_crashed(World *w);
void oracle_restored(World *w);
bool oracle_payload_is_right(const SimJob *m, const Job *job);

/* --- rank.c: nobody is left behind --- */

/* What a claim could see before it was made. */
typedef struct SimView {
        uint64_t left[SIM_SEMAPHORES];
        uint64_t user_left[SIM_USERS]; /* jobs of it that may still be begun */
        bool allowed[SIM_HANDLERS];
        bool open[SIM_HANDLERS];
        bool arrives;
} SimView;

void rank_look(const World *w, SimView *view);
void rank_check_claim(World *w, const SimView *view, const Job *claimed);
void rank_check_idle(World *w, const CorePool *pool);

/* --- audit.c: core's books --- */

void audit(World *w);
/* All has ended and is forgotten. */
void audit_empty(World *w);

/* --- storage.c --- */

void storage_init(World *w);
void storage_fini(World *w);
/* One look at it from the loop. Returns true if there was something. */
bool storage_work(World *w);
/* The thread comes further, or not. */
void storage_thread(World *w);
void storage_fetch(World *w, Job *job);
SimRow *storage_row(const World *w, uint64_t seq);
SimRow *storage_find(const World *w, const SimJob *m);
/* The supervisor is gone, the rows are there. */
void storage_crash(World *w);
bool storage_is_idle(const World *w);
/* Gives core all that the rows have. */
void storage_load(World *w);

/* --- labour.c --- */

void labour_init(World *w);
void labour_dispatch(World *w);
void labour_run(World *w, Job *job);
void labour_cancel(World *w, Job *job);
void labour_recall_all(World *w);
/* One thing happens at a random worker. */
void labour_step(World *w);
/* Every worker does what it can, and well. Returns true if anything happened. */
bool labour_finish(World *w);
void labour_shut_down(World *w);
void labour_crash(World *w);
/* A worker answers to an attempt that is over. */
void labour_echo(World *w);

/* --- clients.c --- */

void clients_submit(World *w, unsigned n);
void clients_repeat(World *w);
void clients_cancel(World *w);
void clients_retry(World *w);
void clients_pin(World *w);
void clients_unpin(World *w);
void clients_fetch(World *w);
void clients_event(World *w, Job *job, unsigned events);

/* --- world.c --- */

void world_init(World *w, uint64_t seed);
void world_fini(World *w);
void world_step(World *w);
/* All turns kind until every job has ended. */
void world_be_kind(World *w);
/* … and everything is forgotten. */
void world_finish(World *w);
