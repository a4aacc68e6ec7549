/* SPDX-License-Identifier: MIT */
#pragma once

/* How something is brought to its end: politely first. The rungs are data; who climbs asks for the
 * next rung and when it is due. */

#include <stdbool.h>

#include "base/clock.h"

typedef enum Rung {
        RUNG_NONE, /* nobody has asked for its end */
        RUNG_ASK,  /* Cancel or Leave over the control connection */
        RUNG_TERM, /* SIGTERM */
        RUNG_KILL, /* SIGKILL */
        RUNG_TOP,  /* nothing is left to do but wait */
} Rung;

typedef struct Ladder {
        Rung rung;   /* the last one taken */
        usec_t next; /* when the next one is due; USEC_INFINITY: never */
} Ladder;

#define LADDER_INIT { RUNG_NONE, USEC_INFINITY }

/* Is somebody on it? */
static inline bool ladder_climbing(const Ladder *l)
{
        return l->rung != RUNG_NONE;
}

/* Takes the first rung, or goes straight to SIGKILL with `force`; returns the rung to act on, or
 * RUNG_NONE if it is there or higher already. */
Rung ladder_start(Ladder *l, bool force, usec_t kill_after, usec_t now);

/* Takes the next rung if it is due; returns it, or RUNG_NONE. `only_ask`: not past asking (others
 * share the worker). */
Rung ladder_climb(Ladder *l, bool only_ask, usec_t kill_after, usec_t now);
