/* SPDX-License-Identifier: MIT */
#pragma once

/* Users: what the jobs of each amount to, and how much that may be.
 *
 * Whoever has had a job is remembered as long as the core lives: a few bytes each. Root and the
 * daemon's own user are counted, and have no limit.
 *
 * How many jobs of a user may run is a semaphore that each of its jobs names beside its own, while
 * there is such a limit: a job that was submitted before there was one does not. */

#include "core/core.h"

typedef struct CoreUser {
        HashLink link; /* Core.users */
        uint32_t uid;
        uint64_t open, bytes;   /* jobs that have not ended, and their memory */
        usec_t rate_until;      /* what it has submitted would have taken until then */
        CoreSemaphore *running; /* NULL: never limited yet */
} CoreUser;

/* Found or made; NULL if memory ran out. */
CoreUser *user_get(Core *core, uint32_t uid);
/* NULL: it has had no job. */
CoreUser *user_find(const Core *core, uint32_t uid);
void user_forget_all(Core *core);

/* May it have one more job of this size? 0 or CORE_E_USER_…. */
int user_check(const Core *core, const CoreUser *user, uint64_t size);
/* May it have submitted so many now? Then they count. 0 or CORE_E_USER_RATE. */
int user_take_rate(const Core *core, CoreUser *user, unsigned n, usec_t now);

/* The semaphore that its jobs have to name; NULL: none. Returns 0 or -ENOMEM. */
int user_semaphore(Core *core, CoreUser *user, CoreSemaphore **ret);

/* The one place where open jobs, and the memory of those, are counted: of the daemon and of the
 * user; jobs of the pool, too. */
void count_open(Core *core, const Job *job, int by);
void count_bytes(Core *core, const Job *job, int64_t by);
