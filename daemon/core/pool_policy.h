/* SPDX-License-Identifier: MIT */
#pragma once

/* How many workers a pool should have: arithmetic.
 *
 * What Scaling= says is two numbers, the fewest and the most active workers, and how fast they may
 * become more:
 *
 *     static    MinWorkers= of them, always
 *     dynamic   from MinWorkers= to MaxWorkers=. While jobs wait that no slot has room for, as many
 *               are started as these need, but 1 in the first second, 2 in the next, then 4, and
 *               so on up to 32, so that a short rush does not become a rush of processes
 *     ondemand  from none to MaxWorkers=, at once as many as the jobs that wait need
 *
 * A worker that had no job for IdleTimeout= leaves, down to the fewest, while no job waits. Spares
 * come on top: they are promoted first, and made up for. */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* In the order of Scaling=. */
typedef enum PoolScaling { POOL_STATIC, POOL_DYNAMIC, POOL_ONDEMAND } PoolScaling;

typedef struct PoolBounds {
        unsigned min, max; /* active workers */
} PoolBounds;

/* What MinWorkers= and MaxWorkers= come to. */
PoolBounds pool_bounds(PoolScaling scaling, unsigned min_workers, unsigned max_workers);

enum { POOL_MAX_STEP = 32 };

/* How many active workers are wanted just now. All 0: none yet. */
typedef struct PoolAim {
        unsigned target;
        unsigned step; /* dynamic: how many the next step may add; 0: 1 */
        usec_t next;   /* dynamic: no step before */
} PoolAim;

typedef struct PoolNeed {
        PoolBounds bounds;
        bool in_steps;      /* dynamic */
        uint64_t waiting;   /* jobs that are ready, and that no slot has room for */
        unsigned slots;     /* of one worker */
        unsigned active;    /* ready, and no spares */
        unsigned starting;
        unsigned idle_long; /* of the active: without a job for IdleTimeout= */
} PoolNeed;

/* Brings the target to what is needed. Returns when to look again though nothing else changes;
 * USEC_INFINITY: never. */
usec_t pool_aim(PoolAim *aim, const PoolNeed *need, usec_t now);

typedef struct PoolCensus {
        unsigned active;   /* ready, and not a spare */
        unsigned spare;    /* ready, waiting to replace one */
        unsigned starting; /* not ready yet */
        unsigned min, spares; /* wanted: active ones, the target; and spares */
        bool breaker_open;
} PoolCensus;

typedef struct PoolWish {
        unsigned promote; /* spares that should become active */
        unsigned demote;  /* active ones too many: they should leave */
        unsigned start;   /* workers to start */
        unsigned leave;   /* spares too many */
} PoolWish;

/* What would bring it there. */
PoolWish pool_wish(const PoolCensus *c);
