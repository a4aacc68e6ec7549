/* SPDX-License-Identifier: MIT */
#pragma once

/* A job as the interface shows it. */

#include "base/buffer.h"
#include "core/job.h"

/* The state that is shown: a job that was given to a worker is running when the worker has begun
 * it, and queued until then. */
JobState job_shown_state(const Job *job);

/* Writes the object of type Job; without `payload` no args and no result. */
void job_json(Buffer *b, const Job *job, bool payload);
