/* SPDX-License-Identifier: MIT */
#pragma once

/* Copies of the scoreboard at one moment, and those of the last seconds: what happened lately is
 * the difference of two. */

#include "ctl/board.h"

/* How long "lately" is, if samples are taken more often than that. */
#define TOP_WINDOW (10 * USEC_PER_SEC)

typedef struct TopSample {
        usec_t at;              /* by the daemon's clock */
        BoardHead head;
        char ailment[256];      /* what is wrong with the daemon; "": nothing. The caller's */
        BoardPool *pools;       /* by place; those that are not in use have no name */
        uint32_t n_pools;
        BoardHandler *handlers; /* the same */
        uint32_t n_handlers;
        BoardWorkers workers;
} TopSample;

/* Returns 0 or -ENOMEM. */
int top_sample_take(const BoardAt *b, TopSample **ret);
TopSample *top_sample_free(TopSample *s);

enum { TOP_KEPT = 16 };

/* The newest sample, and older ones that reach back as far as TOP_WINDOW, or to the one before. */
typedef struct TopHistory {
        TopSample *newest;          /* NULL: none yet */
        TopSample *older[TOP_KEPT]; /* oldest first */
        unsigned n_older;
} TopHistory;

/* Takes the sample; those of another daemon are forgotten. */
void top_history_add(TopHistory *h, TopSample *s);
void top_history_fini(TopHistory *h);

static inline void top_history_fini_cleanup(TopHistory *h)
{
        top_history_fini(h);
}

/* With what the newest is to be compared; NULL: there was none before. */
static inline const TopSample *top_history_base(const TopHistory *h)
{
        return h->n_older ? h->older[0] : NULL;
}
