/* SPDX-License-Identifier: MIT */
#pragma once

/* A handler whose jobs kill their workers, one after the other, is given a rest: arithmetic.
 *
 * What counts are different jobs in a row: one job that goes on killing is quarantined by itself.
 * When there are enough, the breaker opens, and no job of the handler begins for a while; then one
 * is tried. If its worker survives the breaker closes, else it stays open for twice as long, up to
 * a cap. */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define HANDLER_BREAK     (5 * USEC_PER_SEC)
#define HANDLER_BREAK_MAX (300 * USEC_PER_SEC)

typedef struct HandlerBreaker {
        uint32_t killers; /* jobs in a row whose first death this was */
        uint32_t broken;  /* times in a row that it opened; 0: closed */
        usec_t until;     /* open: when one is to be tried */
        bool trying;      /* that one is under way */
} HandlerBreaker;

/* May a job begin? */
static inline bool handler_breaker_allows(const HandlerBreaker *b, usec_t now)
{
        return !b->broken || (!b->trying && b->until <= now);
}

/* A job is claimed. Returns true if it is the one that is tried. */
bool handler_breaker_claimed(HandlerBreaker *b);
/* The one that was tried has told nothing: it has come back without having begun, or so. */
void handler_breaker_untried(HandlerBreaker *b);

/* A worker died of a job; for the `first` time of this job; which was the `trial`. `limit` 0: off.
 * Returns true if it is open now. */
bool handler_breaker_killed(HandlerBreaker *b, bool first, bool trial, uint32_t limit, usec_t now);
/* A worker survived a job. Returns true if it was open. */
bool handler_breaker_survived(HandlerBreaker *b);
