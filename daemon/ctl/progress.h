/* SPDX-License-Identifier: MIT */
#pragma once

/* A progress bar on stderr, if that is a terminal; else nothing happens. */

#include <stdbool.h>

#include "base/clock.h"

enum { PROGRESS_INTERVAL = 100000 }; /* microseconds between two drawings */

typedef struct Progress {
        bool on;
        bool drawn;    /* the bar is on the terminal */
        uint64_t total; /* 0: not known */
        uint64_t done, failed;
        usec_t started, drawn_at; /* monotonic */
} Progress;

void progress_init(Progress *p, usec_t now);

/* Draws it, unless it was drawn less than the interval ago. */
void progress_draw(Progress *p, usec_t now);

/* Takes it off the terminal, so that something else can be written. */
void progress_clear(Progress *p);
