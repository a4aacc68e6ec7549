/* SPDX-License-Identifier: MIT */
#pragma once

/* What cancel and retry have in common: one call for each job, named by its id or found by
 * filters. */

#include "ctl/ctl.h"

typedef struct Change {
        const char *method;
        const char *verb, *past;   /* "cancel", "cancelled" */
        const char *missed;        /* of jobs in another state: "had ended" */
        const char *const *states; /* in which a job can be changed; ends with NULL */
        const char *words;         /* the same for people */
} Change;

/* Can it be done to a job in this state? */
bool change_applies(const Change *c, const char *state);

/* Writes the call for one job, up to its end. */
void change_write(Ctl *ctl, const Change *c, const char *id);

/* Changes every job that matches the filters of the command line (of those that are there now),
 * passing over those in other states. Returns a status. */
int change_matching(Ctl *ctl, const Change *change);
