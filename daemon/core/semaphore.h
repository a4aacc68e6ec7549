/* SPDX-License-Identifier: MIT */
#pragma once

/* Named semaphores: how many attempts may run at a time that name one.
 *
 * Units belong to attempts. A job takes one of each that it names when it is claimed, all or none,
 * and gives them back when the attempt ends, however it ends. So a crash needs no repair: a new
 * daemon starts with no attempt, and no unit taken.
 *
 * A job that lacks one is blocked and waits, in its pool's queue, at all that it names; when its
 * pool has room it is found there, in its rank. The best of those that need several keeps one unit
 * from those who come after it, or it could wait for ever while others pass it with one. */

#include "core/core.h"

/* Who waits at a semaphore in one pool. */
typedef struct SemaphoreQueue {
        List link; /* CoreSemaphore.queues */
        CorePool *pool;
        Heap waiters;   /* JobUnit; best first */
        uint32_t named; /* open jobs of the pool that name it */
} SemaphoreQueue;

/* One that no job can name: how many jobs of a user may run. NULL if memory ran out. */
CoreSemaphore *semaphore_of_user(Core *core, uint32_t uid);

/* Lets a job name semaphores (no name twice); once, when it is made. Returns 0 or -ENOMEM. */
int semaphores_name(Job *job, CoreSemaphore *const *semaphores, unsigned n);
/* It does so no more. */
void semaphores_unname(Job *job);
/* It goes to another pool. Returns 0, or -ENOMEM with nothing changed. */
int semaphores_move(Job *job, CorePool *to);

/* The first one that keeps the job from running just now; NULL: none does. */
CoreSemaphore *semaphores_missing(const Job *job);
/* Takes a unit of each; nothing may be missing. */
void semaphores_take(Job *job);
/* Gives them back, if it has them. */
void semaphores_give(Job *job);

/* Enters the job where it waits; takes it out again (harmless if it is not in). */
void semaphores_wait(Job *job);
void semaphores_leave(Job *job);

/* The best job of a pool that waits at a semaphore and could run now; it still waits. NULL:
 * none. */
Job *semaphores_next(Core *core, const CorePool *pool);

void semaphores_fini(Core *core);
