/* SPDX-License-Identifier: MIT */

#include "pool/pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "io.brood.Worker.h"
#include "pool/dispatch.h"
#include "pool/fields.h"
#include "pool/forker.h"
#include "process/orphans.h"

/* A line whose first run takes longer than this lets the others go elsewhere. */
enum { STALL_USEC = 5000 };

static const struct timeval stall_time = { 0, STALL_USEC };

static void on_stall_timer(evutil_socket_t fd, short what, void *context)
{
        Pools *pools = context;
        usec_t now = clock_steady();
        bool lines = false;
        Pool *pool;
        Worker *w;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->workers, w, in_pool)
                        for (unsigned i = 0; i < w->n_slots; i++) {
                                Slot *slot = &w->slots[i];

                                if (slot->count < 2 || slot->closed)
                                        continue;
                                lines = true;
                                if (now - slot->since > STALL_USEC)
                                        slot_recall(slot, now);
                        }
        if (lines)
                (void)evtimer_add(pools->stall_timer, &stall_time);
}

static bool note_stranger(pid_t pid, void *context)
{
        Pools *pools = context;
        pid_t *more = realloc(pools->strangers, (pools->n_strangers + 1) * sizeof(*more));

        if (more) {
                pools->strangers = more;
                pools->strangers[pools->n_strangers++] = pid;
        }
        return true;
}

int pools_init(Pools *pools, Core *core, Turn *turn)
{
        char error[128];

        *pools = (Pools){ .core = core, .turn = turn, .sentinel = SENTINEL_INIT, .lock_fd = -1,
                          .runtime_dir = -1 };
        list_init(&pools->pools);
        cgroups_init(&pools->cgroups, turn->base);
        inspector_init(&pools->inspector, turn->base);
        pools->stall_timer = evtimer_new(turn->base, on_stall_timer, pools);
        if (!pools->stall_timer)
                return -ENOMEM;
        if (varlink_interface_new(&pools->interface, SLICE(IO_BROOD_WORKER_TEXT), error,
                                  sizeof(error)) < 0)
                return -ENOMEM;
        (void)orphans_kill(note_stranger, pools); /* kills none: it keeps them all */
        return sentinel_init(&pools->sentinel);
}

void pools_fini(Pools *pools)
{
        Pool *pool, *next;

        inspector_fini(&pools->inspector);
        LIST_FOREACH_SAFE(&pools->pools, pool, next, link)
                pool_free(pool);
        cgroups_close(&pools->cgroups);
        if (pools->stall_timer)
                event_free(pools->stall_timer);
        free(pools->strangers);
        varlink_scan_fini(&pools->scan);
        varlink_interface_free(pools->interface);
        sentinel_fini(&pools->sentinel);
}

Pool *pools_find(Pools *pools, Slice name)
{
        Pool *pool;

        LIST_FOREACH(&pools->pools, pool, link)
                if (slice_is(name, pool->core->name))
                        return pool;
        return NULL;
}

void pools_settle(Pools *pools, usec_t now)
{
        Pool *pool, *next;

        LIST_FOREACH_SAFE(&pools->pools, pool, next, link) {
                if (pool->check)
                        pool_fill(pool, now);
                if (pool->removed && pool_is_empty(pool)) {
                        log_event(LOG_FIELDS(.pool = pool->core->name), LEVEL_INFO,
                                  "pool=%s: gone", pool->core->name);
                        pools->pool_going(pools, pool);
                        pool_free(pool);
                        continue;
                }
                if (pools->dispatching && !pool->removed)
                        dispatch_pool(pool, now);
                else
                        pool_note_waiting(pool, 0, now); /* for these no worker is started */
        }
}

void pools_run(Pools *pools, Job *job, usec_t now)
{
        Pool *pool = job->pool->owner;
        const Slot *slot;

        if (!pool) {
                core_unclaim(pools->core, job, now);
                return;
        }
        dispatch_job(pool, job, now);
        slot = job->slot;
        if (slot && slot->count > 1 && !evtimer_pending(pools->stall_timer, NULL))
                (void)evtimer_add(pools->stall_timer, &stall_time);
}

void pools_cancel(Pools *pools, Job *job, bool force, usec_t now)
{
        if (job->slot)
                slot_cancel(job->slot, job, force, now);
}

unsigned pools_running(const Pools *pools)
{
        unsigned n = 0;
        const Pool *pool;
        const Worker *w;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->workers, w, in_pool)
                        n += w->n_busy;
        return n;
}

