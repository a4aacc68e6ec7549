/* SPDX-License-Identifier: MIT */
#pragma once

/* What broodd does with jobs queued in advance: how fast it takes more and starts them, for how long
 * it leaves others unheard meanwhile, and how much memory a job that waits costs.
 *
 * Of the pool `noop`, the only one of the daemon. For each size, in growing order: fill up to it;
 * then, in turn, let some jobs run and submit as many, until `seconds` were spent with each. */

#include "crew.h"

void measure_backlog(const CrewTask *task, double seconds, const long *sizes, int n_sizes);
