/* SPDX-License-Identifier: MIT */
#pragma once

/* What is asked of a worker, in the order in which it is asked. */

#include "ctl/trial.h"

typedef enum CheckNeeds {
        NEEDS_NOTHING, /* it starts its own worker, or goes on with the one of the check before */
        NEEDS_READY,   /* one that is prepared */
        NEEDS_RUN,     /* and the check `run` was passed */
} CheckNeeds;

typedef struct TrialCheck {
        const char *name;     /* for programs */
        const char *sentence; /* for people: what a good worker does */
        CheckNeeds needs;
        bool (*check)(Trial *t); /* leaves words, also when it is right (maybe empty) */
} TrialCheck;

/* The i-th; NULL: there are no more. */
const TrialCheck *trial_check(unsigned i);
