/* SPDX-License-Identifier: MIT */

#include "api/job_json.h"

#include "api/reason.h"

#include "core/core.h"
#include "pool/slot.h"
#include "store/attempt_json.h"
#include "varlink/json.h"

static void write_numbers(Buffer *b, const Job *job)
{
        static const struct {
                const char *name;
                uint16_t has;
        } numbers[] = { { "run_at_usec", JOB_HAS_RUN_AT },
                        { "delay_usec", JOB_HAS_DELAY },
                        { "max_attempts", JOB_HAS_MAX_ATTEMPTS },
                        { "timeout_usec", JOB_HAS_TIMEOUT },
                        { "ttl_usec", JOB_HAS_TTL },
                        { "keep_usec", JOB_HAS_KEEP } };

        for (size_t i = 0; i < ELEMENTS(numbers); i++)
                if (job->has & numbers[i].has)
                        emit_int_member(b, numbers[i].name,
                                        (int64_t)job_number(job, numbers[i].has, 0));
}

static void write_list(Buffer *b, const char *name, const Job *job, uint16_t which)
{
        Slice text = job_text(job, which);

        if (text.len)
                emit_raw_member(b, name, text);
}

static void write_spec(Buffer *b, const Job *job, bool payload)
{
        emit_key(b, "spec");
        emit_open(b, '{');
        emit_string_member(b, "handler", slice_of(job->handler->name));
        if (payload && job_args(job).len)
                emit_raw_member(b, "args", job_args(job));
        if (job->has & JOB_HAS_ID) {
                emit_key(b, "id");
                emit_uuid(b, &job->id);
        }
        if (job->has & JOB_HAS_PRIORITY)
                emit_int_member(b, "priority", job->priority);
        write_numbers(b, job);
        if (job->has & JOB_HAS_UNIQUE_KEY)
                emit_string_member(b, "unique_key", job_key(job));
        write_list(b, "after", job, JOB_HAS_AFTER);
        write_list(b, "semaphores", job, JOB_HAS_SEMAPHORES);
        write_list(b, "tags", job, JOB_HAS_TAGS);
        if (job->has & JOB_HAS_DURABILITY)
                emit_string_member(b, "durability",
                                   job->memory && !job->gone ? SLICE("memory") : SLICE("fsync"));
        if (job->has & JOB_HAS_ATTACHED)
                emit_bool_member(b, "attached", true);
        emit_close(b, '}');
}

static void write_reason(Buffer *b, const Job *job)
{
        char text[REASON_SIZE];

        if (reason_write(job, text, sizeof(text)))
                emit_string_member(b, "reason", slice_of(text));
}

JobState job_shown_state(const Job *job)
{
        bool waits = job->state == JOB_RUNNING && job->slot && !slot_has_begun(job->slot, job);

        return waits ? JOB_QUEUED : job->state;
}

void job_json(Buffer *b, const Job *job, bool payload)
{
        JobState state = job_shown_state(job);
        const JobHistory *h = job->history;
        uint32_t n = h->n_attempts - (state != job->state); /* the last one is yet to begin */

        emit_open(b, '{');
        emit_key(b, "id");
        emit_uuid(b, &job->id);
        write_spec(b, job, payload);
        emit_string_member(b, "pool", slice_of(job->pool->name));
        emit_string_member(b, "state", slice_of(job_state_name(state)));
        write_reason(b, job);
        emit_int_member(b, "submitted_usec", (int64_t)job->submitted);
        if (h->started && n)
                emit_int_member(b, "started_usec", (int64_t)h->started);
        if (job_state_ended(job->state))
                emit_int_member(b, "ended_usec", (int64_t)job->ended);
        emit_key(b, "attempts");
        emit_open(b, '[');
        for (uint32_t i = 0; i < n; i++)
                attempt_write(b, &h->attempts[i]);
        emit_close(b, ']');
        if (h->progress >= 0) {
                emit_key(b, "progress");
                emit_float(b, h->progress);
        }
        if (payload && job_state_ended(job->state) && h->result)
                emit_raw_member(b, "result", (Slice){ h->result, h->result_len });
        emit_int_member(b, "uid", job->uid);
        emit_int_member(b, "gid", job->gid);
        emit_close(b, '}');
}
