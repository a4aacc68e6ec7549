/* SPDX-License-Identifier: MIT */
#pragma once

/* Units that processes hold: what semaphores and locks are, and what guards a shared value.
 *
 * The numbers stand in one of two states; the other is made new, and the store that flips them is
 * the moment at which a unit is taken or given back. What each member holds is set to the number
 * that the state names, which a repair can do again. So a process that is killed anywhere has done
 * all of it or nothing, and a death is told exactly once. */

#include <stdbool.h>

#include "ipc/members.h"
#include "ipc/waiting.h"

typedef struct UnitsState {
        uint32_t total;
        uint32_t available;
        uint32_t orphaned;   /* units that dead members had, and nobody has got since */
        uint32_t slot, held; /* whose number has changed last, and to what */
        uint32_t owner_tid;  /* of a recursive one */
        uint32_t depth;      /* how often its owner has acquired it beyond the first time */
} UnitsState;

/* At the start of an object in shared memory. */
typedef struct Units {
        MemberTable members;
        Waiting waiting;
        bool bounded, recursive;
        uint32_t which; /* state */
        UnitsState states[2];
        uint64_t looked; /* when somebody last looked for dead members */
        uint32_t held[MEMBERS_MAX];
} Units;

/* Before members_new() or members_open(). */
void units_begin(Members *m);

/* In new memory. */
void units_init(Members *m, unsigned value, bool bounded, bool recursive);

/* These return what brood/semaphore.h says. */
int units_acquire(Members *m, int64_t timeout_usec);
int units_release(Members *m);
int units_value(Members *m);
