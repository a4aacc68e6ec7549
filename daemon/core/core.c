/* SPDX-License-Identifier: MIT */

#include "core/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "core/admission.h"
#include "core/dependency.h"
#include "core/table.h"

enum {
        TICK_WORK = 1000, /* jobs that one tick looks at */
        MAX_UNTOUCHED =
                5, /* workers that may die before they look at a job, until it is to blame */
};

/* --- queues to the supervisor --- */

void core_request(Core *core, Job *job, JobRequest request)
{
        ASSERT(job->request == REQUEST_NONE);
        job->request = request;
        list_append(&core->requests, &job->request_link);
}

void core_event(Core *core, Job *job, JobEvent event)
{
        if (!job->events)
                list_append(&core->events, &job->event_link);
        job->events |= (uint8_t)event;
}

Job *core_next_request(Core *core)
{
        Job *job = LIST_FIRST(&core->requests, Job, request_link);

        if (job)
                list_remove(&job->request_link);
        return job;
}

Job *core_next_event(Core *core, unsigned *ret)
{
        Job *job = LIST_FIRST(&core->events, Job, event_link);

        if (!job)
                return NULL;
        list_remove(&job->event_link);
        *ret = job->events;
        job->events = 0;
        return job;
}

/* --- states --- */

static void count_state(Core *core, Job *job, int by)
{
        core->count[job->state] += (uint64_t)by;
        job->pool->count[job->state] += (uint64_t)by;
        if (!job_state_ended(job->state)) {
                core->open += (uint64_t)by;
                job->pool->open += (uint64_t)by;
        }
}

/* The one place where a listed job changes its state. */
static void set_state(Core *core, Job *job, JobState state)
{
        ASSERT(job_state_allows(job->state, state));
        count_state(core, job, -1);
        job->state = state;
        count_state(core, job, 1);
        heap_remove(&job->pool->ready, job);
        table_set_due(core, job, 0);
}

/* The job shows up in a first state. */
void core_list(Core *core, Job *job, JobState state)
{
        ASSERT(!job->listed);
        job->listed = true;
        job->state = state;
        core->open--; /* it was counted as open when it was made */
        job->pool->open--;
        count_state(core, job, 1);
        list_append(&core->all, &job->all);
}

/* When it would expire; USEC_INFINITY: never, or it has begun. */
static usec_t expiry(const Job *job)
{
        return job->has & JOB_HAS_TTL && !job->started ? usec_add(job->submitted, job->ttl)
                                                       : USEC_INFINITY;
}

static void wait_in_queue(Core *core, Job *job)
{
        if (job->handler->pool && job->handler->pool != job->pool)
                core_follow_handler(job); /* it was under way when its handler went there */
        if (!job->order)
                job->order = ++core->next_order;
        if (heap_push(&job->pool->ready, job) < 0)
                abort(); /* room was reserved when it was admitted */
        table_set_due(core, job, expiry(job) == USEC_INFINITY ? 0 : expiry(job));
}

static void wait_for_time(Core *core, Job *job)
{
        table_set_due(core, job, MIN(job->ready_at, expiry(job)));
}

/* The state in which a job waits just now. */
static JobState waiting_state(const Job *job, usec_t now)
{
        if (!list_empty(&job->blockers))
                return JOB_BLOCKED;
        return job->ready_at > now ? JOB_SCHEDULED : JOB_QUEUED;
}

static void start_waiting(Core *core, Job *job)
{
        if (job->state == JOB_QUEUED)
                wait_in_queue(core, job);
        else if (job->state == JOB_SCHEDULED)
                wait_for_time(core, job);
        else if (expiry(job) != USEC_INFINITY)
                table_set_due(core, job, expiry(job));
}

static void place(Core *core, Job *job, usec_t now)
{
        set_state(core, job, waiting_state(job, now));
        start_waiting(core, job);
        core_event(core, job, EVENT_CHANGED);
}

