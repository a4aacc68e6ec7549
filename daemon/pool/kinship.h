/* SPDX-License-Identifier: MIT */
#pragma once

/* Is a process the child of another one? Where a fork server runs code of its pool's user, what it
 * says of its children may be a lie, and the daemon may end whom that user may not. */

#include <stdbool.h>
#include <sys/types.h>

/* Does the descriptor stand for process `pid`, a child of `parent`, or for one that is over? */
bool kinship_holds(int pidfd, pid_t pid, pid_t parent);
