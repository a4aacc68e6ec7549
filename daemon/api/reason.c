/* SPDX-License-Identifier: MIT */

/* One cause for each thing that can keep a job: what is said first is what would have to change
 * first. */

#include "api/reason.h"

#include <stdio.h>
#include <string.h>

#include "api/culprit.h"
#include "api/job_json.h"
#include "base/parse.h"
#include "core/semaphore.h"
#include "core/ties.h"
#include "io.brood.h"
#include "ops/status_line.h"
#include "pool/pool.h"
#include "store/store.h"
#include "varlink/json.h"

enum { MAX_AHEAD = 10000 }; /* more are not counted */

/* --- what belongs to the job alone --- */

static void say_scheduled(const Job *job, char *to, size_t size)
{
        usec_t now = clock_steady(), left = job->ready_at > now ? job->ready_at - now : 0;
        const Attempt *last = job_last_attempt(job);
        char span[64];

        format_span(left - left % USEC_PER_MSEC, span, sizeof(span));
        if (last && job->history->failures)
                (void)snprintf(to, size, "waits %s before it is tried again, after attempt %u (%s)",
                               span, last->number, outcome_name(last->outcome));
        else
                (void)snprintf(to, size, "waits for its time, in %s", span);
}

static void say_after(const Dependency *d, char *to, size_t size)
{
        const Job *blocker = d->blocker;

        (void)snprintf(to, size, "waits for job %s, which is %s", uuid_text(&blocker->id).text,
                       job_state_name(job_shown_state(blocker)));
}

static void say_semaphore(const Job *job, char *to, size_t size)
{
        const CoreSemaphore *s = semaphores_missing(job);

        if (!s)
                (void)snprintf(to, size, "waits for its turn at its semaphores");
        else if (s->of_user)
                (void)snprintf(to, size, "waits for another job of its user to end: %llu of %s "
                                         "run, and no more may (MaxRunning=%llu)",
                               (unsigned long long)s->held, s->name, (unsigned long long)s->size);
        else if (!s->size)
                (void)snprintf(to, size, "waits for semaphore '%s', which the config does not have "
                                         "(any more)",
                               s->name);
        else if (s->held >= s->size)
                (void)snprintf(to, size, "waits for semaphore '%s': %llu of %llu are held", s->name,
                               (unsigned long long)s->held, (unsigned long long)s->size);
        else
                (void)snprintf(to, size, "waits for semaphore '%s', which is kept for a job before "
                                         "it",
                               s->name);
}

bool reason_write(const Job *job, char *to, size_t size)
{
        const Dependency *d = job_first_blocker(job);

        if (job->history->reason)
                (void)snprintf(to, size, "%s", job->history->reason);
        else if (job->state == JOB_BLOCKED && d)
                say_after(d, to, size);
        else if (job->state == JOB_BLOCKED)
                say_semaphore(job, to, size);
        else if (job->state == JOB_SCHEDULED)
                say_scheduled(job, to, size);
        else
                return false;
        return true;
}

/* --- what keeps a queued job --- */

/* Something that keeps every job of its pool or handler. False: nothing does. */
static bool say_stopped(const Api *api, const Job *job, char *to, size_t size)
{
        const HandlerBreaker *b = &job->handler->breaker;
        const Pool *pool = job->pool->owner;
        const char *why = "";
        usec_t now = clock_steady();
        char span[64];

        if (pool)
                why = pool->change_error ? pool->change_error : pool->start_error;
        if (!job->handler->pool || !pool)
                (void)snprintf(to, size, "no pool of the config serves handler '%s'",
                               job->handler->name);
        else if (!api->pools->dispatching)
                (void)snprintf(to, size, "the daemon is %s: no job begins",
                               api->lifecycle.state(api->lifecycle.context));
        else if (job->pool->paused)
                (void)snprintf(to, size, "pool '%s' is paused", job->pool->name);
        else if (job->place == PLACE_HELD)
                (void)snprintf(to, size,
                               "handler '%s' has a rest: %u jobs in a row killed their workers; "
                               "one is %s%s",
                               job->handler->name, b->killers,
                               b->until > now ? "tried in " : "being tried",
                               b->until > now ? format_span(b->until - now, span, sizeof(span))
                                              : "");
        else if (!job->memory && store_error(api->store))
                (void)snprintf(to, size, "the store fails: %s", store_error(api->store));
        else if (pool->breaker.open)
                (void)snprintf(to, size, "the workers of pool '%s' do not start%s%s",
                               job->pool->name, *why ? ": " : "", why);
        else
                return false;
        return true;
}

