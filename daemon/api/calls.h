/* SPDX-License-Identifier: MIT */
#pragma once

/* Who has to do with a job: calls that wait for it or follow it, the connection that it is attached
 * to. Hangs at Job.calls while there is anybody; until then the job is not forgotten. */

#include "core/core.h"

typedef struct JobCalls {
        Job *job;
        Core *core;
        unsigned held;  /* its lists are being walked */
        List waiters;   /* Waiter.in_job */
        List followers; /* Follower.in_job */
        List attached;  /* Client.attached */
} JobCalls;

/* Made if there are none. NULL if memory ran out. */
JobCalls *calls_of(Core *core, Job *job);
/* Somebody has gone: frees them if nobody is left. */
void calls_release(Job *job);

static inline bool calls_wait(const Job *job)
{
        return job->calls && !list_empty(&((JobCalls *)job->calls)->waiters);
}
