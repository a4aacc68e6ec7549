/* SPDX-License-Identifier: MIT */

/* States, and what moves a job from one to the next. */

#include "core/inside.h"
#include "core/semaphore.h"
#include "core/user.h"

/* Workers that may die before they look at a job, until it is to blame. */
enum { MAX_UNTOUCHED = 5 };

/* --- queues to the supervisor --- */

static List *list_for(Core *core, const Job *job)
{
        if (job->memory || (job->request == REQUEST_CLAIM && job->claim_kept))
                return &core->instant;
        return job->request == REQUEST_FORGET ? &core->removals : &core->requests;
}

void core_request(Core *core, Job *job, JobRequest request)
{
        ASSERT(job->request == REQUEST_NONE && list_empty(&job->link));
        job->request = (uint8_t)request;
        list_append(list_for(core, job), &job->link);
}

static Job *take_request(List *from)
{
        Job *job = LIST_FIRST(from, Job, link);

        if (!job)
                return NULL;
        list_remove(&job->link);
        place_leave(job); /* it arrives, claimed or not, with this */
        return job;
}

Job *core_next_request(Core *core)
{
        return take_request(&core->requests);
}

Job *core_next_instant(Core *core)
{
        return take_request(&core->instant);
}

Job *core_next_removal(Core *core)
{
        return take_request(&core->removals);
}

/* A crash must not make a job go on that was to end, nor end an attempt that had not begun. */
void core_mark(Core *core, Job *job)
{
        bool given_back = job->claim_kept && job->place != PLACE_NONE;

        if (!job->memory && (job->state == JOB_RUNNING || given_back) &&
            job->request == REQUEST_NONE && list_empty(&job->link))
                list_append(&core->marks, &job->link);
}

Job *core_next_mark(Core *core)
{
        Job *job = LIST_FIRST(&core->marks, Job, link);

        if (!job)
                return NULL;
        list_remove(&job->link);
        job->mark_asked = job->state == JOB_RUNNING;
        if (!job->mark_asked)
                job->claim_kept = false; /* it is claimed anew when its turn comes */
        return job;
}

void core_marked(Core *core, Job *job, bool durable)
{
        core_shed(core, job);
        if (durable && job->mark_asked)
                core_event(core, job, EVENT_MARKED);
        else if (job->state == JOB_RUNNING && job->cancel_asked)
                core_mark(core, job);
}

void core_event(Core *core, Job *job, JobEvent event)
{
        job->events |= (uint8_t)event;
        if (job->in_events)
                return;
        job->in_events = true;
        job->next_event = NULL;
        *core->last_event = job;
        core->last_event = &job->next_event;
}

Job *core_next_event(Core *core, unsigned *ret)
{
        Job *job;

        do {
                job = core->first_event;
                if (!job)
                        return NULL;
                core->first_event = job->next_event;
                if (!core->first_event)
                        core->last_event = &core->first_event;
                job->in_events = false;
        } while (!job->events); /* withdrawn */
        *ret = job->events;
        job->events = 0;
        return job;
}

/* --- states --- */

static void count_state(Core *core, Job *job, int by)
{
        core->count[job->state] += (uint64_t)by;
        job->pool->count[job->state] += (uint64_t)by;
}

static void journal(Core *core, const Job *job)
{
        CoreJournal *j = &core->journal;
        CoreChange *more;

        if (!j->on)
                return;
        if (j->n == j->capacity) {
                more = realloc(j->changes, MAX(j->capacity * 2, 64u) * sizeof(*more));
                if (!more) {
                        j->lost = true;
                        return;
                }
                j->changes = more;
                j->capacity = MAX(j->capacity * 2, 64u);
        }
        j->changes[j->n++] = (CoreChange){ job->id, job->uid, job->state, job->pool };
}

void core_set_state(Core *core, Job *job, JobState state)
{
        int opened = job_state_ended(job->state) - job_state_ended(state);

        ASSERT(job_state_allows(job->state, state));
        place_leave(job);
        table_set_due(core, job, 0);
        count_state(core, job, -1);
        job->state = (uint8_t)state;
        count_state(core, job, 1);
        if (opened)
                count_open(core, job, opened);
        journal(core, job);
}