unsigned pools_workers(const Pools *pools)
{
        unsigned n = 0;
        const Pool *pool;

        LIST_FOREACH(&pools->pools, pool, link)
                n += pool_count(pool).workers;
        return n;
}

unsigned pools_processes(const Pools *pools)
{
        unsigned n = pools_workers(pools) + pools->inspector.n_at_work;
        const Pool *pool;
        const Forker *f;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->forkers, f, link)
                        n++;
        return n;
}

void pools_recall(Pools *pools, usec_t now)
{
        Pool *pool;
        Worker *w;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->workers, w, in_pool)
                        for (unsigned i = 0; i < w->n_slots; i++)
                                slot_recall(&w->slots[i], now);
}

void pools_tell_workers(Pools *pools)
{
        Pool *pool;
        Worker *w;

        pools->restless = false;
        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->workers, w, in_pool)
                        worker_tell_state(w);
}

void pools_leave(Pools *pools, bool force, usec_t now)
{
        Pool *pool;
        Worker *w, *next;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH_SAFE(&pool->workers, w, next, in_pool)
                        worker_leave(w, END_SHUTDOWN, force, now);
}

void pools_close(Pools *pools)
{
        Pool *pool;
        Forker *f, *next;

        inspector_stop(&pools->inspector);
        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH_SAFE(&pool->forkers, f, next, link)
                        if (!f->retired || f->channel >= 0)
                                forker_retire(f);
}

void pools_kill_forkers(Pools *pools)
{
        Pool *pool;
        Forker *f;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->forkers, f, link)
                        forker_kill(f, "the daemon stops");
}

/* --- what falls to us --- */

static Forker *find_forker(Pools *pools, pid_t pid)
{
        Pool *pool;
        Forker *f;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->forkers, f, link)
                        if (f->pid == pid)
                                return f;
        return NULL;
}

static Worker *find_orphan(Pools *pools, pid_t pid)
{
        Pool *pool;
        Worker *w;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->workers, w, in_pool)
                        if (!w->forker && w->pid == pid)
                                return w;
        return NULL;
}

static bool is_known(pid_t pid, void *context)
{
        Pools *pools = context;

        for (unsigned i = 0; i < pools->n_strangers; i++)
                if (pools->strangers[i] == pid)
                        return true;
        return find_forker(pools, pid) || inspector_knows(&pools->inspector, pid);
}

/* A number that is free again may come back as something else. */
static void forget_stranger(Pools *pools, pid_t pid)
{
        for (unsigned i = 0; i < pools->n_strangers; i++)
                if (pools->strangers[i] == pid)
                        pools->strangers[i] = pools->strangers[--pools->n_strangers];
}

static bool any_orphan(const Pools *pools)
{
        const Pool *pool;
        const Worker *w;

        LIST_FOREACH(&pools->pools, pool, link)
                LIST_FOREACH(&pool->workers, w, in_pool)
                        if (!w->forker)
                                return true;
        return false;
}

/* Until nothing is left: what a worker had falls to us when that worker is dead. */
static void sweep(Pools *pools)
{
        if (orphans_kill(is_known, pools) == 0 && !any_orphan(pools))
                pools->sweeping = false;
}

static void tell_of_forker(const Forker *f, const ExitVerdict *v)
{
        const LogFields fields = pool_fields(f->pool, MESSAGE_FORK_SERVER_FAILED);
        char words[96];

        if (f->retired && (exit_verdict_status(v) == 0 || !f->ready))
                return;
        log_event(&fields, LEVEL_WARNING,
                  "pool=%s: fork server pid=%d died: it %s; workers that go with it: %u",
                  f->pool->core->name, (int)f->pid, exit_verdict_words(v, words, sizeof(words)),
                  f->n_workers);
}

void pools_reap(Pools *pools)
{
        struct rusage usage;
        int status;
        pid_t pid;

        while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
                ExitVerdict v = exit_verdict(status, &usage);
                Forker *f = find_forker(pools, pid);
                Worker *w = f ? NULL : find_orphan(pools, pid);

                forget_stranger(pools, pid);
                if (f) {
                        pools->sweeping |= !f->retired || exit_verdict_status(&v) != 0;
                        tell_of_forker(f, &v);
                        f->killed = exit_verdict_signal(&v) == SIGKILL && !f->given_up &&
                                    !f->retired;
                        forker_gone(f);
                } else if (w) {
                        worker_exited(w, &v, clock_steady());
                } else {
                        (void)inspector_reaped(&pools->inspector, pid, status);
                }
                pools->dirty = true;
        }
        if (pools->sweeping)
                sweep(pools);
}
