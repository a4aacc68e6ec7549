/* SPDX-License-Identifier: MIT */

#include "core/semaphore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "core/rank.h"
#include "core/ties.h"

/* Of one queue, while the best of it lack something else. */
enum { SEMAPHORE_LOOK = 32 };

static int unit_before(const void *a, const void *b)
{
        return rank_before(((const JobUnit *)a)->job, ((const JobUnit *)b)->job);
}

static uint32_t *unit_index(void *unit)
{
        return &((JobUnit *)unit)->index;
}

CoreSemaphore *core_find_semaphore(Core *core, Slice name)
{
        CoreSemaphore *s;

        LIST_FOREACH(&core->semaphores, s, link)
                if (!s->of_user && slice_is(name, s->name))
                        return s;
        return NULL;
}

static CoreSemaphore *new_semaphore(Core *core, const char *name)
{
        CoreSemaphore *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        s->name = strdup(name);
        if (!s->name) {
                free(s);
                return NULL;
        }
        list_init(&s->queues);
        list_append(&core->semaphores, &s->link);
        return s;
}

CoreSemaphore *core_semaphore(Core *core, const char *name)
{
        CoreSemaphore *s = core_find_semaphore(core, slice_of(name));

        return s ? s : new_semaphore(core, name);
}

CoreSemaphore *semaphore_of_user(Core *core, uint32_t uid)
{
        CoreSemaphore *s;
        char name[32];

        (void)snprintf(name, sizeof(name), "uid %u", uid);
        s = new_semaphore(core, name);
        if (s)
                s->of_user = true;
        return s;
}

static SemaphoreQueue *queue_of(CoreSemaphore *s, CorePool *pool)
{
        SemaphoreQueue *q;

        LIST_FOREACH(&s->queues, q, link)
                if (q->pool == pool)
                        return q;
        q = calloc(1, sizeof(*q));
        if (!q)
                return NULL;
        q->pool = pool;
        q->waiters = (Heap){ .before = unit_before, .index_of = unit_index };
        list_append(&s->queues, &q->link);
        return q;
}

/* The queue, with a place for one more job. */
static SemaphoreQueue *room_at(CoreSemaphore *s, CorePool *pool)
{
        SemaphoreQueue *q = queue_of(s, pool);

        return q && heap_reserve(&q->waiters, q->named - q->waiters.count + 1) == 0 ? q : NULL;
}

int semaphores_name(Job *job, CoreSemaphore *const *semaphores, unsigned n)
{
        JobTies *t = ties_get(job, n);

        if (!t)
                return -ENOMEM;
        for (unsigned i = 0; i < n; i++) {
                SemaphoreQueue *q = room_at(semaphores[i], job->pool);

                if (!q) {
                        semaphores_unname(job);
                        return -ENOMEM;
                }
                q->named++;
                t->units[t->n_units++] = (JobUnit){ job, semaphores[i], q, HEAP_NONE };
        }
        return 0;
}

void semaphores_unname(Job *job)
{
        JobTies *t = job->ties;

        if (!t)
                return;
        semaphores_leave(job);
        semaphores_give(job);
        for (unsigned i = 0; i < t->n_units; i++)
                t->units[i].queue->named--;
        t->n_units = 0;
}

int semaphores_move(Job *job, CorePool *to)
{
        JobTies *t = job->ties;

        for (unsigned i = 0; t && i < t->n_units; i++)
                if (!room_at(t->units[i].semaphore, to))
                        return -ENOMEM;
        for (unsigned i = 0; t && i < t->n_units; i++) {
                JobUnit *u = &t->units[i];
                bool waits = u->index != HEAP_NONE;

                if (waits) {
                        heap_remove(&u->queue->waiters, u);
                        u->queue->pool->waiting--;
                }
                u->queue->named--;
                u->queue = queue_of(u->semaphore, to);
                u->queue->named++;
                if (waits) {
                        (void)heap_push(&u->queue->waiters, u); /* there is room */
                        to->waiting++;
                }
        }
        return 0;
}

/* Nobody else is to wait for this one: it is not in the config, or a limit that only the jobs of
 * one user can make room in. */
static bool is_hopeless(const CoreSemaphore *s)
{
        return !s->size || (s->of_user && s->held >= s->size);
}

