/* SPDX-License-Identifier: MIT */

/* A change of a pool (its start, RestartPool, a reload that touches what its workers are made from)
 * goes in two steps: a new fork server starts and loads the module; only when it is ready, and
 * whoever asked agrees, is it made the pool's. From then on the workers of the old epoch serve on
 * until workers of the new one are ready to take over from each. */

#include "pool/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/entropy.h"
#include "pool/fields.h"
#include "pool/forker.h"
#include "pool/limits.h"
#include "pool/obituary.h"
#include "pool/pools.h"
#include "pool/show.h"
#include "process/preparation.h"

DEFINE_CLEANUP(Pool, pool_free);

void pool_touch(Pool *pool)
{
        pool->check = true;
        pool->pools->dirty = true;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        pool_touch(context);
}

/* The earliest that is asked for counts, until it is filled again. */
static void wake_at(Pool *pool, usec_t when, usec_t now)
{
        usec_t left = when > now ? when - now : 0;
        struct timeval t = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };

        if (when >= pool->wake)
                return;
        pool->wake = when;
        (void)event_add(&pool->timer, &t);
}

static JobPolicy policy_of(const PoolSettings *s)
{
        return (JobPolicy){ .timeout = s->timeout,
                            .backoff = s->backoff,
                            .backoff_max = s->backoff_max,
                            .max_attempts = (uint32_t)s->max_attempts,
                            .poison_deaths = (uint32_t)s->poison_deaths,
                            .breaker_deaths = (uint32_t)s->breaker_deaths,
                            .max_queued = s->max_queued,
                            .priority = (int)s->priority };
}

void pool_scale(Pool *pool, unsigned min_workers, unsigned max_workers)
{
        pool->bounds = pool_bounds((PoolScaling)pool->settings->scaling, min_workers, max_workers);
        pool_touch(pool);
}

void pool_adopt(Pool *pool, PoolSettings *settings)
{
        Worker *w;

        pool->settings = settings;
        pool->core->policy = policy_of(settings);
        pool->spares = (unsigned)settings->spare_workers;
        pool->removed = false;
        limits_apply(pool);
        LIST_FOREACH(&pool->workers, w, in_pool)
                wear_init(&w->wear, settings);
        pool_scale(pool, (unsigned)settings->min_workers, (unsigned)settings->max_workers);
}

int pool_new(Pool **ret, Pools *pools, PoolSettings *settings)
{
        AUTO(pool_free) Pool *pool = calloc(1, sizeof(*pool));

        if (!pool)
                return -ENOMEM;
        pool->pools = pools;
        pool->group = (Cgroup)GROUP_NONE;
        memset(pool->limits, 0xff, sizeof(pool->limits)); /* SETTING_UNSET */
        pool->wake = USEC_INFINITY;
        list_init(&pool->link);
        list_init(&pool->forkers);
        list_init(&pool->workers);
        list_init(&pool->idle);
        list_init(&pool->restart_calls);
        evtimer_assign(&pool->timer, pools->turn->base, on_timer, pool);
        pool->core = core_pool(pools->core, settings->name);
        if (!pool->core)
                return -ENOMEM;
        pool->core->owner = pool;
        group_make_pool(&pool->group, &pools->cgroups, settings->name);
        pool_adopt(pool, settings);
        list_append(&pools->pools, &pool->link);
        show_pool_came(pool);
        *ret = MOVE_PTR(pool);
        return 0;
}

void pool_free(Pool *pool)
{
        Forker *f, *next;

        list_remove(&pool->link);
        show_pool_gone(pool);
        if (pool->core && pool->core->owner == pool)
                pool->core->owner = NULL;
        (void)event_del(&pool->timer);
        LIST_FOREACH_SAFE(&pool->forkers, f, next, link)
                forker_free(f);
        group_end(&pool->group, &pool->pools->cgroups);
        texts_free(pool->handlers);
        free(pool->change_error);
        free(pool->seats);
        free(pool);
}

/* --- changes --- */

int pool_change(Pool *pool, PoolSettings *settings)
{
        int r;

        free(pool->change_error);
        pool->change_error = NULL;
        pool_abandon(pool);
        pool->next_settings = settings;
        pool->next_killed = 0;
        r = forker_start(pool, settings, &pool->next_forker);
        if (r == 0)
                pool->change = CHANGE_FORKER;
        return r;
}

void pool_abandon(Pool *pool)
{
        if (pool->next_forker)
                forker_retire(pool->next_forker);
        pool->next_forker = NULL;
        if (pool->change == CHANGE_FORKER)
                pool->change = CHANGE_NONE;
}

