/* SPDX-License-Identifier: MIT */
#pragma once

/* A pool: seats with workers, the fork server that makes them, and the jobs of its handlers. */

#include "base/list.h"
#include "core/core.h"
#include "core/pool_policy.h"
#include "core/restart.h"
#include "pool/cgroup.h"
#include "pool/worker.h"
#include "settings/settings.h"

struct Pools;
struct Forker;

/* A place for a worker. */
typedef struct Seat {
        Worker *worker; /* NULL: empty */
        unsigned generation; /* of the last one */
        SeatRestart restart;
} Seat;

enum { N_POOL_LIMITS = 3 /* see pool/limits.c */, N_DEATHS = 9 /* pool/obituary.h */ };

typedef enum PoolChange {
        CHANGE_NONE,
        CHANGE_FORKER,  /* a new fork server is starting */
        CHANGE_WORKERS, /* it is up, and new workers take over */
} PoolChange;

typedef struct Pool {
        List link;
        struct Pools *pools;
        CorePool *core;
        PoolSettings *settings;        /* owned by the Settings in force */
        char **handlers; /* that it serves: what the config names, or all of the module's */
        bool removed;    /* not in the config any more: it goes with its last worker */
        PoolBounds bounds;             /* active workers; in force: ScalePool changes them */
        unsigned spares;               /* wanted */
        PoolAim aim;                   /* active workers wanted just now */
        uint64_t waiting;              /* ready jobs that no slot had room for, the last time */
        struct Forker *forker;         /* that makes workers; NULL: none */
        struct Forker *next_forker;    /* CHANGE_FORKER: the one that is starting */
        List forkers; /* all that live, also those that only wait for their workers */
        PoolSettings *next_settings;   /* that it is started for */
        unsigned next_killed;          /* how many of these were killed in a row */
        PoolChange change;
        const char *told;              /* the state that watchers know */
        char *change_error;            /* why the last change failed; NULL: it did not */
        unsigned epoch;                /* workers of older epochs leave when new ones are ready */
        Seat *seats;
        unsigned n_seats;
        List workers;                  /* Worker.in_pool: all that live */
        List idle;                     /* Slot.idle: slots of active workers with nothing to do */
        bool check;                    /* a worker or a number changed: fill again */
        bool full; /* a claimed job found no slot: those behind it must not overtake it */
        Breaker breaker;
        char start_error[256];         /* why the last worker did not start; "": one has */
        SeatRestart forker_restart;
        struct event timer;            /* when to look again, though nothing changes */
        usec_t wake;                   /* what it is set to; USEC_INFINITY: nothing */
        Cgroup group;                   /* its cgroup */
        unsigned forkers_made;         /* so far: their groups are numbered */
        uint64_t limits[N_POOL_LIMITS]; /* that were last put in force */
        uint64_t deaths;               /* of workers, not asked for */
        uint64_t deaths_by[N_DEATHS];  /* the same by DeathCause */
        uint64_t recycled;             /* workers */
        struct BoardPool *shown;       /* on the scoreboard; NULL: there is no room */
        List restart_calls;            /* the api's: who waits for the change to be over */
} Pool;

/* Makes a pool without a fork server; handlers are not bound. Returns 0 or -ENOMEM. */
int pool_new(Pool **ret, struct Pools *pools, PoolSettings *settings);
/* Everything of it must have ended. */
void pool_free(Pool *pool);

/* Starts a new fork server for these settings; when it is ready, new workers follow and take over
 * from the old ones. Returns 0 or -errno. */
int pool_change(Pool *pool, PoolSettings *settings);
/* The change takes place: the new fork server is the pool's. */
void pool_commit(Pool *pool, PoolSettings *settings);
/* The change does not take place. */
void pool_abandon(Pool *pool);

/* Takes over settings that need no new workers. */
void pool_adopt(Pool *pool, PoolSettings *settings);

/* Binds the handlers that the settings name (or all that the module offers) to the pool's queue. */
int pool_bind_handlers(Pool *pool);

/* How many workers it may have from now on: MinWorkers= and MaxWorkers=, as Scaling= takes them. */
void pool_scale(Pool *pool, unsigned min_workers, unsigned max_workers);

/* So many of its jobs are ready and find no room; 0: none does. */
void pool_note_waiting(Pool *pool, uint64_t waiting, usec_t now);

/* Something changed: look again. */
void pool_touch(Pool *pool);

/* Starts, promotes and retires workers. */
void pool_fill(Pool *pool, usec_t now);

/* It is gone with everything in it. */
bool pool_is_empty(const Pool *pool);

/* From worker.c and forker.c: facts. */
void pool_forker_ready(Pool *pool, struct Forker *forker);
void pool_forker_failed(Pool *pool, struct Forker *forker, const char *why);
void pool_forker_gone(Pool *pool, struct Forker *forker);
void pool_worker_ready(Pool *pool, Worker *worker, usec_t now);
void pool_worker_over(Pool *pool, Worker *worker, usec_t now);

/* Workers that are prepared: spares too; and whether they are as many as there have to be. */
unsigned pool_ready_workers(const Pool *pool);
bool pool_has_minimum(const Pool *pool);
/* It has such a worker, or gets one when a job comes. */
bool pool_can_serve(const Pool *pool);

/* Counts. */
typedef struct PoolCount {
        unsigned workers, starting, spare, idle, busy;
        unsigned slots, free_slots; /* of those that are idle or busy */
} PoolCount;
PoolCount pool_count(const Pool *pool);

/* running, paused, draining or failed. */
const char *pool_state(const Pool *pool);