void core_list(Core *core, Job *job, JobState state)
{
        ASSERT(!job->listed);
        job->listed = true;
        job->state = (uint8_t)state;
        count_state(core, job, 1);
        if (job_state_ended(state))
                count_open(core, job, -1); /* it was counted when it was made */
        list_append(&core->all, &job->all);
        journal(core, job);
}

usec_t core_expiry(const Job *job)
{
        return job->has & JOB_HAS_TTL && !job->no_ttl && !job->history->started
                       ? usec_add(job->submitted, job_number(job, JOB_HAS_TTL, 0))
                       : USEC_INFINITY;
}

void core_give_order(Core *core, Job *job, usec_t now)
{
        if (job->order)
                return;
        job->order = MAX(now, core->last_order + 1);
        core->last_order = job->order;
}

static void wait_in_queue(Job *job)
{
        if (job->handler->pool && job->handler->pool != job->pool)
                core_follow_handler(job); /* it was under way when its handler went there */
        place_ready(job);
}

void core_start_waiting(Core *core, Job *job)
{
        usec_t due = core_expiry(job);

        if (job->state == JOB_QUEUED)
                wait_in_queue(job);
        else if (job->state == JOB_SCHEDULED)
                due = MIN(due, job->ready_at);
        table_set_due(core, job, due == USEC_INFINITY ? 0 : due);
}

JobState core_waiting_state(const Job *job, usec_t now)
{
        if (job_first_blocker(job))
                return JOB_BLOCKED;
        return job->ready_at > now ? JOB_SCHEDULED : JOB_QUEUED;
}

void core_place(Core *core, Job *job, usec_t now)
{
        JobState state = core_waiting_state(job, now);

        if (state == JOB_QUEUED)
                core_give_order(core, job, now);
        if (!job->listed)
                core_list(core, job, state);
        else if (state != job->state)
                core_set_state(core, job, state);
}

static void go_on_waiting(Core *core, Job *job, usec_t now)
{
        core_place(core, job, now);
        core_start_waiting(core, job);
        core_event(core, job, EVENT_CHANGED);
}

void core_end_as(Core *core, Job *job, JobState state, const char *reason, usec_t now)
{
        job_set_reason(job, reason);
        place_leave(job);
        list_remove(&job->link); /* what was noted is past */
        semaphores_leave(job);
        table_set_due(core, job, 0);
        job->next_state = (uint8_t)state;
        job->ended = now;
        core_request(core, job, REQUEST_SETTLE);
}

void core_progress(Core *core, Job *job, double fraction)
{
        JobHistory *h = job_history(job);

        ASSERT(h); /* a job that runs has one */
        h->progress = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
        core_event(core, job, EVENT_CHANGED);
}

/* --- settlement --- */

static void keep_result(Job *job, Slice result)
{
        JobHistory *h = job->history;

        if (h == &job_no_history)
                return;
        free(h->result);
        h->result_len = 0;
        job->result_shed = false;
        h->result = result.len ? malloc(result.len) : NULL;
        if (!h->result)
                return;
        memcpy(h->result, result.data, result.len);
        h->result_len = result.len;
}

static void note_breaker(Job *job, const AttemptEnd *end, bool untouched, usec_t now)
{
        HandlerBreaker *b = &job->handler->breaker;

        if (end->outcome == OUTCOME_WORKER_DIED && !untouched && !end->bystander) {
                handler_breaker_killed(b, job->history->deaths == 1, job->trial,
                                       job->pool->policy.breaker_deaths, now);
        } else if (end->outcome == OUTCOME_SUCCEEDED || end->outcome == OUTCOME_ERROR ||
                   end->outcome == OUTCOME_COMMAND_FAILED) {
                if ((b->broken || b->killers) && handler_breaker_survived(b))
                        handler_release(job->handler, UINT32_MAX);
        } else if (job->trial) {
                handler_breaker_untried(b);
        }
        job->trial = false;
}

/* Nobody looked at the job: was it to blame for that? Not where we took it back. */
static bool is_suspicious(const AttemptEnd *end)
{
        return end->untouched && end->outcome != OUTCOME_SHUTDOWN;
}

