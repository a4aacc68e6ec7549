/* SPDX-License-Identifier: MIT */
#pragma once

/* What broodd does with jobs queued in advance: how fast it takes more and runs them, for how long
 * it leaves others unheard meanwhile, and how much memory a job that waits costs.
 *
 * One daemon for each size, with a pool `noop` and no other. Each is filled up; then, with one
 * after the other, some jobs are let run and as many submitted, until `seconds` were spent with
 * each of both, with each daemon. */

#include "crew.h"

typedef struct BacklogSize {
        const char *socket;
        long jobs; /* at least 1000 */
} BacklogSize;

void measure_backlogs(const CrewTask *task, double seconds, const BacklogSize *sizes, int n);