/* Asks the store to let the job end so. */
static void end_as(Core *core, Job *job, JobState state, const char *reason, usec_t now)
{
        if (reason && !job->reason)
                job->reason = strdup(reason); /* without memory it ends without words */
        heap_remove(&job->pool->ready, job);
        table_set_due(core, job, 0);
        job->next_state = (uint8_t)state;
        job->ended = now;
        core_request(core, job, REQUEST_SETTLE);
}

/* --- admission --- */

static void admitted(Core *core, Job *job, usec_t now)
{
        core_list(core, job, waiting_state(job, now));
        if (job->cancel_asked) {
                end_as(core, job, JOB_CANCELLED, NULL, now);
        } else {
                start_waiting(core, job);
        }
        core_event(core, job, EVENT_ADMITTED);
}

static void refused(Core *core, Job *job, usec_t now)
{
        Dependency *d;
        char reason[96];

        (void)snprintf(reason, sizeof(reason),
                       "job %s, which had to succeed first, was not admitted",
                       uuid_text(&job->id).text);
        while ((d = LIST_FIRST(&job->dependents, Dependency, in_blocker))) {
                Job *waiting = d->waiting; /* of the same refused batch, or admitted after it */

                dependency_free(d);
                core_cancel(core, waiting, reason, now);
        }
        core_event(core, job, EVENT_REFUSED);
}

/* --- claims --- */

Job *core_peek(const Core *core, const CorePool *pool)
{
        return pool->paused ? NULL : heap_peek(&pool->ready);
}

Job *core_claim(Core *core, CorePool *pool)
{
        Job *job = core_peek(core, pool);

        if (!job)
                return NULL;
        heap_remove(&pool->ready, job);
        table_set_due(core, job, 0);
        pool->claiming++;
        core_request(core, job, REQUEST_CLAIM);
        return job;
}

void core_unclaim(Core *core, Job *job, usec_t now)
{
        ASSERT(job->state == JOB_QUEUED && job->ready_index == HEAP_NONE &&
               job->request == REQUEST_NONE);
        job->slot = NULL;
        if (job->cancel_asked)
                end_as(core, job, JOB_CANCELLED, NULL, now);
        else
                wait_in_queue(core, job);
}

static void claimed(Core *core, Job *job, bool durable, usec_t now)
{
        job->pool->claiming--;
        if (durable && !job->cancel_asked)
                core_event(core, job, EVENT_CLAIMED);
        else
                core_unclaim(core, job, now);
}

int core_begin(Core *core, Job *job, const AttemptBegin *begin, usec_t now)
{
        Attempt *a = job_add_attempt(job);

        if (!a)
                return -ENOMEM;
        a->number = ++job->attempt;
        a->seat = begin->seat;
        a->generation = begin->generation;
        a->pid = begin->pid;
        a->pool = job->pool;
        a->started = now;
        if (!job->started)
                job->started = now;
        job->progress = -1;
        set_state(core, job, JOB_RUNNING);
        core_event(core, job, EVENT_CHANGED);
        return 0;
}

void core_progress(Core *core, Job *job, double fraction)
{
        job->progress = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
        core_event(core, job, EVENT_CHANGED);
}

/* --- settlement --- */

static void keep_result(Job *job, Slice result)
{
        free(job->result);
        job->result_len = 0;
        job->result = result.len ? malloc(result.len) : NULL;
        if (!job->result)
                return;
        memcpy(job->result, result.data, result.len);
        job->result_len = result.len;
}