/* What the end of the attempt adds to the job's history. */
static void note_end(Job *job, Attempt *a, AttemptEnd *end, bool untouched, usec_t now)
{
        JobHistory *h = job->history;

        a->ended = now;
        a->outcome = end->outcome;
        a->certificate = MOVE_PTR(end->certificate);
        h->untouched = end->untouched ? h->untouched + is_suspicious(end) : 0;
        job->touched |= !untouched;
        if (!job->touched)
                h->started = 0; /* not yet, then */
        if (untouched)
                job->budget++;
        else if (end->outcome != OUTCOME_SUCCEEDED)
                h->failures++;
        if (end->outcome == OUTCOME_WORKER_DIED && !untouched && !end->bystander)
                h->deaths++;
        keep_result(job, end->result);
}

static void note_figures(const Job *job, const Attempt *a)
{
        HandlerFigures *f = &job->handler->figures;

        f->attempts[a->outcome]++;
        job->pool->last_end = a->ended;
        histogram_add(&f->running, a->ended - a->started);
}

static RetryDecision decide(const Job *job, const AttemptEnd *end, bool untouched, uint64_t random)
{
        RetryFacts facts = { .outcome = end->outcome,
                             .may_retry = end->may_retry,
                             .untouched = untouched,
                             .bystander = end->bystander,
                             .cancel_asked = job->cancel_asked,
                             .attempts_left = job->attempt < job->budget,
                             .failures = job->history->failures,
                             .deaths = job->history->deaths };

        return retry_decide(&facts, &job->pool->policy, random);
}

int core_settle(Core *core, Job *job, uint32_t number, AttemptEnd *end, usec_t now, uint64_t random)
{
        Attempt *a = job_last_attempt(job);
        bool untouched = end->untouched &&
                         (!is_suspicious(end) || job->history->untouched < MAX_UNTOUCHED);
        RetryDecision d;

        if (job->state != JOB_RUNNING || job->request != REQUEST_NONE || job->attempt != number) {
                core->stale++;
                certificate_free(end->certificate);
                end->certificate = NULL;
                return CORE_E_STALE;
        }
        ASSERT(a && a->outcome == OUTCOME_NONE);
        now = MAX(now, a->started); /* whoever tells may have looked at the clock before it began */
        note_end(job, a, end, untouched, now);
        note_figures(job, a);
        note_breaker(job, end, untouched, now);
        d = decide(job, end, untouched, random);
        job->slot = NULL;
        list_remove(&job->link); /* the mark says no more than this */
        semaphores_give(job);
        if (d.state == JOB_SUCCEEDED)
                job_clear_reason(job); /* of a cancel that came too late */
        job->ready_at = usec_add(now, d.delay);
        if (job_state_ended(d.state))
                job->ended = now;
        job->next_state = (uint8_t)(d.state == JOB_QUEUED && d.delay ? JOB_SCHEDULED : d.state);
        job->pool->returning += job->next_state == JOB_QUEUED;
        core_request(core, job, REQUEST_SETTLE);
        return 0;
}

/* What waited for this job goes on, or ends with it. */
static void release_dependents(Core *core, Job *job, usec_t now)
{
        Dependency *d;
        char reason[96];

        if (!job_first_dependent(job))
                return;
        (void)snprintf(reason, sizeof(reason), "job %s, which had to succeed first, %s%s",
                       uuid_text(&job->id).text,
                       job->state == JOB_FAILED || job->state == JOB_EXPIRED ? "" : "was ",
                       job_state_name(job->state));
        while ((d = job_first_dependent(job))) {
                Job *waiting = d->waiting;

                dependency_free(d);
                if (job->state != JOB_SUCCEEDED)
                        core_cancel(core, waiting, reason, now);
                else if (!job_first_blocker(waiting) && waiting->listed &&
                         waiting->state == JOB_BLOCKED && waiting->request == REQUEST_NONE)
                        go_on_waiting(core, waiting, now);
        }
}

