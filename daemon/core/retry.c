/* SPDX-License-Identifier: MIT */

#include "core/retry.h"

#include "base/macros.h"

usec_t retry_backoff(usec_t base, usec_t cap, uint32_t failures, uint64_t random)
{
        usec_t delay = base;

        for (uint32_t i = 1; i < failures && delay && delay < cap; i++)
                delay = usec_add(delay, delay);
        delay = MIN(delay, cap);
        return delay - random % (delay / 4 + 1);
}

static RetryDecision again(usec_t delay)
{
        return (RetryDecision){ JOB_QUEUED, delay };
}

static RetryDecision end(JobState state)
{
        return (RetryDecision){ state, 0 };
}

RetryDecision retry_decide(const RetryFacts *f, const JobPolicy *policy, uint64_t random)
{
        usec_t delay = retry_backoff(policy->backoff, policy->backoff_max, f->failures, random);

        if (f->outcome == OUTCOME_SUCCEEDED)
                return end(JOB_SUCCEEDED);
        if (f->cancel_asked)
                return end(JOB_CANCELLED);
        if (f->untouched)
                return again(0);
        if (f->outcome == OUTCOME_CANCELLED)
                return end(JOB_CANCELLED);
        if (f->outcome == OUTCOME_WORKER_DIED) {
                if (policy->poison_deaths && f->deaths >= policy->poison_deaths && !f->bystander)
                        return end(JOB_QUARANTINED);
                if (!f->attempts_left)
                        return end(JOB_FAILED);
                return again(f->deaths == 1 || f->bystander ? 0 : delay); /* it may be chance */
        }
        if (!f->may_retry || !f->attempts_left)
                return end(JOB_FAILED);
        if (f->outcome == OUTCOME_SHUTDOWN ||
            (f->outcome == OUTCOME_SUPERVISOR_DIED && f->failures == 1))
                return again(0); /* it was not the job's doing, so far as we know */
        return again(delay);
}
