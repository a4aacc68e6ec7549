/* SPDX-License-Identifier: MIT */

#include "pool/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/entropy.h"
#include "pool/pools.h"

/* Slots looked at in search of a line with room; workers, of one with a free slot. */
enum { MAX_LOOK = 64 };

static bool has_many_slots(const Pool *pool)
{
        return pool->settings->slots > 1;
}

/* How many idle slots there are whose workers know a handler since this epoch of theirs. */
static unsigned count_idle(const Pool *pool, unsigned since)
{
        const Slot *slot;
        const Worker *w;
        unsigned n = 0;

        if (has_many_slots(pool))
                LIST_FOREACH(&pool->workers, w, in_pool)
                        if (w->state == WORKER_ACTIVE && w->epoch >= since)
                                n += w->n_slots - w->n_busy;
        LIST_FOREACH(&pool->idle, slot, idle)
                n += slot->worker->epoch >= since;
        return n;
}

/* Of several slots in each worker, one of the worker that has the least to do, so that jobs are
 * spread: over CPUs, and over what falls with one process. */
static Slot *least_busy(const Pool *pool, unsigned since)
{
        const Worker *w, *best = NULL;
        unsigned looked = 0;

        LIST_FOREACH(&pool->workers, w, in_pool) {
                if (w->epoch >= since && !list_empty(&w->free) &&
                    (!best || w->n_busy < best->n_busy))
                        best = w;
                if (++looked == MAX_LOOK || (best && !best->n_busy))
                        break;
        }
        return best ? CONTAINER_OF(best->free.next, Slot, idle) : NULL;
}

/* One whose worker knows such a handler; NULL: none is idle. */
static Slot *idle_slot(const Pool *pool, unsigned since)
{
        Slot *slot;

        LIST_FOREACH(&pool->idle, slot, idle)
                if (slot->worker->epoch >= since)
                        return slot;
        return has_many_slots(pool) ? least_busy(pool, since) : NULL;
}

/* How many jobs whose runs take so long could go to slots now. */
static unsigned room(const Pool *pool, usec_t run_usec, unsigned since)
{
        unsigned n = 0, looked = 0;
        const Worker *w;

        LIST_FOREACH(&pool->workers, w, in_pool) {
                for (unsigned i = 0; w->state == WORKER_ACTIVE && i < w->n_slots; i++, looked++)
                        n += slot_room(&w->slots[i], run_usec, since);
                if (looked >= MAX_LOOK)
                        break;
        }
        return MAX(n, count_idle(pool, since));
}

static uint64_t ready_jobs(const CorePool *pool)
{
        return pool->ready.count + pool->arriving.count;
}

/* Each job is claimed by the room that there is for runs of its handler. */
void dispatch_pool(Pool *pool, usec_t now)
{
        Core *core = pool->pools->core;
        const CoreHandler *of = NULL;
        unsigned n = 0;
        Job *job;

        if (pool->core->waiting) /* those at semaphores keep no unit for a pool that is */
                pool->core->busy = room(pool, 1, 0) == 0;
        pool->full = false;
        while ((job = core_peek(core, pool->core, now))) {
                if (job->handler != of)
                        n = room(pool, job->handler->run_usec, job->handler->since);
                of = job->handler;
                if (!core_claim(core, pool->core, n, now))
                        break;
        }
        pool_note_waiting(pool, job ? ready_jobs(pool->core) : 0, now);
}

static Slot *shortest_line(Pool *pool, const CoreHandler *handler)
{
        Worker *w, *next;
        unsigned looked = 0;

        LIST_FOREACH_SAFE(&pool->workers, w, next, in_pool) {
                if (looked >= MAX_LOOK)
                        return NULL;
                for (unsigned i = 0; w->state == WORKER_ACTIVE && i < w->n_slots; i++, looked++)
                        if (slot_room(&w->slots[i], handler->run_usec, handler->since)) {
                                list_remove(&w->in_pool); /* the next one is another's turn */
                                list_append(&pool->workers, &w->in_pool);
                                return &w->slots[i];
                        }
        }
        return NULL;
}

/* It can not be handed over just now: an attempt that failed, so that its backoff tells when next.
 */
static void fail_attempt(Pool *pool, const Worker *w, Job *job, int error, usec_t now)
{
        AttemptBegin b = { w->seat, w->generation, w->pid };
        AttemptEnd end = { .outcome = OUTCOME_ERROR, .may_retry = true,
                           .certificate = certificate_new(strerror(-error)) };

        if (core_begin(pool->pools->core, job, &b, now) < 0)
                abort();
        (void)core_settle(pool->pools->core, job, job->attempt, &end, now, entropy_u64());
}

void dispatch_job(Pool *pool, Job *job, usec_t now)
{
        Slot *slot = pool->full ? NULL : idle_slot(pool, job->handler->since);
        int r;

        if (!slot && !pool->full)
                slot = shortest_line(pool, job->handler);
        if (!slot || !pool->pools->dispatching || core_is_overtaken(job)) {
                pool->full = true;
                core_unclaim(pool->pools->core, job, now);
                return;
        }
        r = slot_give(slot, job, now);
        if (r == 0)
                return;
        if (r == -ENOMEM) {
                core_unclaim(pool->pools->core, job, now);
                worker_kill(slot->worker, END_RETIRED, "no memory to give it a job");
                return;
        }
        fail_attempt(pool, slot->worker, job, r, now);
}
