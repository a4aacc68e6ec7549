/* SPDX-License-Identifier: MIT */

/* One step is one thing that happens, and mostly the settling that follows it in the supervisor. */

#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

enum {
        SYNC_EVERY = 64,    /* steps */
        MAX_TURNS = 500,    /* of one settling */
        KIND_ROUNDS = 4000, /* until all that is open has ended */
        CROWD = 120,        /* open jobs; then fewer come */
};

static bool one_in(World *w, unsigned n)
{
        return dice_below(&w->dice, n) == 0;
}

/* --- config --- */

static JobPolicy any_policy(World *w)
{
        return (JobPolicy){ .timeout = one_in(w, 3) ? 2 * USEC_PER_SEC : 0,
                            .backoff = dice_below(&w->dice, 4) * 100 * USEC_PER_MSEC,
                            .backoff_max = (1 + dice_below(&w->dice, 5)) * USEC_PER_SEC,
                            .max_attempts = 1 + dice_below(&w->dice, 4),
                            .poison_deaths = dice_below(&w->dice, 4),
                            .breaker_deaths = dice_below(&w->dice, 4),
                            .max_queued = one_in(w, 4) ? 20 + dice_below(&w->dice, 60) : 0,
                            .priority = (int)dice_below(&w->dice, 3) - 1 };
}

static CoreUserLimits any_user_limits(World *w)
{
        return (CoreUserLimits){ .max_queued = one_in(w, 4) ? 20 + dice_below(&w->dice, 40) : 0,
                                 .max_bytes = one_in(w, 6) ? 10000 + dice_below(&w->dice, 20000)
                                                           : 0,
                                 .max_running = one_in(w, 3) ? 1 + dice_below(&w->dice, 5) : 0,
                                 .max_rate = one_in(w, 5) ? 1 + dice_below(&w->dice, 50) : 0 };
}

static CoreLimits any_limits(World *w)
{
        return (CoreLimits){ .max_queued = one_in(w, 3) ? 40 + dice_below(&w->dice, 100) : 0,
                             .max_bytes = one_in(w, 5) ? 20000 + dice_below(&w->dice, 40000) : 0,
                             .keep = dice_below(&w->dice, 20) * USEC_PER_SEC,
                             .keep_max = 10 + dice_below(&w->dice, 80),
                             .keep_bytes = one_in(w, 4) ? 10000 : 0,
                             .large = one_in(w, 8) ? 0 : SIM_LARGE,
                             .user = any_user_limits(w),
                             .own_uid = one_in(w, 4) ? 1000 : 1 };
}

static void choose_config(World *w)
{
        SimConfig *c = &w->config;

        c->limits = any_limits(w);
        for (unsigned i = 0; i < SIM_POOLS; i++) {
                c->policies[i] = any_policy(w);
                c->removed[i] = one_in(w, 10);
        }
        for (unsigned i = 0; i < SIM_HANDLERS; i++) {
                c->served_by[i] = one_in(w, 15) ? -1 : (int)dice_below(&w->dice, SIM_POOLS);
                c->quick[i] = one_in(w, 2);
        }
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++)
                c->sizes[i] = one_in(w, 6) ? 0 : 1 + dice_below(&w->dice, 4);
}

static void choose_kind_config(World *w)
{
        SimConfig *c = &w->config;

        choose_config(w);
        c->limits.max_queued = c->limits.max_bytes = 0;
        c->limits.user.max_queued = c->limits.user.max_bytes = c->limits.user.max_rate = 0;
        for (unsigned i = 0; i < SIM_POOLS; i++)
                c->removed[i] = false;
        for (unsigned i = 0; i < SIM_HANDLERS; i++)
                c->served_by[i] = c->served_by[i] < 0 ? 0 : c->served_by[i];
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++)
                c->sizes[i] = MAX(c->sizes[i], 1u);
}

static void serve(World *w)
{
        for (unsigned i = 0; i < SIM_HANDLERS; i++)
                core_bind_handler(&w->core, w->handlers[i], NULL);
        for (unsigned i = 0; i < SIM_POOLS; i++) {
                w->pools[i].removed = w->config.removed[i];
                if (w->config.removed[i])
                        continue;
                w->pools[i].core->policy = w->config.policies[i];
                w->pools[i].core->owner = &w->pools[i];
                for (unsigned k = 0; k < SIM_HANDLERS; k++)
                        if (w->config.served_by[k] == (int)i)
                                core_bind_handler(&w->core, w->handlers[k], w->pools[i].core);
        }
}