/* The lines of what a module offers, as a list. */
static char **split_lines(const char *lines)
{
        size_t n = 0;
        char **list;

        for (const char *p = lines; p && *p; p++)
                n += *p == '\n';
        list = calloc(n + 1, sizeof(*list));
        for (size_t i = 0; list && i < n; i++) {
                size_t length = strcspn(lines, "\n");

                list[i] = strndup(lines, length);
                if (!list[i]) {
                        texts_free(list);
                        return NULL;
                }
                lines += length + 1;
        }
        return list;
}

/* What it serves from now on: what Handlers= names or, without it, all that the module offers. */
static void take_handlers(Pool *pool, const char *offered)
{
        char **list = pool->settings->handlers ? texts_copy(pool->settings->handlers)
                                               : split_lines(offered);

        if (!list) {
                log_event(LOG_FIELDS(.pool = pool->core->name), LEVEL_ERROR,
                          "pool=%s: no memory for the names of its handlers", pool->core->name);
                return;
        }
        texts_free(pool->handlers);
        pool->handlers = list;
}

int pool_bind_handlers(Pool *pool)
{
        for (char **name = pool->handlers; name && *name; name++) {
                CoreHandler *h = core_handler(pool->pools->core, *name);

                if (!h)
                        return -ENOMEM;
                if (h->home != pool->core) { /* workers from before do not know it */
                        h->home = pool->core;
                        h->since = pool->epoch;
                }
                core_bind_handler(pool->pools->core, h, pool->core);
        }
        return 0;
}

static void retire_spares(Pool *pool)
{
        Worker *w, *next;
        usec_t now = clock_steady();

        LIST_FOREACH_SAFE(&pool->workers, w, next, in_pool)
                if (w->epoch != pool->epoch && w->state != WORKER_ACTIVE)
                        worker_leave(w, END_RETIRED, false, now);
}

void pool_commit(Pool *pool, PoolSettings *settings)
{
        Forker *old = pool->forker;

        ASSERT(pool->next_forker && pool->next_forker->ready);
        pool->forker = MOVE_PTR(pool->next_forker);
        pool->change = CHANGE_WORKERS;
        pool->epoch++;
        for (unsigned i = 0; i < pool->n_seats; i++) {
                pool->seats[i].worker = NULL;
                pool->seats[i].restart = (SeatRestart){ 0 };
        }
        pool->breaker = (Breaker){ 0 };
        pool_adopt(pool, settings);
        take_handlers(pool, pool->forker->handlers);
        if (pool_bind_handlers(pool) < 0)
                log_event(LOG_FIELDS(.pool = pool->core->name), LEVEL_ERROR,
                          "pool=%s: no memory for its handlers", pool->core->name);
        retire_spares(pool);
        if (old)
                forker_retire(old);
}

void pool_forker_ready(Pool *pool, Forker *forker)
{
        if (forker == pool->forker) {
                pool->forker_restart.failed_starts = 0;
                pool_touch(pool);
        } else if (forker == pool->next_forker) {
                pool->pools->forker_decided(pool->pools, pool);
        }
}

void pool_forker_failed(Pool *pool, Forker *forker, const char *why)
{
        const LogFields fields = pool_fields(pool, MESSAGE_FORK_SERVER_FAILED);

        log_event(&fields, LEVEL_ERROR, "pool=%s: fork server pid=%d can not serve: %s",
                  pool->core->name, (int)forker->pid, why);
        free(pool->change_error);
        pool->change_error = strdup(why);
        if (forker == pool->forker)
                (void)snprintf(pool->start_error, sizeof(pool->start_error),
                               "the fork server can not serve: %s", why);
        if (forker != pool->next_forker)
                return;
        pool->next_forker = NULL;
        pool->change = CHANGE_NONE;
        pool->pools->forker_decided(pool->pools, pool);
}

/* Somebody has killed the one that was starting: that says nothing of the config. */
static bool start_another(Pool *pool)
{
        enum { MAX_KILLED = 5 };

        return ++pool->next_killed < MAX_KILLED &&
               forker_start(pool, pool->next_settings, &pool->next_forker) == 0;
}

/* One that was to replace another. */
static void forker_failed_again(Pool *pool, usec_t now)
{
        if (!pool->start_error[0])
                (void)snprintf(pool->start_error, sizeof(pool->start_error),
                               "the fork server died while it loaded the module");
        restart_failed_start(&pool->forker_restart, &pool->breaker, now, entropy_u64());
}

