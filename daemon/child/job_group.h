/* SPDX-License-Identifier: MIT */
#pragma once

/* The cgroup of an exec job: a leaf beside its worker's, made for it and gone with it, so that
 * nothing that the command starts, and however it detaches itself, is left. Where the worker has no
 * cgroup, all of this does nothing. */

#include <stdbool.h>
#include <stdint.h>

/* The worker's group, in which leaves are made; the descriptor stays open. -1, or what is no
 * directory: there is none. */
void job_group_init(int group);

typedef struct JobGroup {
        int group; /* -1: none */
        int procs; /* for ProcessStart.cgroup */
        uint64_t kills_before; /* for lack of memory: an earlier one may not have gone */
} JobGroup;

#define JOB_GROUP_NONE { .group = -1, .procs = -1 }

void job_group_make(JobGroup *g);
void job_group_kill(const JobGroup *g);
/* What is left in it is killed, and it is removed. Returns whether the kernel has killed something
 * in it for lack of memory. */
bool job_group_end(JobGroup *g);
