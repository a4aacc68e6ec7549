/* SPDX-License-Identifier: MIT */
#pragma once

/* What few jobs have: jobs that go before or after them, semaphores, descriptors of their own. */

#include "core/job.h"

/* "This job after that one": an edge, in a list of each end. */
typedef struct Dependency {
        List in_waiting; /* of the waiting one: JobTies.blockers */
        List in_blocker; /* of the other: JobTies.dependents */
        Job *waiting, *blocker;
} Dependency;

/* One semaphore of a job. */
typedef struct JobUnit {
        Job *job;
        struct CoreSemaphore *semaphore;
        struct SemaphoreQueue *queue; /* of its pool */
        uint32_t index;               /* in the queue */
} JobUnit;

typedef struct JobTies {
        List blockers, dependents; /* Dependency */
        int fds[3];                /* an attached command's stdin, stdout, stderr; -1: none */
        unsigned n_units;
        JobUnit units[];
} JobTies;

/* The ties of a job, made if it has none, with room for so many semaphores if they are made now.
 * NULL if memory ran out. */
JobTies *ties_get(Job *job, unsigned n_units);
/* The job must be in nothing. */
void ties_free(Job *job);

/* Returns 0 or -ENOMEM. */
int dependency_add(Job *waiting, Job *blocker);
void dependency_free(Dependency *d);
/* Drops all edges of a job, at both ends. */
void dependency_drop_all(Job *job);

/* The first edge to a job that must succeed before this one; NULL: none. */
static inline Dependency *job_first_blocker(const Job *job)
{
        return job->ties ? LIST_FIRST(&job->ties->blockers, Dependency, in_waiting) : NULL;
}

/* The first edge to a job that waits for this one; NULL: none. */
static inline Dependency *job_first_dependent(const Job *job)
{
        return job->ties ? LIST_FIRST(&job->ties->dependents, Dependency, in_blocker) : NULL;
}
