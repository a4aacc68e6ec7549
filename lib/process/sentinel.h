/* SPDX-License-Identifier: MIT */
#pragma once

/* The parent sentinel: a pipe whose write end only the parent holds and whose read end every
 * descendant watches. When the parent ends, in whatever way, the kernel closes the write end and
 * the read end turns readable (Python: parent_sentinel, multiprocessing/spawn.py). Nothing is ever
 * written to it. */

#include <stdbool.h>

typedef struct Sentinel {
        int watch; /* for children: pollable, POLLHUP when the parent is gone */
        int hold;  /* for the parent alone */
} Sentinel;

#define SENTINEL_INIT { -1, -1 }

/* Returns 0 or -errno. Both ends are CLOEXEC. */
int sentinel_init(Sentinel *s);
void sentinel_fini(Sentinel *s);

/* Has the parent ended? Does not wait. */
bool sentinel_gone(int watch);

/* For a child: SIGKILL to this process when the parent is gone, by the kernel, even in the middle
 * of a handler, and whichever thread started it (PR_SET_PDEATHSIG follows the thread). Reopens the
 * descriptor, so that the signal is this process's alone, under its own number. Returns 0 or
 * -errno; then, or if the parent has gone already, nobody will do it: look with sentinel_gone(). */
int sentinel_arm(int watch);