static void ended(Core *core, Job *job, usec_t now)
{
        Dependency *d;

        table_drop_key(core, job);
        job->pool->done++;
        job->handler->figures.ended[job->state]++;
        count_bytes(core, job, -(int64_t)job->bytes);
        core_keep(core, job);
        release_dependents(core, job, now);
        while ((d = job_first_blocker(job)))
                dependency_free(d);
        core_event(core, job, EVENT_ENDED);
}

/* A job that has been settled and goes on: its place, unless its end was asked for meanwhile. */
static void settled(Core *core, Job *job, usec_t now)
{
        JobState state = job->next_state;

        job->claim_kept = false;
        job->pool->returning -= state == JOB_QUEUED;
        core_set_state(core, job, state);
        if (job_state_ended(state)) {
                ended(core, job, now);
                return;
        }
        if (!job->cancel_asked)
                core_event(core, job, EVENT_CHANGED);
        if (state == JOB_QUEUED)
                core_give_order(core, job, now);
        claim_return(core, job, now);
}

void core_complete(Core *core, Job *job, bool durable, usec_t now)
{
        JobRequest request = job->request;

        job->request = REQUEST_NONE;
        switch (request) {
        case REQUEST_ADMIT:
                admission_completed(core, job, durable, now);
                break;
        case REQUEST_CLAIM:
                claim_completed(core, job, durable, now);
                break;
        case REQUEST_SETTLE:
                if (durable)
                        settled(core, job, now);
                else
                        core_request(core, job, request); /* it has happened: until it is kept */
                break;
        case REQUEST_FORGET:
                forget_completed(core, job, durable, now);
                break;
        default:
                ASSERT(false);
        }
}

void core_set_store_down(Core *core, bool down)
{
        core->store_down = down;
}

/* --- what people ask for --- */

/* Nobody has heard yet that the job is claimed, and now nobody will. */
static void withdraw_claim(Job *job)
{
        if (!(job->events & EVENT_CLAIMED))
                return;
        job->events &= (uint8_t)~EVENT_CLAIMED;
        claim_drop(job);
}

void core_cancel(Core *core, Job *job, const char *reason, usec_t now)
{
        if (job->listed && job_state_ended(job->state))
                return;
        if (job->request == REQUEST_SETTLE && job_state_ended(job->next_state))
                return; /* as good as ended */
        if (!job->cancel_asked)
                job_set_reason(job, reason);
        job->cancel_asked = true;
        core_mark(core, job);
        if (job->request != REQUEST_NONE || !job->listed || job->state == JOB_RUNNING || job->slot)
                return; /* what is under way comes back and finds that it was asked for */
        withdraw_claim(job);
        core_end_as(core, job, JOB_CANCELLED, reason, now);
}

/* Room for it, and its key: it can be open again. */
static bool reopen(Core *core, Job *job)
{
        Heap *ready = &job->pool->ready;

        return heap_reserve(ready, (uint32_t)(job->pool->open - ready->count + 1)) == 0 &&
               job_history(job) && table_take_key(core, job);
}

/* What the pool says that serves its handler now; one at the least, if none does. */
static uint32_t max_attempts(const Job *job)
{
        const CorePool *pool = job->handler->pool ? job->handler->pool : job->pool;

        return MAX((uint32_t)job_number(job, JOB_HAS_MAX_ATTEMPTS, pool->policy.max_attempts), 1u);
}

bool core_retry(Core *core, Job *job, usec_t now)
{
        JobHistory *h;

        if (!job_state_ended(job->state) || job->state == JOB_SUCCEEDED || job->gone ||
            job->request != REQUEST_NONE || !reopen(core, job))
                return false;
        list_remove(&job->link);
        table_set_due(core, job, 0);
        core->kept--;
        core->kept_bytes -= core_kept_size(job);
        count_bytes(core, job, job->bytes);
        keep_result(job, (Slice){ NULL, 0 });
        job_clear_reason(job);
        h = job_history(job);
        h->deaths = h->failures = h->untouched = 0;
        job->cancel_asked = false;
        job->no_ttl = true; /* its time was up; the new budget has none */
        job->budget = job->attempt + max_attempts(job);
        job->ended = 0;
        job->ready_at = now;
        job->next_state = JOB_QUEUED;
        job->pool->returning++;
        core_request(core, job, REQUEST_SETTLE);
        return true;
}
