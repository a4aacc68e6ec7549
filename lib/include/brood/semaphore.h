/* SPDX-License-Identifier: MIT */
#pragma once

/* Semaphores and locks across processes and threads, as Python's multiprocessing has them, but for
 * one thing: a unit that is held by a process that has died comes back, and whoever gets it is
 * told.
 *
 * A semaphore lives in anonymous shared memory. It is inherited by fork(), or handed on as a
 * descriptor (brood_semaphore_fd(), then brood_semaphore_open() over there). A unit belongs to the
 * process that acquired it; any of its threads may release it, and so may another process, as with
 * Python's: then a unit of whoever has one is given back.
 *
 * The death of an owner is noticed by those who wait, within about a tenth of a second. What it
 * protected may be half done: BROOD_OWNER_DIED says so to the one who gets that unit, and only to
 * that one.
 *
 * Functions return 0, BROOD_OWNER_DIED (acquired, see above), or a negative errno: -ETIMEDOUT (not
 * within this time), -EPERM (a bounded semaphore is released more often than it was acquired;
 * Python: ValueError), -EINVAL, -ENOSPC (1024 processes hold units already), -EMFILE and what else
 * makes an acquire impossible. Times are microseconds; a negative timeout means for ever, 0 not to
 * wait.
 *
 * Who shares it can write to it: that are processes that trust each other. Each
 * brood_semaphore_open() is an owner of its own, also in a process that has another one of the
 * same semaphore. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct BroodSemaphore BroodSemaphore;

#define BROOD_OWNER_DIED 1

enum { BROOD_SEMAPHORE_MAX = 32767 }; /* units (Python: SEM_VALUE_MAX is larger) */

/* So many units to begin with; a bounded one never has more (Python: Semaphore(value),
 * BoundedSemaphore(value)). -EINVAL: more than BROOD_SEMAPHORE_MAX. */
int brood_semaphore_new(BroodSemaphore **ret, unsigned value, int bounded);

/* A mutual exclusion that is not recursive (Python: Lock()); one that is: by the same thread any
 * number of times (Python: RLock()). Both are semaphores of one unit to all functions here; a
 * recursive one can only be released by its owner (-EPERM; Python: AssertionError). */
int brood_lock_new(BroodSemaphore **ret);
int brood_recursive_lock_new(BroodSemaphore **ret);

/* One from a descriptor that brood_semaphore_fd() of another process was; taken over. -EBADMSG: it
 * is something else. */
int brood_semaphore_open(BroodSemaphore **ret, int fd);
int brood_semaphore_fd(const BroodSemaphore *semaphore);

/* Takes a unit; waits for one (Python: acquire(block, timeout)). */
int brood_semaphore_acquire(BroodSemaphore *semaphore, int64_t timeout_usec);
/* Gives a unit back (Python: release()). */
int brood_semaphore_release(BroodSemaphore *semaphore);
/* Units that could be acquired at this moment (Python: get_value()). */
int brood_semaphore_value(const BroodSemaphore *semaphore);

/* Forgets it here. Units that were acquired by it and not released come back as those of a dead
 * process do (Python: they are lost). No other thread may be in a function of it. */
void brood_semaphore_free(BroodSemaphore *semaphore);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
