/* SPDX-License-Identifier: MIT */
#pragma once

/* What may have to wait for another process: it is tried under the lock, and again whenever
 * something has changed. */

#include "ipc/members.h"
#include "ipc/waiting.h"

/* Called under the lock. -EAGAIN: not now; all else ends the matter. */
typedef int (*Attempt)(Members *m, void *context);

/* Returns what the attempt does, or -ETIMEDOUT after so many microseconds (0: at once, negative:
 * never). */
int attempt_until(Members *m, Waiting *w, Attempt attempt, void *context, int64_t timeout_usec);

/* Under the lock: is it time to look for dead members? Who waits looks as soon as it wakes, but not
 * all of them one after another. */
bool attempt_may_look(uint64_t *looked);
