/* SPDX-License-Identifier: MIT */
#pragma once

/* Which cgroup is ours to divide: the one that the service manager (Delegate=yes) or whoever
 * started us has handed over. */

#include <stdbool.h>
#include <stddef.h>

#include "process/cgroup.h"

#define DELEGATION_SUPERVISOR "supervisor" /* the leaf that the supervisor itself is in */
#define DELEGATION_POOL "pool-"            /* the groups of pools begin so */

typedef struct Delegation {
        int group;              /* its directory */
        char path[CGROUP_PATH];
        bool whole;             /* all that is in it is ours; else only what has our names */
} Delegation;

/* Finds it. Returns 0, or -1 with the reason why there is none in `why`. */
int delegation_find(Delegation *ret, char *why, size_t size);
