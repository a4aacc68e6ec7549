/* SPDX-License-Identifier: MIT */
#pragma once

/* A job as the interface shows it. */

#include "base/buffer.h"
#include "core/job.h"

/* Writes the object of type Job; without `payload` no args and no result. */
void job_json(Buffer *b, const Job *job, bool payload);
