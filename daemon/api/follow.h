/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls that follow what a job writes: from the call to the job's end, over all its attempts. */

#include "api/api.h"

/* Follow. */
void follow_job(const Request *r);

/* Does anybody follow the job? (Pools.followed) */
bool follow_any(const Job *job);

/* A piece for all its followers (Pools.output). */
void follow_output(const Job *job, const JobOutput *output);

/* The job has ended: so do the calls. */
void follow_ended(Job *job);

/* Does the call tell of a job of anybody but this user? */
bool follow_shows_others(const VarlinkCall *call, uint32_t uid);

/* The call's connection goes. */
void follow_gone(VarlinkCall *call);