void pool_forker_gone(Pool *pool, Forker *forker)
{
        usec_t now = clock_steady();

        if (forker == pool->next_forker && !(forker->killed && start_another(pool)))
                pool_forker_failed(pool, forker, "it died while it loaded the module");
        if (forker == pool->forker) {
                pool->forker = NULL;
                if (forker->ready)
                        restart_died(&pool->forker_restart, now);
                else
                        forker_failed_again(pool, now);
        }
        forker_free(forker);
        pool_touch(pool);
}

/* --- seats --- */

static int have_seats(Pool *pool, unsigned n)
{
        Seat *seats;

        if (n <= pool->n_seats)
                return 0;
        seats = realloc(pool->seats, n * sizeof(*seats));
        if (!seats)
                return -ENOMEM;
        memset(seats + pool->n_seats, 0, (n - pool->n_seats) * sizeof(*seats));
        pool->seats = seats;
        pool->n_seats = n;
        return 0;
}

/* Is it there only until another one has taken its place? */
static bool is_old(const Pool *pool, const Worker *w)
{
        return w->epoch != pool->epoch || w->wear.outgoing;
}

static PoolCensus census(const Pool *pool)
{
        PoolCensus c = { .min = pool->aim.target, .spares = pool->spares,
                         .breaker_open = pool->breaker.open };
        const Worker *w;

        LIST_FOREACH(&pool->workers, w, in_pool)
                if (!is_old(pool, w)) {
                        c.active += w->state == WORKER_ACTIVE;
                        c.spare += w->state == WORKER_SPARE;
                        c.starting += w->state == WORKER_STARTING;
                }
        return c;
}

static void promote(Pool *pool, unsigned n)
{
        Worker *w;

        LIST_FOREACH(&pool->workers, w, in_pool) {
                if (!n)
                        return;
                if (w->epoch == pool->epoch && w->state == WORKER_SPARE) {
                        worker_promote(w);
                        n--;
                }
        }
}

/* Has it had nothing to do for IdleTimeout=? */
static bool is_idle_long(const Pool *pool, const Worker *w, usec_t now)
{
        return w->state == WORKER_ACTIVE && !worker_busy(w) &&
               usec_add(w->idle_since, pool->settings->idle_timeout) <= now;
}

static PoolNeed need(const Pool *pool, usec_t now)
{
        PoolNeed n = { .bounds = pool->bounds,
                       .in_steps = pool->settings->scaling == SCALING_DYNAMIC,
                       .waiting = pool->waiting,
                       .slots = (unsigned)pool->settings->slots };
        const Worker *w;

        LIST_FOREACH(&pool->workers, w, in_pool) {
                n.active += w->state == WORKER_ACTIVE;
                n.starting += w->state == WORKER_STARTING;
                n.idle_long += is_idle_long(pool, w, now);
        }
        return n;
}

static void aim(Pool *pool, usec_t now)
{
        const PoolNeed n = need(pool, now);
        usec_t again = pool_aim(&pool->aim, &n, now);

        if (again != USEC_INFINITY)
                wake_at(pool, again, now);
}

/* Can it have more workers, or fewer, than it has to have? */
static bool is_elastic(const Pool *pool)
{
        return pool->bounds.max > pool->bounds.min;
}

void pool_note_waiting(Pool *pool, uint64_t waiting, usec_t now)
{
        unsigned before = pool->aim.target;

        if (!is_elastic(pool) || (!waiting && !pool->waiting))
                return;
        pool->waiting = waiting;
        aim(pool, now);
        if (pool->aim.target != before)
                pool_touch(pool);
}

/* When the next of those that idle will have done so for too long. Who has a job now can not be
 * that before the whole time has passed. */
static void wake_for_idle(Pool *pool, usec_t now)
{
        usec_t when = usec_add(now, pool->settings->idle_timeout);
        const Worker *w;

        if (!is_elastic(pool) || pool->aim.target <= pool->bounds.min)
                return;
        LIST_FOREACH(&pool->workers, w, in_pool)
                if (w->state == WORKER_ACTIVE && !worker_busy(w) && !is_idle_long(pool, w, now))
                        when = MIN(when, usec_add(w->idle_since, pool->settings->idle_timeout));
        if (when != USEC_INFINITY)
                wake_at(pool, when, now);
}

