/* SPDX-License-Identifier: MIT */

/* A supervisor has died: what its clients were told must be in the rows, and the next core must
 * have each job as its row has it. What only the model knew is forgotten then. */

#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"
#include "store/schema.h"
#include "world.h"

/* --- the rows --- */

static void lost(World *w, SimJob *m)
{
        m->unknown = !m->acked;
        m->bad_once |= m->spec.memory; /* those after it can not know whether it succeeded */
        model_set_life(w, m, LIFE_NONE);
}

static void check_row(World *w, SimJob *m, const SimRow *row)
{
        CHECK(w, m, row->attempt >= m->executed && row->attempt <= row->budget);
        if (m->told_end && !m->retrying && job_state_ended(m->state)) {
                CHECK(w, m, row->state == m->state && row->ended == m->ended);
        } else if (row->state == JOB_RUNNING) {
                CHECK(w, m, !row->n_edges && "one that may begin waits for nobody");
        }
        if (m->cancel_told && !m->told_end)
                CHECK(w, m, row->given & STORE_CANCEL_ASKED || job_state_ended(row->state));
        m->unknown = !m->acked;
}

void oracle_crashed(World *w)
{
        SimJob *m, *next;

        LIST_FOREACH_SAFE(&w->live, m, next, live) {
                const SimRow *row = m->spec.memory ? NULL : storage_find(w, m);

                if (row) {
                        check_row(w, m, row);
                        continue;
                }
                CHECK(w, m, m->spec.memory || m->removed || (!m->acked && !m->executed));
                lost(w, m);
        }
}

/* --- the next core --- */

static void check_spec(World *w, SimJob *m, const Job *job, const SimRow *row)
{
        const SimSpec *s = &m->spec;
        unsigned units = 0;

        CHECK(w, m, job->handler == w->handlers[s->handler] && job->seq == m->seq);
        CHECK(w, m, (job->has | JOB_HAS_ID) == (s->has | JOB_HAS_ID | (s->tags ? JOB_HAS_TAGS : 0) |
                                 (s->units ? JOB_HAS_SEMAPHORES : 0) |
                                 (s->n_after ? JOB_HAS_AFTER : 0)));
        CHECK(w, m, job->priority == row->priority && job->submitted == m->submitted);
        CHECK(w, m, job_number(job, JOB_HAS_TTL, s->ttl) == s->ttl);
        CHECK(w, m, job_number(job, JOB_HAS_KEEP, s->keep) == s->keep);
        CHECK(w, m, job_number(job, JOB_HAS_TIMEOUT, s->timeout) == s->timeout);
        CHECK(w, m, job_number(job, JOB_HAS_MAX_ATTEMPTS, s->max_attempts) == s->max_attempts);
        CHECK(w, m, !(s->has & JOB_HAS_UNIQUE_KEY) || job_key(job).len == s->key);
        for (unsigned i = 0; job->ties && i < job->ties->n_units; i++)
                for (unsigned k = 0; k < SIM_SEMAPHORES; k++)
                        if (job->ties->units[i].semaphore == w->semaphores[k])
                                units |= 1u << k;
        CHECK(w, m, units == s->units);
        CHECK(w, m, !job->listed || job->no_ttl == ((row->given & STORE_NO_TTL) != 0));
}

/* Result texts tell whose they are. */
static void read_result(World *w, SimJob *m, const SimRow *row)
{
        SimText t = row->large & 2 ? row->large_result : row->result;
        unsigned index = 0, number = 0;
        char text[SIM_TEXT];

        m->result_len = (uint32_t)t.len;
        m->result_number = 0;
        if (!t.len)
                return;
        memcpy(text, t.data, t.len);
        text[t.len - 1] = '\0';
        CHECK(w, m, sscanf(text, "{\"n\":%u,\"a\":%u", &index, &number) == 2 && index == m->index);
        m->result_number = number;
}

