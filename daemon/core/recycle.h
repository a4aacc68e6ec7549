/* SPDX-License-Identifier: MIT */
#pragma once

/* When a worker has served long enough: arithmetic.
 *
 * Each worker has limits of its own, a little below those of its pool by chance, so that workers
 * that were started together do not go together. They are reasons to be replaced, not bounds: a
 * worker that is due goes on until its successor is ready, and only some of a pool are replaced at
 * a time. */

#include "base/clock.h"

/* Of a pool, or one worker of it; 0: off. */
typedef struct RecycleLimits {
        uint64_t jobs, memory; /* done; bytes */
        usec_t age;            /* since it became active */
} RecycleLimits;

typedef enum RecycleReason {
        RECYCLE_NONE,
        RECYCLE_JOBS,
        RECYCLE_MEMORY,
        RECYCLE_AGE,
} RecycleReason;

/* Those of one worker: each less up to so many percent. `random` is any number. */
RecycleLimits recycle_limits(const RecycleLimits *pool, unsigned percent, uint64_t random);

/* Which of its limits it has reached, with so much behind it. */
RecycleReason recycle_due(const RecycleLimits *own, const RecycleLimits *used);

/* How many of so many active workers may be replaced at a time: a quarter, and one at the least. */
unsigned recycle_share(unsigned active);
