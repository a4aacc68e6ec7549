/* SPDX-License-Identifier: MIT */
#pragma once

/* "This job after that one": an edge, in a list of each end. */

#include "core/job.h"

typedef struct Dependency {
        List in_waiting; /* waiting->blockers */
        List in_blocker; /* blocker->dependents */
        Job *waiting, *blocker;
} Dependency;

/* Returns 0 or -ENOMEM. */
int dependency_add(Job *waiting, Job *blocker);
void dependency_free(Dependency *d);

/* Drops all edges of a job, at both ends. */
void dependency_drop_all(Job *job);
