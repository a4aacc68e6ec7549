/* SPDX-License-Identifier: MIT */
#pragma once

/* Watch: every change of jobs, workers and pools, from the moment of the call on.
 *
 * Without a gap: jobs' changes come from the journal of the core, which has each of them, and a
 * watcher that does not keep up loses its connection (CLIENT_HARD_LIMIT), never a change. But a
 * worker becomes busy and idle with each job: whether it is the one or the other is told as it is,
 * no more often than each WATCH_WORKERS, or fifty who look would cost more than the jobs. */

#include "api/api.h"

#define WATCH_WORKERS (20 * USEC_PER_MSEC)

void watch_init(Api *api);
/* There are no clients any more. */
void watch_fini(Api *api);

/* Watch. */
void watch_changes(const Request *r);

/* The call's connection goes. */
void watch_gone(VarlinkCall *call);

/* The pool goes for good. */
void watch_pool_gone(Api *api, const Pool *pool);

/* Tells those who watch what has changed since the last time; after each round of settling. */
void watch_flush(Api *api);
