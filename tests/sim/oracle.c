/* SPDX-License-Identifier: MIT */

/* What the contract of core says about each thing that happens to a job, and nothing that core
 * computes is taken for granted. */

#include "base/macros.h"
#include "rows.h"
#include "store/schema.h"
#include "world.h"

enum { MAX_UNTOUCHED = 5 };

/* --- payloads --- */

bool oracle_payload_is_right(const SimJob *m, const Job *job)
{
        char text[SIM_TEXT];

        if (!job->args_shed && !slice_equal(job_args(job), model_args(m, text)))
                return false;
        if (!job_state_ended(job->state) || job->request == REQUEST_SETTLE || job->result_shed)
                return true;
        return slice_equal((Slice){ job->history->result, job->history->result_len },
                           model_result(m, m->result_number, m->result_len, text));
}

/* --- admission --- */

void oracle_submitted(World *w, SimJob *m, Job *job)
{
        const SimSpec *s = &m->spec;
        const CorePool *pool = w->handlers[s->handler]->pool;

        CHECK(w, m, m->life == LIFE_NONE && !job->listed && job->request == REQUEST_ADMIT);
        model_set_life(w, m, LIFE_ASKED);
        m->incarnation++;
        m->in_memory = s->memory;
        m->job = job;
        m->seq = job->seq;
        m->state = m->next = JOB_QUEUED;
        m->listed = m->settling = m->acked = m->told_end = m->unknown = m->cancel_asked = false;
        m->cancel_waits = m->cancel_told = false;
        m->doomed = m->retried = m->retrying = false;
        m->removing = m->removed = m->touched = false;
        m->submitted = w->now;
        m->not_before = s->has & JOB_HAS_RUN_AT ? s->run_at : w->now + s->delay;
        m->attempt = m->failures = m->deaths = m->untouched = 0;
        m->executed = m->executions = m->result_len = m->result_number = 0;
        m->budget = s->has & JOB_HAS_MAX_ATTEMPTS ? s->max_attempts : pool->policy.max_attempts;
        CHECK(w, m, job->budget == m->budget && job->attempt == 0 && job->pool == pool);
        CHECK(w, m, job->ready_at == m->not_before && job->memory == s->memory);
}

/* --- states --- */

/* Which states may follow: written once more, not taken from core. */
static bool may_follow(const SimJob *m, JobState to)
{
        static const char *const after[JOB_N_STATES] = {
                [JOB_SCHEDULED] = "QCX", [JOB_BLOCKED] = "QSCX", [JOB_QUEUED] = "RBCX",
                [JOB_RUNNING] = "QSOFPC", [JOB_SUCCEEDED] = "",  [JOB_FAILED] = "Q",
                [JOB_QUARANTINED] = "Q",  [JOB_CANCELLED] = "Q", [JOB_EXPIRED] = "Q",
        };

        return strchr(after[m->state], "SBQROFPCX"[to]) != NULL;
}

static void note_state(World *w, SimJob *m, JobState state)
{
        static const SimEvent events[] = {
                SIM_TO_SCHEDULED, SIM_TO_BLOCKED,     SIM_TO_QUEUED,    SIM_TO_RUNNING,
                SIM_TO_SUCCEEDED, SIM_TO_FAILED,      SIM_TO_QUARANTINED, SIM_TO_CANCELLED,
                SIM_TO_EXPIRED,
        };

        world_note(w, events[state], m->index, m->listed ? (int64_t)m->state : -1,
                   (int64_t)m->attempt);
        m->state = state;
}

/* Nothing has taken effect before the store has it. */
static void check_durable(World *w, SimJob *m, JobState state)
{
        const SimRow *row = storage_find(w, m);

        if (m->spec.memory)
                return;
        CHECK(w, m, row && "a state that the store has no row for");
        CHECK(w, m, row->state == state || !job_state_ended(state));
        CHECK(w, m, row->attempt >= m->executed);
}

