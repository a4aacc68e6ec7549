/* SPDX-License-Identifier: MIT */
#pragma once

/* What follows from the end of an attempt. */

#include "core/job.h"

/* What a pool says about the jobs that it runs. Limits of 0 mean: off. */
typedef struct JobPolicy {
        usec_t timeout;
        usec_t backoff, backoff_max;
        uint32_t max_attempts;
        uint32_t poison_deaths;
        uint32_t breaker_deaths;
        uint64_t max_queued;
        int priority;
} JobPolicy;

typedef struct RetryFacts {
        Outcome outcome;
        bool may_retry;    /* the handler did not say that it is pointless */
        bool untouched;    /* it never began */
        bool cancel_asked;
        bool attempts_left;
        uint32_t failures; /* in a row, this one included */
        uint32_t deaths;   /* this one included */
        bool bystander;    /* another job killed its worker: no death of this one */
} RetryFacts;

typedef struct RetryDecision {
        JobState state; /* JOB_QUEUED: try again, after the delay */
        usec_t delay;
} RetryDecision;

/* `random` is any number, for the jitter. */
RetryDecision retry_decide(const RetryFacts *facts, const JobPolicy *policy, uint64_t random);

/* base, doubled with each failure, up to the cap, less up to a quarter of it by chance. */
usec_t retry_backoff(usec_t base, usec_t cap, uint32_t failures, uint64_t random);
