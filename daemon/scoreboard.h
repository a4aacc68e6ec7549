/* SPDX-License-Identifier: MIT */
#pragma once

/* The scoreboard's head, pools and handlers: written at the end of a turn of the loop, but no more
 * often than each BOARD_PERIOD (slots are written as they change: pool/show.h). */

#include "ops/board.h"

struct Supervisor;
struct event;

typedef struct Scoreboard {
        Board board;
        char path[4096];     /* of the file */
        Histogram turns;     /* of the loop, how long each took */
        struct event *timer; /* NULL: there is no loop yet */
        bool armed;          /* something has changed since it was last written */
        usec_t written;
} Scoreboard;

/* There are a runtime directory and a loop. Returns 0 or -ENOMEM; without a file it goes on. */
int scoreboard_open(struct Supervisor *s);
void scoreboard_close(struct Supervisor *s);

/* All that a turn was for is done, and the loop is about to wait. */
void scoreboard_turn(struct Supervisor *s);