static void note_end(World *w, SimJob *m)
{
        SimRow *row = storage_find(w, m);

        m->ended = row && !m->spec.memory ? row->ended : w->now;
        m->told_end = false;
        m->good_once |= m->state == JOB_SUCCEEDED;
        m->bad_once |= m->state != JOB_SUCCEEDED;
}

static void changed(World *w, SimJob *m, JobState to)
{
        JobState from = m->state;

        if (!m->listed) {
                CHECK(w, m, to <= JOB_QUEUED);
                check_durable(w, m, to);
                note_state(w, m, to);
                m->listed = true;
                return;
        }
        CHECK(w, m, may_follow(m, to));
        if (from == JOB_RUNNING || job_state_ended(from) || job_state_ended(to)) {
                CHECK(w, m, m->settling && m->next == to);
                CHECK(w, m, !job_state_ended(from) || m->retrying);
                check_durable(w, m, to);
                m->settling = m->retrying = false;
        }
        note_state(w, m, to);
        if (job_state_ended(to))
                note_end(w, m);
}

void oracle_listen(World *w)
{
        CoreJournal *j = &w->core.journal;

        CHECK(w, NULL, !j->lost);
        for (size_t i = 0; i < j->n; i++) {
                SimJob *m = model_of_id(w, &j->changes[i].id, j->changes[i].uid);

                CHECK(w, m, m && m->life != LIFE_NONE);
                changed(w, m, j->changes[i].state);
        }
        j->n = 0;
}

void oracle_told(World *w, SimJob *m, Job *job, unsigned events)
{
        CHECK(w, m, events && !(events & (unsigned)EVENT_CLAIMED));
        if (events & EVENT_REFUSED) {
                CHECK(w, m, events == EVENT_REFUSED && !job->listed && m->life == LIFE_ASKED);
                CHECK(w, m, !m->spec.memory && !storage_find(w, m) && !m->executed);
                return;
        }
        CHECK(w, m, m->listed && m->state == (JobState)job->state);
        if (events & EVENT_ADMITTED) {
                CHECK(w, m, !m->acked);
                check_durable(w, m, m->state);
                m->acked = true;
                model_set_life(w, m, LIFE_THERE);
                world_note(w, SIM_ADMITTED, m->index, m->state, 0);
        }
        if (events & EVENT_ENDED && job_state_ended(m->state)) {
                check_durable(w, m, m->state);
                m->told_end = true;
        }
        CHECK(w, m, oracle_payload_is_right(m, job));
}

/* --- attempts --- */

static bool is_after_all(const World *w, const SimJob *m)
{
        for (unsigned i = 0; i < m->spec.n_after && !m->retried; i++) {
                const SimJob *before = model_of_id(w, &m->spec.after[i], m->spec.uid);

                if (!before || !before->good_once)
                        return false;
        }
        return true;
}

void oracle_given(World *w, SimJob *m, const Job *job)
{
        const SimRow *row = storage_find(w, m);

        CHECK(w, m, m->listed && m->acked && m->state == JOB_QUEUED);
        CHECK(w, m, is_after_all(w, m));
        CHECK(w, m, w->now >= m->not_before);
        CHECK(w, m, m->attempt < m->budget && job->attempt == m->attempt);
        CHECK(w, m, m->spec.memory || (row && row->state == JOB_RUNNING &&
                                       row->attempt == m->attempt + 1));
        CHECK(w, m, !job->args_shed && oracle_payload_is_right(m, job));
}

void oracle_executed(World *w, SimJob *m, uint32_t number)
{
        const SimRow *row = storage_find(w, m);

        world_note(w, SIM_EXECUTE, m->index, number, m->executed);
        CHECK(w, m, number > m->executed && number <= m->budget);
        CHECK(w, m, m->spec.memory || (row && row->state == JOB_RUNNING &&
                                       row->attempt == number));
        m->executed = number;
        m->executions++;
}

