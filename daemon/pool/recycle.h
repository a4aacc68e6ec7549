/* SPDX-License-Identifier: MIT */
#pragma once

/* Which workers of a pool have served long enough (RecycleJobs=, RecycleMemory=, RecycleAge=), and
 * whose turn it is.
 *
 * One whose turn it is gives up its seat, and goes on with its jobs: the seat is filled anew, by a
 * spare or by a start, and when that one is ready the old one leaves (pool.c, as at a change of the
 * pool).
 *
 * The memory is what is resident and of no file and no shared mapping, from /proc/PID/statm: which
 * any daemon may read of any worker, and which holds for no lock of the worker, as smaps_rollup
 * would. What a worker has from its fork server and neither has written to since counts, too. It is
 * read after a job, and once per second at the most. */

#include <stdbool.h>

#include "core/recycle.h"

struct Pool;
struct Worker;
struct PoolSettings;

/* What a worker has behind it. */
typedef struct Wear {
        RecycleLimits limits; /* its own */
        usec_t since;         /* when it became active */
        uint64_t memory;      /* when it was read last */
        uint64_t read_after;  /* how many jobs it had done then */
        usec_t read_next;     /* not read again before */
        uint64_t look_jobs;   /* its pool looks at it when it has done so many, */
        usec_t look_at;       /* or has done one, at this time or later */
        RecycleReason due;
        bool outgoing;        /* its seat is another's */
} Wear;

/* Gives a worker its limits, when it starts or its pool's have changed. */
void wear_init(Wear *wear, const struct PoolSettings *settings);

/* It has just done another one: is that a reason to look at it? */
static inline bool wear_is_due(const Wear *wear, uint64_t jobs_done, usec_t now)
{
        return jobs_done >= wear->look_jobs || now >= wear->look_at;
}

/* Looks at all, and lets those go whose turn it is. Returns when to look again; USEC_INFINITY: when
 * a job is done. */
usec_t recycle_look(struct Pool *pool, usec_t now);

/* Its successor is ready. */
void recycle_leave(struct Worker *worker, usec_t now);
