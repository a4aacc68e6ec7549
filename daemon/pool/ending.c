/* SPDX-License-Identifier: MIT */

#include "pool/ending.h"

#include "pool/fields.h"

/* What is known of why, in words. */
static const char *why(const Job *job)
{
        const Attempt *a = job_last_attempt(job);

        if (job->history->reason)
                return job->history->reason;
        if (job->state != JOB_EXPIRED && a && a->certificate && a->certificate->error)
                return a->certificate->error;
        return job->state == JOB_EXPIRED ? "it waited longer than its ttl"
                                         : "nothing more is known";
}

static void tell_one(const Job *job, const char *id, int level)
{
        const LogFields fields = job_fields(job, id);

        log_event(&fields, level, "job=%s handler=%s uid=%u %s after %u attempt%s: %s",
                  uuid_text(&job->id).text, job->handler->name, job->uid,
                  job_state_name(job->state), job->attempt, PLURAL(job->attempt),
                  why(job));
}

void ending_tell(EndingLog *l, bool all, usec_t now)
{
        if (!all && now - l->since < USEC_PER_SEC)
                return;
        if (l->unnamed)
                log_event(LOG_FIELDS(.id = MESSAGE_JOBS_UNNAMED), LEVEL_WARNING,
                          "%llu more jobs failed, were quarantined or expired",
                          (unsigned long long)l->unnamed);
        *l = (EndingLog){ .since = now };
}

usec_t ending_due(const EndingLog *l)
{
        return l->unnamed ? usec_add(l->since, USEC_PER_SEC) : USEC_INFINITY;
}

void ending_note(EndingLog *l, const Job *job, usec_t now)
{
        if (job->state == JOB_SUCCEEDED || job->state == JOB_CANCELLED ||
            !job_state_ended(job->state))
                return;
        ending_tell(l, false, now);
        if (l->named == ENDING_LINES) {
                l->unnamed++;
                return;
        }
        l->named++;
        if (job->state == JOB_QUARANTINED)
                tell_one(job, MESSAGE_JOB_QUARANTINED, LEVEL_WARNING);
        else if (job->state == JOB_FAILED)
                tell_one(job, MESSAGE_JOB_FAILED, LEVEL_NOTICE);
        else
                tell_one(job, MESSAGE_JOB_EXPIRED, LEVEL_NOTICE);
}
