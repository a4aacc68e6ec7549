/* SPDX-License-Identifier: MIT */
#pragma once

/* When a seat may have a worker again: arithmetic.
 *
 * A worker that dies before it was ready is a failed start: the seat waits, twice as long each
 * time, up to a cap. One that dies later is replaced at once, unless the seat has had a whole burst
 * of deaths within a second. When starts of a pool fail again and again and none succeeds, its
 * breaker opens: then one seat tries at a time, as slowly as the cap. */

#include <stdbool.h>

#include "base/clock.h"

enum { RESTART_BURST = 100, BREAKER_AFTER = 5 };

#define RESTART_BACKOFF     (100 * USEC_PER_MSEC)
#define RESTART_BACKOFF_MAX (30 * USEC_PER_SEC)
#define RESTART_WINDOW      USEC_PER_SEC

typedef struct SeatRestart {
        unsigned failed_starts; /* in a row */
        unsigned deaths;        /* in the window */
        usec_t window;          /* when it began */
        usec_t not_before;      /* no start before this; 0: at once */
} SeatRestart;

typedef struct Breaker {
        unsigned failed_starts; /* of all seats since the last success */
        bool open;
} Breaker;

/* `random` is any number, for the jitter. */
void restart_failed_start(SeatRestart *seat, Breaker *breaker, usec_t now, uint64_t random);
void restart_died(SeatRestart *seat, usec_t now);
void restart_ready(SeatRestart *seat, Breaker *breaker);
