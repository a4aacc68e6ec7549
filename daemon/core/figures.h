/* SPDX-License-Identifier: MIT */
#pragma once

/* What has become of the jobs of one handler since the daemon started. All only grow. */

#include "base/histogram.h"
#include "core/job.h"

typedef struct HandlerFigures {
        uint64_t submitted;               /* jobs, as they are admitted */
        uint64_t ended[JOB_N_STATES];     /* jobs, by the state in which they ended */
        uint64_t attempts[OUTCOME_NONE]; /* that have ended, by outcome */
        Histogram waiting;                /* from when a job was ready until an attempt began */
        Histogram running;                /* of attempts */
} HandlerFigures;
