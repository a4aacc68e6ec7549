/* SPDX-License-Identifier: MIT */

#include "api/job_json.h"

#include <stdio.h>

#include "core/core.h"
#include "core/dependency.h"
#include "pool/slot.h"
#include "varlink/json.h"

static void write_spec(Buffer *b, const Job *job, bool payload)
{
        emit_key(b, "spec");
        emit_open(b, '{');
        emit_string_member(b, "handler", slice_of(job->handler->name));
        if (payload && job->args_len)
                emit_raw_member(b, "args", job_args(job));
        if (job->has & JOB_HAS_ID) {
                emit_key(b, "id");
                emit_uuid(b, &job->id);
        }
        if (job->has & JOB_HAS_PRIORITY)
                emit_int_member(b, "priority", job->priority);
        if (job->has & JOB_HAS_RUN_AT)
                emit_int_member(b, "run_at_usec", (int64_t)job->run_at);
        if (job->has & JOB_HAS_DELAY)
                emit_int_member(b, "delay_usec", (int64_t)job->delay);
        if (job->has & JOB_HAS_MAX_ATTEMPTS)
                emit_int_member(b, "max_attempts", job->max_attempts);
        if (job->has & JOB_HAS_TIMEOUT)
                emit_int_member(b, "timeout_usec", (int64_t)job->timeout);
        if (job->has & JOB_HAS_TTL)
                emit_int_member(b, "ttl_usec", (int64_t)job->ttl);
        if (job->has & JOB_HAS_KEEP)
                emit_int_member(b, "keep_usec", (int64_t)job->keep);
        if (job->has & JOB_HAS_UNIQUE_KEY)
                emit_string_member(b, "unique_key", job_key(job));
        if (job->after_len)
                emit_raw_member(b, "after", job_after(job));
        if (job->semaphores_len)
                emit_raw_member(b, "semaphores", job_semaphores(job));
        if (job->tags_len)
                emit_raw_member(b, "tags", job_tags(job));
        if (job->has & JOB_HAS_DURABILITY)
                emit_string_member(b, "durability", job->memory ? SLICE("memory") : SLICE("fsync"));
        if (job->has & JOB_HAS_ATTACHED)
                emit_bool_member(b, "attached", job->attached);
        emit_close(b, '}');
}

static void write_certificate(Buffer *b, const Certificate *c)
{
        if (c->error)
                emit_string_member(b, "error", slice_of(c->error));
        if (c->exit_status >= 0)
                emit_int_member(b, "exit_status", c->exit_status);
        if (c->signal[0])
                emit_string_member(b, "signal", slice_of(c->signal));
        if (c->died) {
                emit_bool_member(b, "core_dumped", c->core_dumped);
                emit_int_member(b, "cpu_usec", (int64_t)c->cpu_usec);
                emit_int_member(b, "peak_memory_bytes", (int64_t)c->peak_memory_bytes);
        }
        if (c->stderr_tail)
                emit_string_member(b, "stderr_tail", slice_of(c->stderr_tail));
}

static void write_attempt(Buffer *b, const Attempt *a)
{
        emit_open(b, '{');
        emit_int_member(b, "number", a->number);
        emit_key(b, "worker");
        buffer_append_char(b, '"');
        buffer_append_string(b, a->pool->name);
        buffer_append_literal(b, ".");
        emit_digits(b, a->seat);
        buffer_append_char(b, '"');
        emit_int_member(b, "pid", a->pid);
        emit_int_member(b, "started_usec", (int64_t)a->started);
        if (a->outcome != OUTCOME_NONE) {
                emit_int_member(b, "ended_usec", (int64_t)a->ended);
                emit_string_member(b, "outcome", slice_of(outcome_name(a->outcome)));
        }
        if (a->certificate)
                write_certificate(b, a->certificate);
        emit_close(b, '}');
}

/* In words, why it waits, or why it ended so. */
static void write_reason(Buffer *b, const Job *job)
{
        const Dependency *d = LIST_FIRST(&job->blockers, Dependency, in_waiting);
        char text[128];

        if (job->reason) {
                emit_string_member(b, "reason", slice_of(job->reason));
        } else if (job->state == JOB_BLOCKED && d) {
                (void)snprintf(text, sizeof(text), "waits for job %s, which is %s",
                               uuid_text(&d->blocker->id).text, job_state_name(d->blocker->state));
                emit_string_member(b, "reason", slice_of(text));
        } else if (job->state == JOB_SCHEDULED) {
                (void)snprintf(text, sizeof(text),
                               job->attempt ? "waits before it is tried again, after attempt %u"
                                            : "waits for its time",
                               job->attempt);
                emit_string_member(b, "reason", slice_of(text));
        }
}

JobState job_shown_state(const Job *job)
{
        bool waits = job->state == JOB_RUNNING && job->slot && !slot_has_begun(job->slot, job);

        return waits ? JOB_QUEUED : job->state;
}

void job_json(Buffer *b, const Job *job, bool payload)
{
        JobState state = job_shown_state(job);
        uint32_t n = job->n_attempts - (state != job->state); /* the last one is yet to begin */

        emit_open(b, '{');
        emit_key(b, "id");
        emit_uuid(b, &job->id);
        write_spec(b, job, payload);
        emit_string_member(b, "pool", slice_of(job->pool->name));
        emit_string_member(b, "state", slice_of(job_state_name(state)));
        write_reason(b, job);
        emit_int_member(b, "submitted_usec", (int64_t)job->submitted);
        if (job->started && n)
                emit_int_member(b, "started_usec", (int64_t)job->started);
        if (job_state_ended(job->state))
                emit_int_member(b, "ended_usec", (int64_t)job->ended);
        emit_key(b, "attempts");
        emit_open(b, '[');
        for (uint32_t i = 0; i < n; i++)
                write_attempt(b, &job->attempts[i]);
        emit_close(b, ']');
        if (job->progress >= 0) {
                emit_key(b, "progress");
                emit_float(b, job->progress);
        }
        if (payload && job_state_ended(job->state) && job->result)
                emit_raw_member(b, "result", (Slice){ job->result, job->result_len });
        emit_int_member(b, "uid", job->uid);
        emit_int_member(b, "gid", job->gid);
        emit_close(b, '}');
}
