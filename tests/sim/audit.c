/* SPDX-License-Identifier: MIT */

/* Everything that core counts, counted again from the jobs, and every job where its state wants it.
 */

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "core/semaphore.h"
#include "core/user.h"
#include "world.h"

typedef struct Sums {
        uint64_t count[JOB_N_STATES], open, ready, arriving, waiting;
        uint32_t claiming, admitting, returning;
} Sums;

typedef struct Audit {
        Sums all, pools[SIM_POOLS];
        uint64_t bytes, kept, kept_bytes, listed, ids, keys, due, finished, finished_own;
        uint64_t held[SIM_SEMAPHORES], held_back[SIM_HANDLERS], claimed[SIM_HANDLERS];
        uint64_t user_open[SIM_USERS], user_bytes[SIM_USERS], user_running[SIM_USERS];
        uint64_t named[SIM_SEMAPHORES][SIM_POOLS], queued[SIM_SEMAPHORES][SIM_POOLS];
} Audit;

/* An attempt that has been claimed, and has not ended. */
static bool is_claimed(const Job *job)
{
        if (job->request == REQUEST_CLAIM || (job->request == REQUEST_ADMIT && job->claim))
                return true;
        return job->request == REQUEST_NONE &&
               (job->state == JOB_RUNNING || job->slot || job->events & EVENT_CLAIMED);
}

static void add_requests(Sums *s, const Job *job)
{
        bool admit = job->request == REQUEST_ADMIT;

        s->claiming += job->request == REQUEST_CLAIM || (admit && job->claim);
        s->admitting += admit && !job->claim && job->order;
        s->returning += job->request == REQUEST_SETTLE && job->next_state == JOB_QUEUED;
}

static void add_to(Sums *s, const Job *job)
{
        bool open = !job->listed || !job_state_ended(job->state);

        s->count[job->state] += job->listed;
        s->open += open;
        s->ready += job->place == PLACE_READY;
        s->arriving += job->place == PLACE_ARRIVING;
        for (unsigned i = 0; job->ties && i < job->ties->n_units; i++)
                s->waiting += job->ties->units[i].index != HEAP_NONE;
        add_requests(s, job);
}

static void add_memory(Audit *a, const Job *job)
{
        bool ended = job->listed && job_state_ended(job->state);
        bool back = ended && job->request == REQUEST_SETTLE;

        a->user_open[job->uid - 1000] += !ended;
        if (!ended || back) {
                a->bytes += job->bytes;
                a->user_bytes[job->uid - 1000] += job->bytes;
        } else if (job->request != REQUEST_FORGET) {
                a->kept++;
                a->kept_bytes += job->bytes + job->history->result_len;
        }
        a->keys += (!ended || back) && job->has & JOB_HAS_UNIQUE_KEY;
}

static void add_units(World *w, Audit *a, const Job *job)
{
        const JobTies *t = job->ties;
        unsigned pool = pool_index(w, job->pool);

        for (unsigned i = 0; t && i < t->n_units; i++)
                if (t->units[i].semaphore->of_user)
                        a->user_running[job->uid - 1000] += is_claimed(job);
        for (unsigned i = 0; t && i < t->n_units; i++)
                for (unsigned k = 0; k < SIM_SEMAPHORES; k++) {
                        if (t->units[i].semaphore != w->semaphores[k])
                                continue;
                        a->held[k] += is_claimed(job);
                        a->named[k][pool]++;
                        a->queued[k][pool] += t->units[i].index != HEAP_NONE;
                }
}

static void add(World *w, Audit *a, const Job *job)
{
        add_to(&a->all, job);
        add_to(&a->pools[pool_index(w, job->pool)], job);
        add_memory(a, job);
        add_units(w, a, job);
        a->ids++;
        a->listed += job->listed;
        a->due += job->timer_index != HEAP_NONE;
        for (unsigned i = 0; i < SIM_HANDLERS; i++) {
                if (job->handler != w->handlers[i])
                        continue;
                a->held_back[i] += job->place == PLACE_HELD;
                a->claimed[i] += is_claimed(job);
        }
}

/* --- one job --- */