static void say_busy(const Job *job, uint32_t ahead, char *to, size_t size)
{
        const Pool *pool = job->pool->owner;
        PoolCount n = pool_count(pool);
        char more[64] = ""; /* where `ahead` can not tell */

        if (ahead != UINT32_MAX && ahead > MAX_AHEAD)
                (void)snprintf(more, sizeof(more), "; more than %d jobs are ahead of it",
                               MAX_AHEAD);
        if (n.idle + n.busy == 0 && n.starting && !pool->bounds.min)
                (void)snprintf(to, size, "pool '%s' has no worker just now: a worker is being "
                                         "started%s",
                               job->pool->name, more);
        else if (n.idle + n.busy == 0)
                (void)snprintf(to, size,
                               "pool '%s' has no worker that is ready (%u are starting)%s",
                               job->pool->name, n.starting, more);
        else if (n.free_slots)
                (void)snprintf(to, size, "it is about to begin%s", more);
        else if (n.slots > n.busy)
                (void)snprintf(to, size, "all %u slots of pool '%s' are busy%s", n.slots,
                               job->pool->name, more);
        else if (n.busy == 1)
                (void)snprintf(to, size, "the one worker of pool '%s' is busy%s", job->pool->name,
                               more);
        else
                (void)snprintf(to, size, "all %u workers of pool '%s' are busy%s", n.busy,
                               job->pool->name, more);
}

static void say_queued(const Api *api, const Job *job, uint32_t ahead, char *to, size_t size)
{
        const Slot *slot = job->slot;

        if (slot)
                (void)snprintf(to, size, "is with worker %s, and begins when that is done with the "
                                         "job before it",
                               slot->worker->name);
        else if (job->place == PLACE_NONE)
                (void)snprintf(to, size, "is being given to a worker");
        else if (!say_stopped(api, job, to, size))
                say_busy(job, ahead, to, size);
}

/* SlowAfter= of the pool of its worker. */
static usec_t slow_after(const Job *job)
{
        const Slot *slot = job->slot;

        return slot ? slot->worker->pool->settings->slow_after : 0;
}

static void say_running(const Job *job, char *to, size_t size)
{
        const Attempt *a = job_last_attempt(job);
        usec_t now = clock_steady(), slow = slow_after(job);
        char span[64], limit[64], longer[96] = "";

        if (job->request == REQUEST_SETTLE) {
                (void)snprintf(to, size, "attempt %u has ended: %s; the store has yet to note it",
                               a->number, outcome_name(a->outcome));
                return;
        }
        format_span(now > a->started ? now - a->started : 0, span, sizeof(span));
        if (slow && now > a->started && now - a->started > slow)
                (void)snprintf(longer, sizeof(longer), ", longer than SlowAfter=%s",
                               format_span(slow, limit, sizeof(limit)));
        (void)snprintf(to, size, "attempt %u runs on worker %s.%u (pid %d), for %s%s%s", a->number,
                       a->pool->name, a->seat, a->pid, span, longer,
                       job->cancel_asked ? "; its end was asked for" : "");
}

/* How its last attempt ended says why it has. */
static void say_ended(const Job *job, char *to, size_t size)
{
        const Attempt *a = job_last_attempt(job);
        const char *words = a && a->certificate ? a->certificate->error : NULL;

        if (job->state == JOB_SUCCEEDED)
                (void)snprintf(to, size, "attempt %u succeeded", a ? a->number : 0);
        else if (a)
                (void)snprintf(to, size, "attempt %u ended: %s%s%s; %s", a->number,
                               outcome_name(a->outcome), words ? ": " : "", words ? words : "",
                               job->state == JOB_QUARANTINED ? "it has killed too many workers"
                               : job->attempt >= job->budget ? "no attempts are left"
                                                             : "it is not to be tried again");
        else
                (void)snprintf(to, size, "it never began");
}