/* Of those that are too many, who has idled for long goes first. Returns how many have gone. */
static unsigned retire_idle(Pool *pool, unsigned n, usec_t now)
{
        unsigned gone = 0;
        Worker *w, *next;

        LIST_FOREACH_SAFE(&pool->workers, w, next, in_pool)
                if (gone < n && !is_old(pool, w) && is_idle_long(pool, w, now)) {
                        worker_leave(w, END_RETIRED, false, now);
                        gone++;
                }
        return gone;
}

/* Those in the highest seats go first. */
static void retire(Pool *pool, WorkerState state, unsigned n, usec_t now)
{
        for (unsigned i = pool->n_seats; i-- && n;) {
                Worker *w = pool->seats[i].worker;

                if (w && w->state == state) {
                        worker_leave(w, END_RETIRED, false, now);
                        n--;
                }
        }
}

static void start(Pool *pool, unsigned n, usec_t now)
{
        unsigned wanted = pool->bounds.max + pool->spares;
        usec_t earliest = USEC_INFINITY;

        if (have_seats(pool, wanted) < 0)
                return;
        for (unsigned i = 0; i < wanted && n; i++) {
                Seat *seat = &pool->seats[i];
                int r;

                if (seat->worker)
                        continue;
                if (seat->restart.not_before > now) {
                        earliest = MIN(earliest, seat->restart.not_before);
                        continue;
                }
                r = worker_start(pool, i, ++seat->generation, &seat->worker);
                if (r == -EAGAIN)
                        break; /* the fork server has enough to do; when it has answered we go on */
                if (r < 0) {
                        log_event(LOG_FIELDS(.pool = pool->core->name), LEVEL_WARNING,
                                  "pool=%s: can not start a worker: %s", pool->core->name,
                                  strerror(-r));
                        (void)snprintf(pool->start_error, sizeof(pool->start_error), "%s",
                                       strerror(-r));
                        restart_failed_start(&seat->restart, &pool->breaker, now, entropy_u64());
                        earliest = MIN(earliest, seat->restart.not_before);
                        continue;
                }
                n--;
        }
        if (earliest != USEC_INFINITY)
                wake_at(pool, earliest, now);
}

/* As new workers get ready, as many old ones go. */
static void hand_over(Pool *pool, unsigned new_active, usec_t now)
{
        unsigned old = 0,
                 keep = pool->aim.target > new_active ? pool->aim.target - new_active : 0;
        Worker *w, *next;

        LIST_FOREACH_SAFE(&pool->workers, w, next, in_pool)
                if (is_old(pool, w) && w->state == WORKER_ACTIVE && ++old > keep) {
                        if (w->wear.outgoing)
                                recycle_leave(w, now);
                        else
                                worker_leave(w, END_RETIRED, false, now);
                }
        if (pool->change == CHANGE_WORKERS && keep == 0)
                pool->change = CHANGE_NONE;
}

static void start_forker(Pool *pool, usec_t now)
{
        if (pool->forker_restart.not_before > now) {
                wake_at(pool, pool->forker_restart.not_before, now);
                return;
        }
        log_event(LOG_FIELDS(.pool = pool->core->name), LEVEL_NOTICE,
                  "pool=%s: starting a new fork server", pool->core->name);
        if (forker_start(pool, pool->settings, &pool->forker) < 0) {
                restart_failed_start(&pool->forker_restart, &pool->breaker, now, entropy_u64());
                wake_at(pool, pool->forker_restart.not_before, now);
        }
}

static void leave_all(Pool *pool, usec_t now)
{
        Worker *w, *next;

        pool_abandon(pool);
        LIST_FOREACH_SAFE(&pool->workers, w, next, in_pool)
                worker_leave(w, END_RETIRED, false, now);
        if (pool->forker && !pool->forker->retired)
                forker_retire(pool->forker);
}

void pool_fill(Pool *pool, usec_t now)
{
        PoolCensus c;
        PoolWish wish;

        pool->check = false;
        pool->wake = USEC_INFINITY;
        if (pool->removed) {
                leave_all(pool, now);
                return;
        }
        if (!pool->pools->stopping)
                wake_at(pool, recycle_look(pool, now), now);
        aim(pool, now);
        c = census(pool);
        wish = pool_wish(&c);
        promote(pool, wish.promote);
        hand_over(pool, c.active + wish.promote, now);
        if (is_elastic(pool))
                wish.demote -= retire_idle(pool, wish.demote, now);
        retire(pool, WORKER_ACTIVE, wish.demote, now);
        retire(pool, WORKER_SPARE, wish.leave, now);
        if (pool->pools->stopping)
                return;
        wake_for_idle(pool, now);
        if (!pool->forker && pool->epoch && pool->change != CHANGE_FORKER)
                start_forker(pool, now);
        else if (pool->forker && pool->forker->ready && !pool->forker->retired && wish.start)
                start(pool, wish.start, now);
}

