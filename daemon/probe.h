/* SPDX-License-Identifier: MIT */
#pragma once

/* A job of the daemon's own that goes through the pool which WatchdogPool= names, to see whether
 * jobs get through: the pool's first handler with `{}` (exec: /bin/true), before all others, kept
 * nowhere. However it ends, the pool is alive. There is one at a time.
 *
 * No proof is asked for where it would say nothing of the pool's health: while an operator has
 * paused it or has taken all of its workers, while its handler is given a rest, while it is full,
 * and while the daemon drains or stops. */

#include <stdbool.h>

#include "core/core.h"

struct Supervisor;

typedef struct Probe {
        Job *job;     /* NULL: none is under way */
        usec_t since; /* when it was sent, or was last excused */
        bool full;    /* the last one was not taken: the queue is full */
} Probe;

/* Excuses the one that is under way, or calls it back if it is of no use any more; with `send`
 * there is one under way afterwards, if there may be. */
void probe_look(struct Supervisor *s, bool send, usec_t now);

/* Something has become of it. */
void probe_event(struct Supervisor *s, unsigned events);

/* Since when it has been under way; 0: none is. */
static inline usec_t probe_since(const Probe *p)
{
        return p->job ? p->since : 0;
}
