/* SPDX-License-Identifier: MIT */

/* What time brings about, and what is kept: jobs that have ended for a while, large payloads only
 * in the store. */

#include "core/inside.h"
#include "core/user.h"

enum { TICK_WORK = 1000 }; /* jobs that one tick looks at */

/* --- those that have ended --- */

uint64_t core_kept_size(const Job *job)
{
        return job->bytes + job->history->result_len;
}

/* In the lists that are kept, and counted. */
static void keep_in(Core *core, Job *job, bool first)
{
        List *list = job->has & JOB_HAS_KEEP ? &core->finished_own : &core->finished;

        core->kept++;
        core->kept_bytes += core_kept_size(job);
        if (first)
                list_prepend(list, &job->link);
        else
                list_append(list, &job->link);
}

/* When one with a time of its own is to be forgotten; 0: it has none. */
static usec_t kept_until(const Job *job)
{
        return job->has & JOB_HAS_KEEP
                       ? MAX(usec_add(job->ended, job_number(job, JOB_HAS_KEEP, 0)), 1u)
                       : 0;
}

void core_keep(Core *core, Job *job)
{
        table_set_due(core, job, kept_until(job));
        keep_in(core, job, false);
}

static void keep_no_more(Core *core, Job *job)
{
        core->kept--;
        core->kept_bytes -= core_kept_size(job);
        list_remove(&job->link);
}

static bool too_much_kept(const Core *core)
{
        return core->kept > core->limits.keep_max ||
               (core->limits.keep_bytes && core->kept_bytes > core->limits.keep_bytes);
}

/* The job that ended first of those that are kept; NULL: none. */
static Job *first_ended(const Core *core)
{
        Job *usual = LIST_FIRST(&core->finished, Job, link);
        Job *own = LIST_FIRST(&core->finished_own, Job, link);

        if (!usual || !own)
                return usual ? usual : own;
        return own->ended < usual->ended ? own : usual;
}

/* Somebody has yet to hear of it: then later. */
static void forget_later(Core *core, Job *job, usec_t now)
{
        list_remove(&job->link);
        table_set_due(core, job, now + USEC_PER_SEC);
}

/* The store has it, and can not let it go just now. */
static bool is_stuck(const Core *core, const Job *job)
{
        return core->store_down && !job->memory;
}

static void forget(Core *core, Job *job, usec_t now)
{
        if (job->in_events || job->request != REQUEST_NONE || job->calls || job->fetching ||
            is_stuck(core, job)) {
                forget_later(core, job, now);
                return;
        }
        table_set_due(core, job, 0);
        if (job->memory) {
                core_forget(core, job);
                return;
        }
        keep_no_more(core, job);
        core_request(core, job, REQUEST_FORGET);
}

void forget_completed(Core *core, Job *job, bool durable, usec_t now)
{
        keep_in(core, job, true);
        if (!durable) {
                if (job->has & JOB_HAS_KEEP)
                        table_set_due(core, job, now + USEC_PER_SEC);
                return; /* else it is the first to be looked at again */
        }
        job->memory = job->gone = true;
        if (job->calls || job->in_events || job->fetching)
                forget_later(core, job, now);
        else
                core_forget(core, job);
}

static void forget_old(Core *core, usec_t now)
{
        for (int i = 0; i < TICK_WORK; i++) {
                bool much = too_much_kept(core);
                Job *oldest = much ? first_ended(core) : LIST_FIRST(&core->finished, Job, link);

                if (!oldest || is_stuck(core, oldest) ||
                    (!much && usec_add(oldest->ended, core->limits.keep) > now))
                        return;
                forget(core, oldest, now);
        }
}

/* --- time --- */

static void fire(Core *core, Job *job, usec_t now)
{
        table_set_due(core, job, 0);
        if (job_state_ended(job->state)) {
                if (kept_until(job) > now) /* it was to go before, and could not */
                        table_set_due(core, job, kept_until(job));
                else
                        forget(core, job, now);
        } else if (core_expiry(job) <= now) {
                core_end_as(core, job, JOB_EXPIRED, "it had not started when its ttl was over",
                            now);
        } else if (job->state == JOB_SCHEDULED) {
                core_place(core, job, now);
                core_start_waiting(core, job);
                core_event(core, job, EVENT_CHANGED);
        }
}