/* --- facts about workers --- */

void pool_worker_ready(Pool *pool, Worker *w, usec_t now)
{
        bool was_open = pool->breaker.open;

        if (w->seat < pool->n_seats)
                restart_ready(&pool->seats[w->seat].restart, &pool->breaker);
        pool->start_error[0] = '\0';
        if (was_open)
                log_event(LOG_FIELDS(.pool = pool->core->name, .id = MESSAGE_POOL_RECOVERED),
                          LEVEL_NOTICE, "pool=%s: a worker is ready again, the breaker closes",
                          pool->core->name);
        pool_touch(pool);
}

static bool asked_for(const Worker *w)
{
        return worker_was_asked(w) || w->end == END_SHUTDOWN;
}

static void note_start_error(Pool *pool, const Worker *w)
{
        if (w->pid)
                obituary_start_words(w, pool->start_error, sizeof(pool->start_error));
        else
                (void)snprintf(pool->start_error, sizeof(pool->start_error), "%s", w->end_detail);
}

/* What its death means for its seat. */
static void judge(Pool *pool, Worker *w, usec_t now)
{
        Seat *seat = &pool->seats[w->seat];
        bool was_open = pool->breaker.open;

        if (!asked_for(w)) {
                pool->deaths++;
                pool->deaths_by[obituary_cause(w)]++;
                deaths_note(&pool->pools->deaths, w, now);
        }
        if (seat->worker != w)
                return;
        seat->worker = NULL;
        if (asked_for(w))
                return;
        if (w->prepared || w->end == END_FORKER) {
                restart_died(&seat->restart, now);
        } else {
                note_start_error(pool, w);
                restart_failed_start(&seat->restart, &pool->breaker, now, entropy_u64());
        }
        if (pool->breaker.open && !was_open)
                log_event(LOG_FIELDS(.pool = pool->core->name, .id = MESSAGE_POOL_FAILED),
                          LEVEL_ERROR,
                          "pool=%s: %u workers in a row died before they were ready: the breaker "
                          "is open, one "
                          "at a time is tried",
                          pool->core->name, pool->breaker.failed_starts);
}

void pool_worker_over(Pool *pool, Worker *w, usec_t now)
{
        Forker *f = w->forker;

        obituary_find_culprit(w);
        if (w->pid)
                obituary_publish(w, now);
        for (unsigned i = 0; i < w->n_slots; i++)
                slot_bury(&w->slots[i], now);
        judge(pool, w, now);
        worker_free(w);
        if (f && --f->n_workers == 0 && f->retired)
                forker_retire(f);
        pool_touch(pool);
}

bool pool_is_empty(const Pool *pool)
{
        return list_empty(&pool->workers) && list_empty(&pool->forkers);
}

unsigned pool_ready_workers(const Pool *pool)
{
        const Worker *w;
        unsigned n = 0;

        LIST_FOREACH(&pool->workers, w, in_pool)
                n += w->state == WORKER_SPARE || w->state == WORKER_ACTIVE;
        return n;
}

bool pool_has_minimum(const Pool *pool)
{
        return pool_ready_workers(pool) >= pool->bounds.min;
}

bool pool_can_serve(const Pool *pool)
{
        return pool_ready_workers(pool) > 0 || (!pool->bounds.min && pool->bounds.max);
}

PoolCount pool_count(const Pool *pool)
{
        PoolCount n = { 0 };
        const Worker *w;

        LIST_FOREACH(&pool->workers, w, in_pool) {
                n.workers++;
                n.starting += w->state == WORKER_STARTING;
                n.spare += w->state == WORKER_SPARE;
                n.busy += w->state >= WORKER_ACTIVE && worker_busy(w);
                n.idle += w->state == WORKER_ACTIVE && !worker_busy(w);
                if (w->state != WORKER_ACTIVE)
                        continue;
                n.slots += w->n_slots;
                n.free_slots += w->n_slots - w->n_busy;
        }
        return n;
}

const char *pool_state(const Pool *pool)
{
        if (pool->removed || pool->pools->stopping || !pool->pools->dispatching)
                return "draining";
        if (pool->core->paused)
                return "paused";
        return pool->breaker.open ? "failed" : "running";
}