/* A job that rests: nothing is under way for it. */
static void check_place(World *w, SimJob *m, const Job *job)
{
        bool semaphores = job->ties && job->ties->n_units &&
                          job->ties->units[0].index != HEAP_NONE;
        bool claimed = is_claimed(job);

        CHECK(w, m, !job->cancel_asked || job_state_ended(job->state) || claimed);
        switch (job->state) {
        case JOB_QUEUED:
                CHECK(w, m, claimed || job->place == PLACE_READY || job->place == PLACE_HELD);
                CHECK(w, m, !claimed || job->place == PLACE_NONE);
                CHECK(w, m, !semaphores && job->order && job->ready_at <= w->now);
                break;
        case JOB_BLOCKED:
                CHECK(w, m, semaphores == !job_first_blocker(job));
                break;
        case JOB_SCHEDULED:
                CHECK(w, m, job->due && job->due <= job->ready_at);
                break;
        case JOB_RUNNING:
                CHECK(w, m, !job->due && job->slot);
                break;
        default:
                CHECK(w, m, job->due || !list_empty(&job->link));
        }
        if (job->state <= JOB_QUEUED && job->has & JOB_HAS_TTL && !job->no_ttl && !m->touched &&
            !claimed)
                CHECK(w, m, job->due && job->due <= m->submitted + m->spec.ttl);
}

static void check_ties(World *w, SimJob *m, const Job *job)
{
        const JobTies *t = job->ties;
        const Dependency *d;

        CHECK(w, m, job->holds == (is_claimed(job) && t && t->n_units));
        if (!t)
                return;
        for (unsigned i = 0; i < t->n_units; i++)
                CHECK(w, m, t->units[i].queue->pool == job->pool && t->units[i].job == job);
        LIST_FOREACH(&t->blockers, d, in_waiting)
                CHECK(w, m, d->waiting == job && !(d->blocker->listed &&
                                                   job_state_ended(d->blocker->state)));
        CHECK(w, m, list_empty(&t->dependents) || !job->listed || !job_state_ended(job->state));
}

static void check_job(World *w, const Job *job)
{
        SimJob *m = model_of(w, job);

        CHECK(w, m, m->listed == job->listed && (!job->listed || m->state == (JobState)job->state));
        CHECK(w, m, job->attempt == m->attempt && job->budget == m->budget);
        CHECK(w, m, job->attempt <= job->budget && job->memory == m->spec.memory);
        CHECK(w, m, m->executions <= m->attempt + (job->slot != NULL));
        CHECK(w, m, (job->due != 0) == (job->timer_index != HEAP_NONE));
        CHECK(w, m, (job->place != PLACE_NONE) == (job->ready_index != HEAP_NONE));
        CHECK(w, m, job->request == REQUEST_NONE || job->place == PLACE_NONE ||
                            job->place == PLACE_ARRIVING);
        if (job->listed && job->request == REQUEST_NONE)
                check_place(w, m, job);
        check_ties(w, m, job);
        CHECK(w, m, oracle_payload_is_right(m, job));
}

/* --- the books --- */

static void check_sums(World *w, const Audit *a)
{
        const Core *c = &w->core;

        CHECK(w, NULL, memcmp(a->all.count, c->count, sizeof(c->count)) == 0);
        CHECK(w, NULL, a->all.open == c->open);
        CHECK(w, NULL, a->bytes == c->bytes);
        CHECK(w, NULL, a->kept == c->kept);
        CHECK(w, NULL, a->kept_bytes == c->kept_bytes);
        CHECK(w, NULL, a->ids == c->ids.count);
        CHECK(w, NULL, a->keys == c->keys.count);
        CHECK(w, NULL, a->due == c->timers.count);
        for (unsigned i = 0; i < SIM_HANDLERS; i++) {
                const CoreHandler *h = w->handlers[i];

                CHECK(w, NULL, a->held_back[i] == h->held.count);
                CHECK(w, NULL, !h->held.count || h->breaker.broken || !h->pool);
                CHECK(w, NULL, !h->breaker.trying || a->claimed[i]);
                if (h->held.count)
                        w->seen[SIM_HELD]++;
        }
}

