/* SPDX-License-Identifier: MIT */

#include "core/restart.h"

#include "core/retry.h"

void restart_failed_start(SeatRestart *seat, Breaker *breaker, usec_t now, uint64_t random)
{
        seat->failed_starts++;
        seat->not_before = usec_add(now, retry_backoff(RESTART_BACKOFF, RESTART_BACKOFF_MAX,
                                                       seat->failed_starts, random));
        if (++breaker->failed_starts >= BREAKER_AFTER)
                breaker->open = true;
}

void restart_died(SeatRestart *seat, usec_t now)
{
        if (now - seat->window >= RESTART_WINDOW) {
                seat->window = now;
                seat->deaths = 0;
        }
        seat->not_before = ++seat->deaths > RESTART_BURST ? seat->window + RESTART_WINDOW : 0;
}

void restart_ready(SeatRestart *seat, Breaker *breaker)
{
        seat->failed_starts = 0;
        seat->not_before = 0;
        breaker->failed_starts = 0;
        breaker->open = false;
}