void core_settle(Core *core, Job *job, AttemptEnd *end, usec_t now, uint64_t random)
{
        Attempt *a = job_last_attempt(job);
        bool untouched = end->untouched && job->untouched < MAX_UNTOUCHED;
        RetryFacts facts = { .outcome = end->outcome, .may_retry = end->may_retry,
                             .untouched = untouched, .cancel_asked = job->cancel_asked };
        RetryDecision d;

        ASSERT(job->state == JOB_RUNNING && a && a->outcome == OUTCOME_NONE);
        a->ended = now;
        a->outcome = end->outcome;
        a->certificate = MOVE_PTR(end->certificate);
        job->untouched = end->untouched ? job->untouched + 1 : 0;
        job->touched |= !untouched;
        if (!job->touched)
                job->started = 0; /* not yet, then */
        if (untouched)
                job->budget++;
        else if (end->outcome != OUTCOME_SUCCEEDED)
                job->failures++;
        if (end->outcome == OUTCOME_WORKER_DIED && !untouched)
                job->deaths++;
        facts.attempts_left = job->attempt < job->budget;
        facts.failures = job->failures;
        facts.deaths = job->deaths;
        d = retry_decide(&facts, &job->pool->policy, random);
        job->slot = NULL;
        keep_result(job, end->result);
        if (d.state == JOB_SUCCEEDED && job->reason) { /* of a cancel that came too late */
                free(job->reason);
                job->reason = NULL;
        }
        job->ready_at = usec_add(now, d.delay);
        if (job_state_ended(d.state))
                job->ended = now;
        job->next_state = (uint8_t)(d.state == JOB_QUEUED && d.delay ? JOB_SCHEDULED : d.state);
        core_request(core, job, REQUEST_SETTLE);
}

/* What waited for this job goes on, or ends with it. */
static void release_dependents(Core *core, Job *job, usec_t now)
{
        Dependency *d;
        char reason[96];

        if (list_empty(&job->dependents))
                return;
        (void)snprintf(reason, sizeof(reason), "job %s, which had to succeed first, %s%s",
                       uuid_text(&job->id).text,
                       job->state == JOB_FAILED || job->state == JOB_EXPIRED ? "" : "was ",
                       job_state_name(job->state));
        while ((d = LIST_FIRST(&job->dependents, Dependency, in_blocker))) {
                Job *waiting = d->waiting;

                dependency_free(d);
                if (job->state != JOB_SUCCEEDED)
                        core_cancel(core, waiting, reason, now);
                else if (list_empty(&waiting->blockers) && waiting->listed &&
                         waiting->state == JOB_BLOCKED && waiting->request == REQUEST_NONE)
                        place(core, waiting, now);
        }
}

static void ended(Core *core, Job *job, usec_t now)
{
        table_drop_key(core, job);
        job->pool->done++;
        core->bytes -= job->bytes;
        core->kept++;
        core->kept_bytes += job->bytes + job->result_len;
        if (job->has & JOB_HAS_KEEP) {
                table_set_due(core, job, MAX(usec_add(job->ended, job->keep), 1u));
                list_append(&core->finished_own, &job->finished);
        } else {
                list_append(&core->finished, &job->finished);
        }
        release_dependents(core, job, now);
        while (!list_empty(&job->blockers))
                dependency_free(LIST_FIRST(&job->blockers, Dependency, in_waiting));
        core_event(core, job, EVENT_ENDED);
}

static void settled(Core *core, Job *job, usec_t now)
{
        set_state(core, job, job->next_state);
        if (job_state_ended(job->state)) {
                ended(core, job, now);
                return;
        }
        if (job->cancel_asked) {
                end_as(core, job, JOB_CANCELLED, NULL, now);
                return;
        }
        start_waiting(core, job);
        core_event(core, job, EVENT_CHANGED);
}

void core_complete(Core *core, Job *job, bool durable, usec_t now)
{
        JobRequest request = job->request;

        job->request = REQUEST_NONE;
        switch (request) {
        case REQUEST_ADMIT:
                if (durable)
                        admitted(core, job, now);
                else
                        refused(core, job, now);
                break;
        case REQUEST_CLAIM:
                claimed(core, job, durable, now);
                break;
        case REQUEST_SETTLE:
                if (durable)
                        settled(core, job, now);
                else
                        core_request(core, job,
                                     REQUEST_SETTLE); /* it has happened: until it is kept */
                break;
        default:
                ASSERT(false);
        }
}

/* --- what people ask for --- */

/* Nobody has heard yet that the job is claimed, and now nobody will. */
static void withdraw_claim(Job *job)
{
        if (!(job->events & EVENT_CLAIMED))
                return;
        job->events &= (uint8_t)~EVENT_CLAIMED;
        if (!job->events)
                list_remove(&job->event_link);
}