/* --- Why --- */

/* Jobs that go before it; UINT32_MAX: that can not be said. */
static uint32_t count_ahead(const Job *job)
{
        const JobTies *t = job->ties;

        if (job->state == JOB_QUEUED && job->place == PLACE_READY)
                return heap_count_before(&job->pool->ready, job->ready_index, MAX_AHEAD + 1);
        if (job->state == JOB_BLOCKED && t && t->n_units && t->units[0].index != HEAP_NONE)
                return heap_count_before(&t->units[0].queue->waiters, t->units[0].index,
                                         MAX_AHEAD + 1);
        return UINT32_MAX;
}

static void say(const Api *api, const Job *job, JobState state, uint32_t ahead, char *to,
                size_t size)
{
        if (state == JOB_QUEUED)
                say_queued(api, job, ahead, to, size);
        else if (state == JOB_RUNNING)
                say_running(job, to, size);
        else if (!reason_write(job, to, size))
                say_ended(job, to, size);
}

/* The last job of the chain that it waits for, and why that does not end. */
static void say_chain(const Api *api, const Job *job, StatusLine *line)
{
        const Job *last = culprit_of_chain(job);
        JobState state = job_shown_state(last);
        char words[REASON_SIZE];

        say(api, last, state, count_ahead(last), words, sizeof(words));
        if (last == job_first_blocker(job)->blocker)
                status_line_add(line, "%s", words);
        else
                status_line_add(line, "the last of that chain is job %s, which is %s: %s",
                                uuid_text(&last->id).text, job_state_name(state), words);
}

/* The run that has what the job waits for; NULL: it is not a run that it waits for. */
static const Slot *find_run(const Api *api, const Job *job, JobState state)
{
        const CoreSemaphore *semaphore = state == JOB_BLOCKED ? semaphores_missing(job) : NULL;
        const Pool *pool = job->pool->owner;
        char words[REASON_SIZE];

        if (semaphore)
                return semaphore->size && semaphore->held >= semaphore->size
                               ? culprit_of_semaphore(api, semaphore)
                               : NULL;
        if (state != JOB_QUEUED || job->place != PLACE_READY || !pool ||
            say_stopped(api, job, words, sizeof(words)) || pool_count(pool).idle)
                return NULL;
        return culprit_of_pool(pool);
}

/* Appends what stands behind that, where it is something that does not get on. */
static void say_culprit(const Request *r, const Job *job, JobState state, char *to, size_t size)
{
        bool in_chain = state == JOB_BLOCKED && job_first_blocker(job);
        const Slot *slot = in_chain ? NULL : find_run(r->api, job, state);
        StatusLine line = { to, size, strlen(to) };
        char words[256];

        if (in_chain)
                say_chain(r->api, job, &line);
        else if (slot)
                status_line_add(&line, "%s",
                                culprit_words(r->client, slot, r->now, words, sizeof(words)));
}

void why_job(const Request *r)
{
        const Job *job = request_job(r, IO_BROOD_WHY_IN_ID);
        char text[REASON_SIZE];
        JobState state;
        uint32_t ahead;
        Buffer *b;

        if (!job)
                return;
        state = job_shown_state(job);
        ahead = count_ahead(job);
        say(r->api, job, state, ahead, text, sizeof(text));
        say_culprit(r, job, state, text, sizeof(text));
        b = varlink_reply_begin(r->call);
        emit_string_member(b, "state", slice_of(job_state_name(state)));
        emit_string_member(b, "reason", slice_of(text));
        if (ahead <= MAX_AHEAD)
                emit_int_member(b, "ahead", ahead);
        varlink_reply_end(r->call, false);
}
