/* SPDX-License-Identifier: MIT */
#pragma once

/* Ending what others left behind.
 *
 * A process that is a child subreaper (PR_SET_CHILD_SUBREAPER) inherits the orphans of everything
 * below it, also those that detached themselves with setsid() and a double fork. So its children
 * are those that it started and such leftovers; killing leftovers makes new orphans, until none is
 * left.
 */

#include <stdbool.h>
#include <sys/types.h>

/* Makes this process a subreaper. Returns 0 or -errno. */
int orphans_adopt(void);

/* Sends SIGKILL to every child for which keep() says false (keep NULL: to every child). Returns how
 * many there were, or -errno. They still have to be waited for. */
int orphans_kill(bool (*keep)(pid_t pid, void *context), void *context);

/* Kills and reaps every child, and what then falls to us, until there is none. For a process that
 * is about to end, or for the end of an attempt. Never reaps with somebody else at it:
 * single-threaded, or all waiting is done. Returns how many are left: those that we may not kill
 * (they have become another user's, as a set-user-ID program can), or -errno. */
int orphans_end_all(void);