void core_cancel(Core *core, Job *job, const char *reason, usec_t now)
{
        if (job->listed && job_state_ended(job->state))
                return;
        if (job->request == REQUEST_SETTLE && job_state_ended(job->next_state))
                return; /* as good as ended */
        if (!job->cancel_asked && reason && !job->reason)
                job->reason = strdup(reason);
        job->cancel_asked = true;
        if (job->request != REQUEST_NONE || !job->listed || job->state == JOB_RUNNING || job->slot)
                return; /* what is under way comes back and finds the mark */
        withdraw_claim(job);
        end_as(core, job, JOB_CANCELLED, reason, now);
}

bool core_retry(Core *core, Job *job, usec_t now)
{
        Heap *ready = &job->pool->ready;

        if (!job_state_ended(job->state) || job->state == JOB_SUCCEEDED ||
            job->request != REQUEST_NONE ||
            heap_reserve(ready, (uint32_t)(job->pool->open - ready->count + 1)) < 0 ||
            !table_take_key(core, job))
                return false;
        list_remove(&job->finished);
        table_set_due(core, job, 0);
        core->kept--;
        core->kept_bytes -= job->bytes + job->result_len;
        core->bytes += job->bytes;
        keep_result(job, (Slice){ NULL, 0 });
        free(job->reason);
        job->reason = NULL;
        job->cancel_asked = false;
        job->deaths = job->failures = job->untouched = 0;
        job->budget = job->attempt + job->max_attempts;
        job->ended = 0;
        job->ready_at = now;
        job->has &= (uint16_t)~JOB_HAS_TTL; /* its time was up; the new budget has none */
        job->next_state = JOB_QUEUED;
        core_request(core, job, REQUEST_SETTLE);
        return true;
}

/* --- time --- */

static bool too_much_kept(const Core *core)
{
        return core->kept > core->limits.keep_max ||
               (core->limits.keep_bytes && core->kept_bytes > core->limits.keep_bytes);
}

/* The job that ended first of those that are kept; NULL: none. */
static Job *first_ended(const Core *core)
{
        Job *usual = LIST_FIRST(&core->finished, Job, finished);
        Job *own = LIST_FIRST(&core->finished_own, Job, finished);

        if (!usual || !own)
                return usual ? usual : own;
        return own->ended < usual->ended ? own : usual;
}

/* Forgets it, unless somebody has yet to hear of it: then later. */
static void forget_or_wait(Core *core, Job *job, usec_t now)
{
        if (!job->events && job->request == REQUEST_NONE && !job->pins) {
                core_forget(core, job);
                return;
        }
        list_remove(&job->finished);
        table_set_due(core, job, now + USEC_PER_SEC);
}

static void forget_old(Core *core, usec_t now)
{
        for (int i = 0; i < TICK_WORK; i++) {
                bool much = too_much_kept(core);
                Job *oldest = much ? first_ended(core) : LIST_FIRST(&core->finished, Job, finished);

                if (!oldest || (!much && usec_add(oldest->ended, core->limits.keep) > now))
                        return;
                forget_or_wait(core, oldest, now);
        }
}

static void fire(Core *core, Job *job, usec_t now)
{
        table_set_due(core, job, 0);
        if (job_state_ended(job->state)) {
                forget_or_wait(core, job, now);
        } else if (expiry(job) <= now) {
                end_as(core, job, JOB_EXPIRED, "it had not started when its ttl was over", now);
        } else if (job->state == JOB_SCHEDULED) {
                place(core, job, now);
        }
}

void core_tick(Core *core, usec_t now)
{
        for (int i = 0; i < TICK_WORK; i++) {
                Job *job = heap_peek(&core->timers);

                if (!job || job->due > now)
                        break;
                fire(core, job, now);
        }
        forget_old(core, now);
}

usec_t core_next_due(const Core *core)
{
        const Job *job = heap_peek(&core->timers);
        const Job *oldest = LIST_FIRST(&core->finished, Job, finished);
        usec_t due = job ? job->due : USEC_INFINITY;

        if (too_much_kept(core) && first_ended(core))
                return 0;
        return oldest ? MIN(due, usec_add(oldest->ended, core->limits.keep)) : due;
}