static void take_over(World *w, SimJob *m, Job *job, const SimRow *row)
{
        model_set_life(w, m, LIFE_THERE);
        m->job = job;
        m->listed = m->acked = true;
        m->told_end = job_state_ended(row->state);
        m->settling = m->retrying = m->removing = m->cancel_waits = false;
        m->cancel_asked |= m->spec.attached || row->given & STORE_CANCEL_ASKED;
        m->retried = row->given & STORE_NO_TTL;
        m->attempt = row->attempt;
        m->budget = row->budget;
        m->failures = row->failures;
        m->deaths = row->deaths;
        m->untouched = row->untouched;
        m->touched = row->started != 0;
        m->not_before = row->ready_at;
        m->ended = row->ended;
        m->state = job->state;
        m->good_once |= row->state == JOB_SUCCEEDED;
        m->bad_once |= job_state_ended(row->state) && row->state != JOB_SUCCEEDED;
        read_result(w, m, row);
        world_note(w, SIM_RESTORED, m->index, row->state, job->state);
}

typedef enum Wait { WAIT_NO, WAIT_YES, WAIT_DOOMED } Wait;

static Wait waits(const World *w, const SimRow *row)
{
        bool ends = row->given & (STORE_CANCEL_ASKED | JOB_HAS_ATTACHED);
        Wait wait = ends ? WAIT_DOOMED : WAIT_NO;

        for (unsigned i = 0; i < row->n_edges; i++) {
                const SimJob *before = model_of_id(w, &row->edges[i], row->uid);
                const SimRow *its = before ? storage_find(w, before) : NULL;

                if (!its || (job_state_ended(its->state) && its->state != JOB_SUCCEEDED))
                        return WAIT_DOOMED;
                if (its->state != JOB_SUCCEEDED && !ends)
                        wait = WAIT_YES;
        }
        return wait;
}

static void check_waiting(World *w, SimJob *m, const Job *job, const SimRow *row)
{
        Wait wait = waits(w, row);

        if (wait == WAIT_DOOMED) {
                CHECK(w, m, job->request == REQUEST_SETTLE && job->next_state == JOB_CANCELLED);
                return;
        }
        CHECK(w, m, job->request == REQUEST_NONE);
        CHECK(w, m, m->state == (wait == WAIT_YES           ? JOB_BLOCKED
                                 : row->ready_at > w->now ? JOB_SCHEDULED
                                                          : JOB_QUEUED));
        CHECK(w, m, job->ready_at == row->ready_at);
        if (row->order)
                CHECK(w, m, job->order == row->order);
        else if (m->state == JOB_QUEUED)
                CHECK(w, m, job->order == MAX(row->ready_at, 1u));
        else
                CHECK(w, m, !job->order);
}

/* It ran, or was about to: that attempt has ended so. */
static void check_running(World *w, SimJob *m, Job *job)
{
        const AttemptEnd end = { .outcome = OUTCOME_SUPERVISOR_DIED, .may_retry = true };

        m->result_len = 0;
        oracle_settling(w, m, job, &end);
        oracle_settled(w, m, job);
        CHECK(w, m, job_last_attempt(job)->number == m->attempt);
        CHECK(w, m, job_last_attempt(job)->outcome == OUTCOME_SUPERVISOR_DIED);
        world_note(w, SIM_RESTORED_RUNNING, m->index, m->attempt, m->next);
}

static void check_job(World *w, SimJob *m)
{
        const SimRow *row = storage_find(w, m);
        Job *job = core_find(&w->core, &m->id, m->spec.uid, false);

        CHECK(w, m, job && row && "it was not restored");
        check_spec(w, m, job, row);
        take_over(w, m, job, row);
        CHECK(w, m, job->attempt == row->attempt && (m->state == JOB_RUNNING ||
                                                     job->budget == row->budget));
        CHECK(w, m, job->history->n_attempts == row->n_attempts + (row->state == JOB_RUNNING));
        CHECK(w, m, (row->state == JOB_RUNNING) == (m->state == JOB_RUNNING));
        if (row->state == JOB_RUNNING)
                check_running(w, m, job);
        else if (job_state_ended(row->state))
                CHECK(w, m, row->state == m->state && job->ended == row->ended);
        else
                check_waiting(w, m, job, row);
        if (!job_state_ended(m->state) && m->spec.has & JOB_HAS_UNIQUE_KEY)
                CHECK(w, m, table_find_key(&w->core, job->handler, job_key(job), job->uid) == job);
        CHECK(w, m, oracle_payload_is_right(m, job));
}

void oracle_restored(World *w)
{
        SimJob *m;
        size_t n = 0;

        LIST_FOREACH(&w->live, m, live) {
                check_job(w, m);
                n++;
        }
        CHECK(w, NULL, n == w->core.ids.count);
}
