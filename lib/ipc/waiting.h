/* SPDX-License-Identifier: MIT */
#pragma once

/* Waiting for a change of shared memory, with other processes: a futex word and how many wait at
 * it.
 *
 * Each sleep is bounded: a process that was killed may have taken a wake-up with it, so who waits
 * looks again by itself after WAITING_LOOK. One that is killed while it waits leaves the count too
 * high, which costs a system call at each wake-up, and nothing else. */

#include <stdint.h>

#include "base/clock.h"

enum { WAITING_LOOK = 100000 }; /* µs */

typedef struct Waiting {
        uint32_t changes; /* the futex word */
        uint32_t waiters;
} Waiting;

/* Taken before one looks whether to wait. */
static inline uint32_t waiting_mark(const Waiting *w)
{
        return __atomic_load_n(&w->changes, __ATOMIC_ACQUIRE);
}

/* Sleeps until something has changed since the mark, the time is up (a moment of clock_monotonic(),
 * USEC_INFINITY: never), or WAITING_LOOK has gone by. */
void waiting_sleep(Waiting *w, uint32_t mark, usec_t until);

/* Something has changed: wakes so many of those who wait. */
void waiting_wake(Waiting *w, int n);
