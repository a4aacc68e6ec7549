/* SPDX-License-Identifier: MIT */
#pragma once

/* The cgroup of an exec job: a leaf beside its worker's, made for it and gone with it, so that
 * nothing that the command starts, and however it detaches itself, is left. Where the worker has no
 * cgroup, all of this does nothing. */

#include <stdbool.h>
#include <stdint.h>

#include "process/cgroup.h"

/* The worker's group, in which leaves are made; the descriptor stays open. -1, or what is no
 * directory: there is none. */
void job_group_init(int group);

typedef struct JobGroup {
        CgroupDoor door; /* -1 in it: none */
        uint64_t kills_before; /* for lack of memory: an earlier one may not have gone */
} JobGroup;

#define JOB_GROUP_NONE { .door = { -1, -1 } }

/* Returns where to start the command; NULL: there is no such group. */
const CgroupDoor *job_group_make(JobGroup *g);
void job_group_kill(const JobGroup *g);
/* What is left in it is killed, and it is removed. Returns whether the kernel has killed something
 * in it for lack of memory. */
bool job_group_end(JobGroup *g);
