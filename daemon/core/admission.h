/* SPDX-License-Identifier: MIT */
#pragma once

/* From a spec to a job. Inside of core. */

#include "core/core.h"

/* Queues to the supervisor; core.c. */
void core_request(Core *core, Job *job, JobRequest request);
void core_event(Core *core, Job *job, JobEvent event);
void core_list(Core *core, Job *job, JobState state);

/* A job that waits goes to the pool that serves its handler now; registry.c. */
void core_follow_handler(Job *job);