/* Could it run as soon as the others let it? */
static bool has_a_chance(const Job *job)
{
        const CorePool *pool = job->pool;

        if (!pool->owner || pool->busy || pool->paused)
                return false;
        for (unsigned i = 0; i < job->ties->n_units; i++)
                if (is_hopeless(job->ties->units[i].semaphore))
                        return false;
        return true;
}

/* Does somebody who goes before the job, needs more than this, and whose pool could run it, wait
 * for a unit? */
static bool is_kept_for_another(const CoreSemaphore *s, const Job *job)
{
        const SemaphoreQueue *q;

        LIST_FOREACH(&s->queues, q, link) {
                const JobUnit *first = heap_peek(&q->waiters);

                if (first && first->job != job && first->job->ties->n_units > 1 &&
                    rank_before(first->job, job) && has_a_chance(first->job))
                        return true;
        }
        return false;
}

static bool has_unit(const CoreSemaphore *s, const Job *job)
{
        uint64_t left = s->size > s->held ? s->size - s->held : 0;

        return left > 1 || (left == 1 && !is_kept_for_another(s, job));
}

CoreSemaphore *semaphores_missing(const Job *job)
{
        const JobTies *t = job->ties;

        for (unsigned i = 0; t && i < t->n_units; i++)
                if (!has_unit(t->units[i].semaphore, job))
                        return t->units[i].semaphore;
        return NULL;
}

void semaphores_take(Job *job)
{
        JobTies *t = job->ties;

        if (!t || !t->n_units)
                return;
        ASSERT(!job->holds);
        job->holds = true;
        for (unsigned i = 0; i < t->n_units; i++)
                t->units[i].semaphore->held++;
}

void semaphores_give(Job *job)
{
        JobTies *t = job->ties;

        if (!job->holds)
                return;
        job->holds = false;
        for (unsigned i = 0; i < t->n_units; i++) {
                ASSERT(t->units[i].semaphore->held > 0);
                t->units[i].semaphore->held--;
        }
}

void semaphores_wait(Job *job)
{
        JobTies *t = job->ties;

        for (unsigned i = 0; i < t->n_units; i++) {
                if (heap_push(&t->units[i].queue->waiters, &t->units[i]) < 0)
                        abort(); /* room was reserved when it was admitted */
                job->pool->waiting++;
        }
}

void semaphores_leave(Job *job)
{
        JobTies *t = job->ties;

        for (unsigned i = 0; t && i < t->n_units; i++) {
                if (t->units[i].index == HEAP_NONE)
                        continue;
                heap_remove(&t->units[i].queue->waiters, &t->units[i]);
                job->pool->waiting--;
        }
}

/* From the best on, some are looked at: the first may lack another semaphore, too. */
static Job *next_at(CoreSemaphore *s, SemaphoreQueue *q)
{
        JobUnit *passed[SEMAPHORE_LOOK], *unit;
        unsigned n = 0;
        Job *found = NULL;

        while (n < SEMAPHORE_LOOK && s->held + n < s->size && (unit = heap_peek(&q->waiters))) {
                if (!semaphores_missing(unit->job)) {
                        found = unit->job;
                        break;
                }
                heap_remove(&q->waiters, unit);
                passed[n++] = unit;
        }
        while (n)
                (void)heap_push(&q->waiters, passed[--n]); /* to the place that it has just left */
        return found;
}

Job *semaphores_next(Core *core, const CorePool *pool)
{
        SemaphoreQueue *q;
        CoreSemaphore *s;
        Job *best = NULL;

        if (!pool->waiting)
                return NULL;
        LIST_FOREACH(&core->semaphores, s, link) {
                if (s->held >= s->size)
                        continue;
                LIST_FOREACH(&s->queues, q, link) {
                        Job *job = q->pool == pool ? next_at(s, q) : NULL;

                        if (job && (!best || rank_before(job, best)))
                                best = job;
                }
        }
        return best;
}

void semaphores_fini(Core *core)
{
        CoreSemaphore *s, *next;
        SemaphoreQueue *q, *next_q;

        LIST_FOREACH_SAFE(&core->semaphores, s, next, link) {
                LIST_FOREACH_SAFE(&s->queues, q, next_q, link) {
                        heap_fini(&q->waiters);
                        free(q);
                }
                free(s->name);
                free(s);
        }
}
