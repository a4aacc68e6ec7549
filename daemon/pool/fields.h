/* SPDX-License-Identifier: MIT */
#pragma once

/* What lines of the log are about, as their fields. What they point to is the worker's, the job's
 * or the pool's. */

#include "ops/log.h"
#include "ops/message_ids.h"
#include "pool/pool.h"

/* `id`: of ops/message_ids.h; NULL: none. */
LogFields pool_fields(const Pool *pool, const char *id);
/* Of a worker and, while one runs on its only slot, of the job. */
LogFields worker_fields(const Worker *worker, const char *id);
LogFields job_fields(const Job *job, const char *id);