void oracle_begun(World *w, SimJob *m, const Job *job)
{
        m->attempt++;
        world_note(w, SIM_BEGIN, m->index, m->attempt, m->budget);
        CHECK(w, m, job->attempt == m->attempt && m->attempt <= m->budget);
        CHECK(w, m, job_last_attempt(job)->number == m->attempt);
}

/* --- what follows from the end of an attempt --- */

static usec_t backoff(const JobPolicy *p, uint32_t failures)
{
        usec_t delay = p->backoff;

        while (failures-- > 1 && delay < p->backoff_max)
                delay *= 2;
        return MIN(delay, p->backoff_max);
}

static JobState again(SimJob *m, usec_t delay)
{
        m->delay = delay;
        return delay ? JOB_SCHEDULED : JOB_QUEUED;
}

static JobState decide(SimJob *m, const Job *job, const AttemptEnd *end, bool untouched)
{
        const JobPolicy *p = &job->pool->policy;
        usec_t delay = backoff(p, m->failures);
        bool left = m->attempt < m->budget;

        m->delay = 0;
        if (end->outcome == OUTCOME_SUCCEEDED)
                return JOB_SUCCEEDED;
        if (job->cancel_asked)
                return JOB_CANCELLED;
        if (untouched)
                return again(m, 0);
        if (end->outcome == OUTCOME_CANCELLED)
                return JOB_CANCELLED;
        if (end->outcome == OUTCOME_WORKER_DIED && p->poison_deaths &&
            m->deaths >= p->poison_deaths)
                return JOB_QUARANTINED;
        if (!left || (!end->may_retry && end->outcome != OUTCOME_WORKER_DIED))
                return JOB_FAILED;
        if (end->outcome == OUTCOME_WORKER_DIED)
                return again(m, m->deaths == 1 ? 0 : delay);
        if (end->outcome == OUTCOME_SHUTDOWN ||
            (end->outcome == OUTCOME_SUPERVISOR_DIED && m->failures == 1))
                return again(m, 0);
        return again(m, delay);
}

void oracle_settling(World *w, SimJob *m, const Job *job, const AttemptEnd *end)
{
        bool suspicious = end->outcome != OUTCOME_SHUTDOWN;
        bool untouched = end->untouched && (!suspicious || m->untouched < MAX_UNTOUCHED);

        CHECK(w, m, m->state == JOB_RUNNING && !m->settling);
        m->untouched = end->untouched ? m->untouched + suspicious : 0;
        m->touched |= !untouched;
        m->budget += untouched;
        m->failures += !untouched && end->outcome != OUTCOME_SUCCEEDED;
        m->deaths += !untouched && end->outcome == OUTCOME_WORKER_DIED;
        m->cancel_asked |= end->outcome == OUTCOME_CANCELLED;
        m->next = decide(m, job, end, untouched);
        m->settling = true;
}

void oracle_settled(World *w, SimJob *m, const Job *job)
{
        const JobHistory *h = job->history;
        usec_t wait = job->ready_at - w->now;

        CHECK(w, m, job->request == REQUEST_SETTLE && !job->slot && !job->holds);
        CHECK(w, m, job->next_state == m->next);
        CHECK(w, m, job->attempt == m->attempt && job->budget == m->budget);
        CHECK(w, m, m->executions <= m->attempt && m->executed <= m->attempt);
        CHECK(w, m, h->failures == m->failures && h->deaths == m->deaths);
        CHECK(w, m, h->untouched == m->untouched && job->touched == m->touched);
        CHECK(w, m, job_last_attempt(job)->outcome != OUTCOME_NONE);
        if (!job_state_ended(m->next)) {
                CHECK(w, m, wait <= m->delay && wait >= m->delay - m->delay / 4);
                m->not_before = job->ready_at;
        }
        if (job->handler->breaker.broken)
                world_note(w, SIM_BREAKER, m->index, job->handler->breaker.broken, 0);
}