static void check_pools(World *w, const Audit *a)
{
        for (unsigned i = 0; i < SIM_POOLS; i++) {
                const CorePool *p = w->pools[i].core;
                const Sums *s = &a->pools[i];

                CHECK(w, NULL, memcmp(s->count, p->count, sizeof(p->count)) == 0);
                CHECK(w, NULL, s->open == p->open);
                CHECK(w, NULL, s->ready == p->ready.count);
                CHECK(w, NULL, s->arriving == p->arriving.count);
                CHECK(w, NULL, s->waiting == p->waiting);
                CHECK(w, NULL, s->claiming == p->claiming);
                CHECK(w, NULL, s->admitting == p->admitting);
                CHECK(w, NULL, s->returning == p->returning);
        }
}

static void check_semaphores(World *w, const Audit *a)
{
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++) {
                const CoreSemaphore *s = w->semaphores[i];
                const SemaphoreQueue *q;

                CHECK(w, NULL, a->held[i] == s->held);
                LIST_FOREACH(&s->queues, q, link) {
                        unsigned pool = pool_index(w, q->pool);

                        CHECK(w, NULL, a->named[i][pool] == q->named);
                        CHECK(w, NULL, a->queued[i][pool] == q->waiters.count);
                }
        }
}

static void check_users(World *w, const Audit *a)
{
        for (unsigned i = 0; i < SIM_USERS; i++) {
                const CoreUser *u = user_find(&w->core, 1000 + i);

                CHECK(w, NULL, a->user_open[i] == (u ? u->open : 0));
                CHECK(w, NULL, a->user_bytes[i] == (u ? u->bytes : 0));
                CHECK(w, NULL, a->user_running[i] == (u && u->running ? u->running->held : 0));
        }
}

static void check_kept(World *w)
{
        const CoreLimits *l = &w->core.limits;
        bool any = !list_empty(&w->core.finished) || !list_empty(&w->core.finished_own);
        const List *lists[] = { &w->core.finished, &w->core.finished_own };

        if (any && !w->core.store_down &&
            (w->core.kept > l->keep_max ||
             (l->keep_bytes && w->core.kept_bytes > l->keep_bytes)))
                CHECK(w, NULL, core_next_due(&w->core) <= w->now);
        for (unsigned i = 0; i < ELEMENTS(lists); i++) {
                const Job *job;

                LIST_FOREACH(lists[i], job, link) {
                        CHECK(w, NULL, (job->has & JOB_HAS_KEEP) == (i ? JOB_HAS_KEEP : 0));
                        CHECK(w, NULL, job->request == REQUEST_NONE);
                }
        }
}

/* Of those who are there nobody was forgotten. */
static void check_models(World *w, Audit *a)
{
        SimJob *m;

        LIST_FOREACH(&w->live, m, live) {
                Job *job = table_find(&w->core, &m->id, m->spec.uid);

                if (!job) {
                        CHECK(w, m, m->spec.memory && m->told_end && !m->retrying);
                        continue;
                }
                add(w, a, job);
                check_job(w, job);
                CHECK(w, m, m->spec.memory || m->life == LIFE_ASKED || storage_find(w, m) ||
                                    m->removed);
        }
}

void audit(World *w)
{
        Audit a = { 0 };
        uint64_t listed = 0;
        const Job *job;

        check_models(w, &a);
        LIST_FOREACH(&w->core.all, job, all)
                listed++;
        CHECK(w, NULL, listed == a.listed);
        check_sums(w, &a);
        check_pools(w, &a);
        check_semaphores(w, &a);
        check_users(w, &a);
        check_kept(w);
        w->max_open = MAX(w->max_open, w->core.open);
}

void audit_empty(World *w)
{
        const Core *c = &w->core;

        audit(w);
        CHECK(w, NULL, c->ids.count == 0 && c->open == 0 && c->kept == 0);
        CHECK(w, NULL, c->bytes == 0 && c->kept_bytes == 0 && c->timers.count == 0);
        CHECK(w, NULL, w->store.first == w->store.end && "rows of jobs that are gone");
}
