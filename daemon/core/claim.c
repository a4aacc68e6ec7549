/* SPDX-License-Identifier: MIT */

/* From ready to claimed: who is next, and what keeps a job back. */

#include "core/inside.h"
#include "core/rank.h"
#include "core/semaphore.h"

enum { PEEK_WORK = 1000 }; /* jobs that one look puts aside */

/* --- places --- */

static Heap *heap_of(const Job *job)
{
        switch (job->place) {
        case PLACE_READY:
                return &job->pool->ready;
        case PLACE_ARRIVING:
                return &job->pool->arriving;
        default:
                return &job->handler->held;
        }
}

void place_leave(Job *job)
{
        if (job->place == PLACE_NONE)
                return;
        heap_remove(heap_of(job), job);
        job->handler->ready -= job->place != PLACE_HELD;
        job->place = PLACE_NONE;
}

void place_ready(Job *job)
{
        ASSERT(job->place == PLACE_NONE);
        job->place = PLACE_READY;
        job->handler->ready++;
        if (heap_push(&job->pool->ready, job) < 0)
                abort(); /* room was reserved when it was admitted */
}

int place_arriving(Job *job)
{
        int r = heap_push(&job->pool->arriving, job);

        if (r < 0)
                return r;
        job->place = PLACE_ARRIVING;
        job->handler->ready++;
        return 0;
}

static bool place_held(Job *job)
{
        place_leave(job);
        if (heap_push(&job->handler->held, job) < 0) {
                place_ready(job);
                return false;
        }
        job->place = PLACE_HELD;
        return true;
}

void handler_release(CoreHandler *handler, uint32_t n)
{
        Job *job;

        while (n-- && (job = heap_peek(&handler->held))) {
                place_leave(job);
                place_ready(job);
        }
}

/* --- what keeps a job back --- */

/* Nobody serves its handler just now, or that has a rest. */
static bool is_held(const Job *job, usec_t now)
{
        return !job->handler->pool || !handler_breaker_allows(&job->handler->breaker, now);
}

static bool may_run(const Job *job, usec_t now)
{
        return !is_held(job, now) && !semaphores_missing(job);
}

/* A ready job that cannot run waits for what it lacks. False: memory ran out. */
static bool put_aside(Core *core, Job *job, usec_t now)
{
        if (is_held(job, now))
                return place_held(job);
        core_set_state(core, job, JOB_BLOCKED);
        semaphores_wait(job);
        core_start_waiting(core, job);
        core_event(core, job, EVENT_CHANGED);
        return true;
}

/* Of those that wait at semaphores the best that could run now is ready again, if it would be next.
 */
static void wake_waiter(Core *core, CorePool *pool)
{
        Job *job = semaphores_next(core, pool), *first = heap_peek(&pool->ready);

        if (!job || (first && rank_before(first, job)))
                return;
        semaphores_leave(job);
        core_set_state(core, job, JOB_QUEUED);
        core_start_waiting(core, job);
        core_event(core, job, EVENT_CHANGED);
}

/* Can it only be claimed by a commit? Not where the store has it as claimed already. */
static bool needs_store(const Job *job)
{
        return !job->memory && !job->claim_kept;
}

/* While the store is down: of the first that are ready, the best that needs no store. */
static Job *best_without_store(const CorePool *pool)
{
        Job *best = NULL;

        for (uint32_t i = 0; i < MIN(pool->ready.count, (uint32_t)PEEK_WORK); i++) {
                Job *job = pool->ready.items[i];

                if (!needs_store(job) && (!best || rank_before(job, best)))
                        best = job;
        }
        return best;
}

static Job *best_ready(Core *core, CorePool *pool, usec_t now)
{
        Job *job;

        for (int i = 0; i < PEEK_WORK; i++) {
                wake_waiter(core, pool);
                job = heap_peek(&pool->ready);
                if (job && core->store_down && needs_store(job))
                        job = best_without_store(pool);
                if (!job)
                        return NULL;
                if (may_run(job, now))
                        return job;
                if (!put_aside(core, job, now))
                        return NULL;
        }
        core->unfinished = true;
        return NULL;
}

static Job *best_arriving(Core *core, CorePool *pool, usec_t now)
{
        Job *job;

        while ((job = heap_peek(&pool->arriving)) &&
               (!may_run(job, now) || (core->store_down && !job->memory)))
                place_leave(job); /* it is admitted first, and then seen to */
        return job;
}

Job *core_peek(Core *core, CorePool *pool, usec_t now)
{
        Job *ready, *arriving;

        if (pool->paused)
                return NULL;
        ready = best_ready(core, pool, now);
        arriving = best_arriving(core, pool, now);
        return !ready || (arriving && rank_before(arriving, ready)) ? arriving : ready;
}

/* --- claims --- */

/* Jobs that the pool will have to run before this one. */
static uint32_t before(const CorePool *pool, const Job *job)
{
        uint32_t n = pool->claiming + pool->returning;

        return job->place == PLACE_ARRIVING ? n + pool->admitting - pool->arriving.count : n;
}

Job *core_claim(Core *core, CorePool *pool, unsigned room, usec_t now)
{
        Job *job = core_peek(core, pool, now);

        if (!job || before(pool, job) >= room)
                return NULL;
        pool->claiming++;
        semaphores_take(job);
        job->trial = handler_breaker_claimed(&job->handler->breaker);
        if (job->place == PLACE_ARRIVING) {
                job->claim = true; /* goes with the admission that is asked for already */
                pool->admitting--;
                place_leave(job);
        } else {
                place_leave(job);
                list_remove(&job->link); /* that it was given back need not be noted */
                table_set_due(core, job, 0);
                core_request(core, job, REQUEST_CLAIM);
        }
        return job;
}

/* The claim is over, and the attempt has not begun. */
void claim_drop(Job *job)
{
        semaphores_give(job);
        if (job->trial)
                handler_breaker_untried(&job->handler->breaker);
        job->trial = false;
        job->slot = NULL;
}

/* A job that is queued, and in no heap, is ready; or ends, if that was asked for meanwhile. */
void claim_return(Core *core, Job *job, usec_t now)
{
        if (job->cancel_asked)
                core_end_as(core, job, JOB_CANCELLED, NULL, now);
        else
                core_start_waiting(core, job);
        core_shed(core, job);
}

bool core_is_overtaken(const Job *job)
{
        const Job *first = heap_peek(&job->pool->ready);

        return first && rank_before(first, job) && !needs_store(first);
}

void core_unclaim(Core *core, Job *job, usec_t now)
{
        ASSERT(job->state == JOB_QUEUED && job->place == PLACE_NONE &&
               job->request == REQUEST_NONE);
        claim_drop(job);
        claim_return(core, job, now);
        core_mark(core, job); /* the store has it as claimed */
}

void claim_completed(Core *core, Job *job, bool durable, usec_t now)
{
        job->pool->claiming--;
        job->claim_kept = durable && !job->memory;
        if (durable && !job->cancel_asked) {
                core_event(core, job, EVENT_CLAIMED);
                return;
        }
        claim_drop(job);
        claim_return(core, job, now);
}

static void note_waiting(Job *job, usec_t now)
{
        usec_t since = MAX(job->order, job->ready_at);

        histogram_add(&job->handler->figures.waiting, now > since ? now - since : 0);
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
        note_waiting(job, now);
        if (!job->history->started)
                job->history->started = now;
        job->history->progress = -1;
        core_set_state(core, job, JOB_RUNNING);
        core_event(core, job, EVENT_CHANGED);
        if (job->cancel_asked)
                core_mark(core, job);
        return 0;
}