/* A reason for a job that has not begun to be cancelled. */
static bool may_be_cancelled(const World *w, const SimJob *m)
{
        if (m->cancel_asked)
                return true;
        for (unsigned i = 0; i < m->spec.n_after; i++) {
                const SimJob *before = model_of_id(w, &m->spec.after[i], m->spec.uid);

                if (before && (before->bad_once ||
                               (before->in_memory && before->life == LIFE_NONE)))
                        return true; /* that one in memory has succeeded may be lost with it */
        }
        return false;
}

void oracle_settlement(World *w, SimJob *m, const Job *job)
{
        usec_t expiry = m->submitted + m->spec.ttl;

        CHECK(w, m, m->listed && m->state == (JobState)job->state);
        if (m->state == JOB_RUNNING || job_state_ended(m->state)) {
                CHECK(w, m, m->settling && m->next == (JobState)job->next_state);
                return;
        }
        m->next = job->next_state;
        m->settling = true;
        if (m->next == JOB_EXPIRED)
                CHECK(w, m, m->spec.has & JOB_HAS_TTL && !m->touched && !m->retried &&
                                    !m->executed && expiry <= w->now);
        else
                CHECK(w, m, m->next == JOB_CANCELLED && may_be_cancelled(w, m));
}

/* --- the store --- */

void oracle_handed_over(World *w, SimJob *m, const StoreItem *item)
{
        const JobHistory *h = item->history;

        CHECK(w, m, item->budget == m->budget && !m->spec.memory);
        switch (item->request) {
        case REQUEST_ADMIT:
                CHECK(w, m, item->attempt == item->claim && item->ready_at == m->not_before);
                break;
        case REQUEST_CLAIM:
                CHECK(w, m, item->attempt == m->attempt + 1);
                break;
        case REQUEST_SETTLE:
                CHECK(w, m, item->attempt == m->attempt && item->state == item->job->next_state);
                CHECK(w, m, h->failures == m->failures && h->deaths == m->deaths);
                CHECK(w, m, job_state_ended(item->state) || item->ready_at == m->not_before);
                CHECK(w, m, !job_state_ended(item->state) || item->ended);
                oracle_settlement(w, m, item->job);
                break;
        default:
                CHECK(w, m, item->attempt == m->attempt);
        }
}

void oracle_committed(World *w, SimJob *m, const SimRow *row)
{
        CHECK(w, m, row->attempt >= m->executed && row->attempt <= row->budget);
}

static usec_t kept_until(const World *w, const SimJob *m)
{
        usec_t keep = m->spec.has & JOB_HAS_KEEP ? m->spec.keep : w->core.limits.keep;

        return m->ended + keep;
}

static void note_doomed(World *w, const List *kept, bool many)
{
        const Job *job;

        LIST_FOREACH(kept, job, link) {
                SimJob *m = model_of(w, job);

                m->doomed |= many || kept_until(w, m) <= w->now;
        }
}

bool oracle_before_tick(World *w)
{
        const CoreLimits *l = &w->core.limits;
        bool many = w->core.kept > l->keep_max ||
                    (l->keep_bytes && w->core.kept_bytes > l->keep_bytes);

        note_doomed(w, &w->core.finished, many);
        note_doomed(w, &w->core.finished_own, many);
        return many;
}

/* Each was kept long enough, unless there were too many. */
void oracle_removals(World *w, bool many)
{
        const Job *job;

        LIST_FOREACH(&w->core.removals, job, link) {
                SimJob *m = model_of(w, job);

                if (m->removing)
                        continue;
                CHECK(w, m, job_state_ended(m->state) && m->told_end);
                CHECK(w, m, many || m->doomed || kept_until(w, m) <= w->now);
                CHECK(w, m, !job->calls && !job->fetching);
                m->removing = true;
                world_note(w, SIM_FORGET, m->index, many, 0);
        }
}
