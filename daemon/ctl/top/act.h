/* SPDX-License-Identifier: MIT */
#pragma once

/* What the keys of `top` have done by the daemon, and what it answers. */

#include "ctl/top/ask.h"
#include "ctl/top/ui.h"

typedef struct TopAct {
        const char *socket;
        TopAsk ask;
        bool page;       /* the answer is for the page */
        char pool[64];   /* that the page is of; "": it is of something else */
        char done[128];  /* what to say when it is done */
} TopAct;

/* Does what a key has wished for. */
void top_act(TopAct *a, TopUi *ui, const TopModel *m, TopWish wish);

/* Looks whether there is an answer. Returns whether something is changed. */
bool top_act_step(TopAct *a, TopUi *ui, usec_t now);
