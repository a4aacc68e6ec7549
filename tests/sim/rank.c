/* SPDX-License-Identifier: MIT */

/* Nobody is left behind: when a job of a pool is claimed, or none is found, there is no job of that
 * pool of better rank (the higher priority, then who was ready first), or any at all, that is
 * `free`:
 *
 * - it is queued, or blocked by semaphores alone, nobody has asked for its end, and it is neither
 *   on its way anywhere (a request is under way: its admission, its way back; the claim was made or
 *   told) nor with a worker;
 * - the breaker of its handler is closed, or it is ready and the one that is to be tried;
 * - of each semaphore that it names more units are left than there are jobs of better rank that
 *   name several and wait for it: each of those keeps one from those who come after it, and core
 *   looks no further than it has units;
 * - of its user fewer run than may, or it does not count, with the same reserve;
 * - it is in memory, or the store works. While the store is down a durable job at the head holds up
 *   those behind it, so then nothing is said of jobs that are behind. */

#include <string.h>

#include "base/macros.h"
#include "core/semaphore.h"
#include "core/user.h"
#include "world.h"

/* Does a job go before another? Written once more, not taken from core. */
static bool is_better(const Job *a, const Job *b)
{
        if (a->priority != b->priority)
                return a->priority > b->priority;
        if (a->order != b->order)
                return a->order < b->order;
        return memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes)) < 0;
}

void rank_look(const World *w, SimView *view)
{
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++) {
                const CoreSemaphore *s = w->semaphores[i];

                view->left[i] = s->size > s->held ? s->size - s->held : 0;
        }
        for (unsigned i = 0; i < SIM_USERS; i++) {
                const CoreUser *u = user_find(&w->core, 1000 + i);
                const CoreSemaphore *s = u ? u->running : NULL;

                view->user_left[i] = !s ? UINT64_MAX : s->size > s->held ? s->size - s->held : 0;
        }
        for (unsigned i = 0; i < SIM_HANDLERS; i++) {
                view->allowed[i] = handler_breaker_allows(&w->handlers[i]->breaker, w->now);
                view->open[i] = w->handlers[i]->breaker.broken > 0;
        }
}

static bool names(const Job *job, const CoreSemaphore *semaphore)
{
        for (unsigned i = 0; job->ties && i < job->ties->n_units; i++)
                if (job->ties->units[i].semaphore == semaphore)
                        return true;
        return false;
}

/* Jobs that name several and stand before this one at the semaphore. */
static uint64_t before_it(const World *w, const CoreSemaphore *semaphore, const Job *job)
{
        uint64_t n = 0;
        const Job *j;

        LIST_FOREACH(&w->core.all, j, all)
                n += j->state == JOB_BLOCKED && j->ties && j->ties->n_units > 1 &&
                     j->ties->units[0].index != HEAP_NONE && is_better(j, job) &&
                     names(j, semaphore);
        return n;
}

static bool has_units(const World *w, const SimView *view, const SimJob *m, const Job *job)
{
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++)
                if (m->spec.units & (1u << i) &&
                    (!view->left[i] || view->left[i] <= before_it(w, w->semaphores[i], job)))
                        return false;
        return true;
}

static bool has_room_of_user(const World *w, const SimView *view, const Job *job)
{
        const CoreUser *u = user_find(&w->core, job->uid);
        uint64_t left = view->user_left[job->uid - 1000];

        return !u->running || !names(job, u->running) ||
               (left && left > before_it(w, u->running, job));
}

static bool is_free(const World *w, const SimView *view, const Job *job)
{
        const SimJob *m;

        if ((job->state != JOB_QUEUED && job->state != JOB_BLOCKED) || job_first_blocker(job) ||
            job->request != REQUEST_NONE || job->slot || job->cancel_asked ||
            job->events & EVENT_CLAIMED || (w->core.store_down && !job->memory && !job->claim_kept))
                return false;
        m = model_of_id(w, &job->id, job->uid);
        if (!job->handler->pool) /* nobody serves it: its jobs are held */
                return false;
        if (!view->allowed[m->spec.handler] ||
            (view->open[m->spec.handler] && job->place != PLACE_READY))
                return false;
        return has_units(w, view, m, job) && has_room_of_user(w, view, job);
}

static bool has_a_chance(const Job *job)
{
        if (!job->pool->owner || job->pool->busy || job->pool->paused)
                return false;
        for (unsigned i = 0; i < job->ties->n_units; i++) {
                const CoreSemaphore *s = job->ties->units[i].semaphore;

                if (!s->size || (s->of_user && s->held >= s->size))
                        return false;
        }
        return true;
}

/* The last unit goes to nobody while a better job that names several stands first in a pool that
 * could run it. */
static void check_last_unit(World *w, const SimJob *m, const Job *claimed, unsigned semaphore)
{
        const SemaphoreQueue *q;

        LIST_FOREACH(&w->semaphores[semaphore]->queues, q, link) {
                const JobUnit *first = heap_peek(&q->waiters);

                CHECK(w, m, !first || first->job->ties->n_units < 2 || !has_a_chance(first->job) ||
                                    !is_better(first->job, claimed));
        }
}

void rank_check_claim(World *w, const SimView *view, const Job *claimed)
{
        const SimJob *m = model_of(w, claimed);
        const Job *job;

        CHECK(w, m, view->allowed[m->spec.handler]);
        CHECK(w, m, !w->core.store_down || claimed->memory || claimed->claim_kept);
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++) {
                if (!(m->spec.units & (1u << i)))
                        continue;
                CHECK(w, m, view->left[i] > 0);
                if (view->left[i] == 1)
                        check_last_unit(w, m, claimed, i);
        }
        if (user_find(&w->core, claimed->uid)->running &&
            names(claimed, user_find(&w->core, claimed->uid)->running))
                CHECK(w, m, view->user_left[claimed->uid - 1000] > 0);
        if (w->core.store_down)
                return;
        LIST_FOREACH(&w->core.all, job, all)
                if (job != claimed && job->pool == claimed->pool && !job_state_ended(job->state) &&
                    is_better(job, claimed) && is_free(w, view, job))
                        world_fail(w, model_of(w, job), "a job of lower rank was claimed");
}

void rank_check_idle(World *w, const CorePool *pool)
{
        SimView view;
        const Job *job;

        if (pool->paused || w->core.unfinished || w->core.store_down)
                return;
        rank_look(w, &view);
        LIST_FOREACH(&w->core.all, job, all)
                if (job->pool == pool && !job_state_ended(job->state) && is_free(w, &view, job))
                        world_fail(w, model_of(w, job), "a job that could run was not found");
}