/* As daemon/reload.c: limits, semaphores, then pools and who serves what. */
static void apply_config(World *w)
{
        core_set_limits(&w->core, &w->config.limits);
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++)
                w->semaphores[i]->size = w->config.sizes[i];
        serve(w);
        for (unsigned i = 0; i < SIM_HANDLERS; i++)
                if (!w->handlers[i]->pool)
                        w->seen[SIM_UNSERVED]++;
}

static void reload(World *w)
{
        uint64_t before[SIM_POOLS];

        for (unsigned i = 0; i < SIM_POOLS; i++)
                before[i] = w->pools[i].core->open;
        choose_config(w);
        apply_config(w);
        world_note(w, SIM_RELOAD, SIM_NOBODY, 0, 0);
        for (unsigned i = 0; i < SIM_POOLS; i++)
                if (before[i] != w->pools[i].core->open)
                        world_note(w, SIM_MOVED, SIM_NOBODY, (int64_t)before[i],
                                   (int64_t)w->pools[i].core->open);
}

/* --- life of a supervisor --- */

static void boot(World *w)
{
        CoreLimits none = { 0 };
        char name[8];

        core_init(&w->core, &none);
        for (unsigned i = 0; i < SIM_POOLS; i++) {
                (void)snprintf(name, sizeof(name), "p%u", i);
                w->pools[i].core = core_pool(&w->core, name);
        }
        for (unsigned i = 0; i < SIM_HANDLERS; i++) {
                (void)snprintf(name, sizeof(name), "h%u", i);
                w->handlers[i] = core_handler(&w->core, name);
        }
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++) {
                (void)snprintf(name, sizeof(name), "s%u", i);
                w->semaphores[i] = core_semaphore(&w->core, name);
        }
        storage_load(w);
        apply_config(w);
        core_resume(&w->core, w->now);
        w->core.journal.on = true;
        w->dispatching = true;
}

/* The store's list of jobs dies with the core that they are of. */
static void crash(World *w)
{
        w->crash = false;
        world_note(w, SIM_CRASH, SIM_NOBODY, (int64_t)w->core.open, w->store.working);
        audit(w);
        storage_crash(w);
        labour_crash(w);
        core_fini(&w->core);
        list_init(&w->store.kept);
        oracle_crashed(w);
        if (one_in(w, 4))
                choose_config(w);
        boot(w);
        oracle_restored(w);
        audit(w);
}

void world_init(World *w, uint64_t seed)
{
        w->seed = w->dice.state = seed;
        w->now = 1768472430000000;
        w->digest = 0xcbf29ce484222325u;
        (void)dice_u64(&w->dice);
        list_init(&w->live);
        storage_init(w);
        labour_init(w);
        choose_config(w);
        boot(w);
}

void world_fini(World *w)
{
        core_fini(&w->core);
        storage_fini(w);
        model_free_all(w);
}

/* --- settling --- */

static void tick(World *w)
{
        bool many;

        if (core_next_due(&w->core) > w->now)
                return;
        many = oracle_before_tick(w);
        core_tick(&w->core, w->now);
        oracle_listen(w);
        oracle_removals(w, many);
        w->seen[SIM_TICK]++;
}

static bool deliver(World *w)
{
        bool any = false;
        unsigned events;
        Job *job;

        while (!w->crash && (job = core_next_event(&w->core, &events))) {
                any = true;
                if (events & ~(unsigned)EVENT_CLAIMED)
                        clients_event(w, job, events & ~(unsigned)EVENT_CLAIMED);
                if (events & EVENT_CLAIMED)
                        labour_run(w, job);
                if (!w->kind && one_in(w, 200))
                        clients_cancel(w); /* a client is gone, and its attached job with it */
                w->crash |= !w->kind && one_in(w, 20000);
        }
        return any;
}

/* As supervisor_settle(), which may die anywhere. */
static void settle(World *w)
{
        unsigned turns = 0;
        bool again;

        tick(w);
        do {
                CHECK(w, NULL, turns++ < MAX_TURNS && "the supervisor settles, and never rests");
                labour_dispatch(w);
                w->crash |= !w->kind && one_in(w, 20000);
                if (w->crash)
                        return;
                again = storage_work(w);
                w->crash |= !w->kind && one_in(w, 20000);
                again |= deliver(w);
        } while (again && !w->crash);
}

/* --- what may happen --- */

static void pause_or_resume(World *w)
{
        CorePool *p = w->pools[dice_below(&w->dice, SIM_POOLS)].core;

        p->paused = !p->paused;
        world_note(w, p->paused ? SIM_PAUSE : SIM_RESUME, SIM_NOBODY, 0, 0);
}

