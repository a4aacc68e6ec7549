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

/* The moment of clock_monotonic() so many microseconds from now; negative: never. */
usec_t clock_until(int64_t timeout_usec);

static inline struct timespec clock_timespec(usec_t t)
{
        return (struct timespec){ (time_t)(t / USEC_PER_SEC), (long)(t % USEC_PER_SEC) * 1000 };
}

/* a + b, staying at USEC_INFINITY instead of wrapping. */
static inline usec_t usec_add(usec_t a, usec_t b)
{
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}
