/* SPDX-License-Identifier: MIT */
#pragma once

/* Time in microseconds. */

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL

static inline usec_t clock_read(clockid_t id)
{
        struct timespec t;

        (void)clock_gettime(id, &t); /* cannot fail for the clocks that we name */
        return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* Since some point in the past; never steps. */
static inline usec_t clock_monotonic(void)
{
        return clock_read(CLOCK_MONOTONIC);
}

/* Since the Unix epoch, as the machine believed when the process first asked, and never stepping
 * after: intervals stay true when somebody sets the clock. */
usec_t clock_steady(void);

/* a + b, staying at USEC_INFINITY instead of wrapping. */
static inline usec_t usec_add(usec_t a, usec_t b)
{
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}