static void drain_or_resume(World *w)
{
        w->dispatching = !w->dispatching;
        if (!w->dispatching)
                labour_recall_all(w);
        world_note(w, w->dispatching ? SIM_RESUME : SIM_DRAIN, SIM_NOBODY, 1, 0);
}

static void jump(World *w)
{
        w->now += (1 + dice_below(&w->dice, 60)) * USEC_PER_SEC;
        world_note(w, SIM_JUMP, SIM_NOBODY, 0, 0);
}

static void disturb(World *w)
{
        unsigned n = dice_below(&w->dice, 1000);

        if (n < 250)
                jump(w);
        else if (n < 450)
                pause_or_resume(w);
        else if (n < 550)
                drain_or_resume(w);
        else if (n < 750)
                w->store.outage = !w->store.outage;
        else if (n < 860)
                reload(w);
        else if (n < 880)
                labour_shut_down(w);
        else
                w->crash = n >= 960;
        if (!w->dispatching && one_in(w, 3))
                drain_or_resume(w);
        if (w->store.outage && one_in(w, 3))
                w->store.outage = false;
}

static void client(World *w)
{
        unsigned n = dice_below(&w->dice, 1000);

        if (n < 380)
                clients_submit(w, 1);
        else if (n < 440)
                clients_submit(w, 2 + dice_below(&w->dice, 5));
        else if (n < 490)
                clients_repeat(w);
        else if (n < 570)
                clients_cancel(w);
        else if (n < 700)
                clients_retry(w);
        else if (n < 780)
                clients_pin(w);
        else if (n < 920)
                clients_unpin(w);
        else
                clients_fetch(w);
}

static void happen(World *w)
{
        unsigned n = dice_below(&w->dice, 1000);

        if (n < 600) {
                labour_step(w);
        } else if (n < 830) {
                client(w);
        } else if (n < 980) {
                storage_thread(w);
        } else if (n < 990) {
                labour_echo(w);
        } else {
                disturb(w);
        }
        w->store.retry_due |= w->store.down && one_in(w, 20);
}

void world_step(World *w)
{
        w->step++;
        w->now += dice_below(&w->dice, 20) ? dice_below(&w->dice, 3000) : 40 * USEC_PER_MSEC;
        happen(w);
        oracle_listen(w);
        if (!w->crash && !one_in(w, 8))
                settle(w);
        if (w->step % SYNC_EVERY == 0)
                model_sync_all(w);
        if (w->crash)
                crash(w);
        else if (w->step % w->audit_every == 0)
                audit(w);
}

/* --- kindness --- */

static void release_all(World *w)
{
        Job *job;

        LIST_FOREACH(&w->core.all, job, all)
                if (job->calls && !job->fetching) {
                        job->calls = NULL;
                        core_shed(&w->core, job);
                }
}

/* Nothing moves by itself any more: time has to. */
static void wait_for_time(World *w)
{
        usec_t due = core_next_due(&w->core);

        if (due != USEC_INFINITY)
                w->now = MAX(w->now, due);
}

static void be_kind(World *w)
{
        w->kind = true;
        w->store.outage = false;
        w->dispatching = true;
        for (unsigned i = 0; i < SIM_POOLS; i++)
                w->pools[i].core->paused = false;
        choose_kind_config(w);
        apply_config(w);
        world_note(w, SIM_KINDNESS, SIM_NOBODY, (int64_t)w->core.open, 0);
}

/* One round: everybody does all that there is to do. */
static void kind_round(World *w)
{
        bool any = labour_finish(w);

        w->store.retry_due |= w->store.down;
        storage_thread(w);
        release_all(w);
        settle(w);
        any |= w->store.working || w->store.down;
        if (!any)
                wait_for_time(w);
}

void world_be_kind(World *w)
{
        be_kind(w);
        for (unsigned i = 0; w->core.open || !storage_is_idle(w); i++) {
                CHECK(w, NULL, i < KIND_ROUNDS && "all is well, and something is stuck");
                kind_round(w);
        }
        audit(w);
        w->kind = false;
        choose_config(w);
        apply_config(w);
}

void world_finish(World *w)
{
        world_be_kind(w);
        be_kind(w);
        w->core.limits.keep = w->core.limits.keep_max = 0;
        for (unsigned i = 0; !list_empty(&w->core.all) || w->store.working; i++) {
                CHECK(w, NULL, i < KIND_ROUNDS && "what has ended is not forgotten");
                w->now += USEC_PER_SEC;
                kind_round(w);
        }
        audit_empty(w);
}
