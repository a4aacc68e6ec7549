/* SPDX-License-Identifier: MIT */
#pragma once

/* When the service manager is told that we are alive, and when not: arithmetic.
 *
 * A sign of life is given each half of the interval that it asks for, and only where there is proof
 * that work gets on. That the loop turns is proven by who asks here: a timer of the loop, after
 * everything has settled. The other two are facts that come in: for how long the storage thread has
 * owed an answer, and a probe has been on its way through a pool. Neither may be longer than the
 * interval; then nothing is said until it is over, and the service manager ends us one interval
 * after the last sign. */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

typedef struct Watchdog {
        usec_t interval; /* 0: nobody wants to know */
        usec_t due;      /* when to look next; 0: at once */
        bool silent;     /* no sign was given the last time */
} Watchdog;

typedef struct WatchdogFacts {
        usec_t storage_since; /* the storage thread has had its work since then; 0: it has none */
        bool storage_fails;   /* and what it did last went wrong */
        usec_t probe_since;   /* the probe has been under way since then; 0: none is */
        const char *pool;     /* that it goes through */
} WatchdogFacts;

typedef enum WatchdogVerdict {
        WATCHDOG_NOT_DUE,
        WATCHDOG_ALIVE,   /* say so */
        WATCHDOG_STORAGE, /* do not: the storage thread does not answer */
        WATCHDOG_PROBE,   /* do not: the probe has not ended */
} WatchdogVerdict;

/* Looks, if that is due, and notes when to look next. */
WatchdogVerdict watchdog_look(Watchdog *w, const WatchdogFacts *facts, usec_t now);

/* How long the loop stood still before it came to look; 0: it is no later than it may be. */
usec_t watchdog_late(const Watchdog *w, usec_t now);

/* What does not get on, in words. Returns `to`. */
char *watchdog_words(WatchdogVerdict verdict, const WatchdogFacts *facts, usec_t now, char *to,
                     size_t size);