/* A handler whose breaker is to be tried gets one of its jobs back. */
static void try_breakers(Core *core, usec_t now)
{
        CoreHandler *h;

        LIST_FOREACH(&core->handlers, h, link)
                if (h->pool && h->held.count && !h->ready &&
                    handler_breaker_allows(&h->breaker, now))
                        handler_release(h, 1);
}

void core_tick(Core *core, usec_t now)
{
        core->unfinished = false;
        for (int i = 0; i < TICK_WORK; i++) {
                Job *job = heap_peek(&core->timers);

                if (!job || job->due > now)
                        break;
                fire(core, job, now);
        }
        try_breakers(core, now);
        forget_old(core, now);
}

/* A handler of which jobs are held back, and none is tried: when one is to be. */
static usec_t next_try(const Core *core)
{
        const CoreHandler *h;
        usec_t due = USEC_INFINITY;

        LIST_FOREACH(&core->handlers, h, link)
                if (h->pool && h->held.count && !h->ready && !h->breaker.trying)
                        due = MIN(due, h->breaker.until);
        return due;
}

usec_t core_next_due(const Core *core)
{
        const Job *job = heap_peek(&core->timers);
        const Job *oldest = LIST_FIRST(&core->finished, Job, link);
        usec_t due = MIN(job ? job->due : USEC_INFINITY, next_try(core));

        const Job *first = too_much_kept(core) ? first_ended(core) : NULL;

        if (core->unfinished || (first && !is_stuck(core, first)))
                return 0;
        return oldest && !is_stuck(core, oldest)
                       ? MIN(due, usec_add(oldest->ended, core->limits.keep))
                       : due;
}

/* --- large payloads --- */

/* Payloads are needed, or only here. */
static bool is_at_work(const Job *job)
{
        return job->memory || !job->listed || job->request != REQUEST_NONE || job->calls ||
               job->fetching || job->state == JOB_RUNNING || job->slot || job->events ||
               job->claim_kept || /* it can be claimed again without the store */
               (job->state == JOB_QUEUED && job->place == PLACE_NONE); /* claimed just now */
}

static void count_change(Core *core, const Job *job, int64_t change)
{
        bool back = job->request == REQUEST_SETTLE; /* core_retry() has counted it as open */

        if (job->request == REQUEST_FORGET)
                return; /* it is counted nowhere just now */
        if (job_state_ended(job->state) && !back)
                core->kept_bytes += (uint64_t)change;
        else
                count_bytes(core, job, change);
}

void core_shed(Core *core, Job *job)
{
        JobHistory *h = job->history;

        if (is_at_work(job))
                return;
        if (job->args_elsewhere && !job->args_shed)
                count_change(core, job, job_set_args(job, NULL, 0));
        if (!job_state_ended(job->state) || h->result_len <= core->limits.large)
                return;
        count_change(core, job, -(int64_t)h->result_len);
        free(h->result);
        h->result = NULL;
        h->result_len = 0;
        job->result_shed = true;
}

void core_unshed(Core *core, Job *job, char *args, size_t args_len, char *result, size_t result_len)
{
        if (args && job->args_shed)
                count_change(core, job, job_set_args(job, MOVE_PTR(args), args_len));
        if (result && job->result_shed) {
                if (job_state_ended(job->state)) /* of an open job only its own bytes count */
                        count_change(core, job, (int64_t)result_len);
                job->history->result = MOVE_PTR(result);
                job->history->result_len = result_len;
                job->result_shed = false;
        }
        free(args);
        free(result);
}

void core_fetched(Core *core, Job *job, char *args, size_t args_len, char *result,
                  size_t result_len)
{
        core_unshed(core, job, args, args_len, result, result_len);
        job->fetching = false;
        core_event(core, job, EVENT_FETCHED);
}
