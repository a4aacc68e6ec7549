/* SPDX-License-Identifier: MIT */

/* One timer, and that only while something is due: STATUS is looked at after the first turn of the
 * loop that follows a second of rest, so that a daemon with nothing to do sleeps. */

#include "announce.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/warnings.h"
#include "ops/log.h"
#include "ops/status_line.h"
#include "store/store.h"
#include "supervisor.h"

#define STATUS_INTERVAL USEC_PER_SEC
#define EXTEND_INTERVAL USEC_PER_SEC
#define EXTEND_TIME     (10 * USEC_PER_SEC) /* that is asked for each time */
#define RESTORE_TIME    (60 * USEC_PER_SEC) /* the same of the store: one step may be long */
#define STOP_MARGIN     (10 * USEC_PER_SEC) /* after StopTimeout=, to end everything by force */
#define OWED_INTERVAL   (USEC_PER_SEC / 4)  /* what was not taken is offered again */
#define START_MARGIN    (30 * USEC_PER_SEC) /* beyond the time that failing starts take */

enum { RESTLESS_DEATHS = 20 }; /* of a pool's workers; it is not waited for any more */

/* --- what there is to say --- */

/* Of workers and jobs the probe is none that people ask for. */
static void leave_out_probe(StatusFacts *f, const Probe *p)
{
        const Slot *slot = p->job ? p->job->slot : NULL;

        if (!p->job || !p->job->listed)
                return;
        f->queued -= p->job->state == JOB_QUEUED;
        f->running -= p->job->state == JOB_RUNNING;
        f->busy -= slot && slot->count == 1 && slot->worker->n_busy == 1 && f->busy;
}

static StatusFacts collect(const Supervisor *s)
{
        const Announce *a = &s->announce;
        StatusFacts f = { .state = a->reloading ? "reloading" : lifecycle_state(s),
                          .detail = s->lifecycle.why,
                          .queued = s->core.count[JOB_QUEUED],
                          .running = s->core.count[JOB_RUNNING],
                          .store_error = s->store ? store_error(s->store) : NULL,
                          .refused = a->refused[0] ? a->refused : NULL };
        const CorePool *core;
        const Pool *pool;

        if (s->lifecycle.phase == PHASE_RUNNING && !a->ready)
                f.state = "starting";
        LIST_FOREACH(&s->pools.pools, pool, link) {
                PoolCount n = pool_count(pool);

                f.workers += n.workers;
                f.busy += n.busy;
                if (pool->removed)
                        continue;
                f.pools++;
                f.serving += !pool->breaker.open && !pool->core->paused &&
                             pool_can_serve(pool);
        }
        LIST_FOREACH(&s->core.pools, core, link)
                f.done += core->done;
        leave_out_probe(&f, &a->probe);
        return f;
}

static void remark(void *line, WarningKind kind, const char *subject, const char *message)
{
        status_line_add(line, "%s", message);
}

static void write_status(const Supervisor *s, char *to, size_t size)
{
        StatusFacts facts = collect(s);
        StatusLine line;
        const Warnings remarks = { remark, &line };
        const CoreHandler *h;
        const Pool *pool;
        usec_t now = clock_steady();

        if (s->announce.failure[0]) {
                (void)snprintf(to, size, "%s", s->announce.failure);
                return;
        }
        status_line_begin(&line, to, size, &facts);
        if (s->lifecycle.phase != PHASE_RUNNING)
                return;
        LIST_FOREACH(&s->pools.pools, pool, link)
                warnings_of_pool(&remarks, pool, now);
        LIST_FOREACH(&s->core.handlers, h, link)
                warnings_of_handler(&remarks, h, now);
}

static void say(Supervisor *s, void (*what)(Service *service, const char *status))
{
        char status[SERVICE_STATUS_MAX];

        if (!service_is_on(&s->announce.service))
                return;
        write_status(s, status, sizeof(status));
        what(&s->announce.service, status);
        if (what != service_status)
                s->announce.status_due = clock_steady() + STATUS_INTERVAL;
}

/* --- READY --- */

/* For how long the pools of the config may take until each has its minimum or an open breaker. */
static usec_t patience(const Supervisor *s)
{
        const Settings *settings = s->settings ? s->settings : s->candidate;
        usec_t longest = 0;

        for (unsigned i = 0; settings && i < settings->n_pools; i++) {
                usec_t one = settings->pools[i].start_timeout;

                if (one < USEC_INFINITY / (BREAKER_AFTER + 1)) /* for ever is left to others */
                        longest = MAX(longest, one * (BREAKER_AFTER + 1));
        }
        return longest + START_MARGIN;
}

static bool is_waited_for(const Pool *pool)
{
        return !pool->removed && !pool->core->paused && !pool->breaker.open &&
               pool->deaths < RESTLESS_DEATHS && !pool_has_minimum(pool);
}

static bool may_be_ready(const Supervisor *s, usec_t now)
{
        const Pool *pool;

        if (!s->listening || s->lifecycle.phase < PHASE_RUNNING ||
            s->lifecycle.phase >= PHASE_FINISH)
                return false;
        if (now >= usec_add(s->announce.began, patience(s)))
                return true;
        LIST_FOREACH(&s->pools.pools, pool, link)
                if (is_waited_for(pool))
                        return false;
        return true;
}

static void become_ready(Supervisor *s, usec_t now)
{
        s->announce.ready = true;
        s->announce.watchdog.due = 0; /* the first sign of life goes along */
        s->announce.quiet = 0;
        say(s, service_ready);
}

/* --- more time --- */

/* Until when more time may be asked for, and up to when at the most; 0: nothing takes time.
 *
 * What hangs gets no more of it, the less so as the service manager counts more time for the
 * watchdog too. */
static usec_t extend_until(const Supervisor *s, usec_t *ret_limit)
{
        const Announce *a = &s->announce;
        usec_t end = 0;

        if (a->watchdog.silent)
                return 0;
        if (s->lifecycle.phase >= PHASE_FINISH ||
            (s->lifecycle.phase == PHASE_DRAINING &&
             (pools_running(&s->pools) || !store_is_idle(s->store)))) {
                end = s->settings ? usec_add(a->began, s->settings->stop_timeout) : 0;
                *ret_limit = usec_add(end, STOP_MARGIN);
        } else if (!a->ready) {
                end = *ret_limit = usec_add(a->began, patience(s));
        }
        return end;
}

/* Returns when to look again. */
static usec_t extend(Supervisor *s, usec_t now)
{
        Announce *a = &s->announce;
        usec_t limit = 0, end = extend_until(s, &limit), due = a->extended + EXTEND_INTERVAL;

        if (now >= end)
                return USEC_INFINITY;
        if (now < due)
                return due;
        a->extended = now;
        service_extend(&a->service, MIN(EXTEND_TIME, limit - now));
        return now + EXTEND_INTERVAL;
}

void announce_busy(Supervisor *s)
{
        Announce *a = &s->announce;
        usec_t now;

        if (!service_is_on(&a->service))
                return;
        now = clock_steady();
        if (now < a->extended + EXTEND_INTERVAL)
                return;
        a->extended = now;
        service_extend(&a->service, RESTORE_TIME);
        service_status(&a->service, "Starting: reading the store");
}

/* --- signs of life --- */

static void tell_silence(Announce *a, WatchdogVerdict v, const WatchdogFacts *f, usec_t now)
{
        char words[256];

        if (v == WATCHDOG_ALIVE && a->watchdog.silent)
                log_notice("watchdog: that is over");
        else if (v != WATCHDOG_ALIVE && !a->watchdog.silent)
                log_error("watchdog: %s; the service manager is told nothing more until that is "
                          "over",
                          watchdog_words(v, f, now, words, sizeof(words)));
        a->watchdog.silent = v != WATCHDOG_ALIVE;
}

static void tell_late(const Watchdog *w, usec_t now)
{
        usec_t late = watchdog_late(w, now);

        if (late)
                log_warning("watchdog: the loop stood still for %llu ms",
                            (unsigned long long)(late / USEC_PER_MSEC));
}

/* Returns when to look again. */
static usec_t watch(Supervisor *s, usec_t now)
{
        Announce *a = &s->announce;
        WatchdogFacts f;
        WatchdogVerdict v;

        if (!a->watchdog.interval || !a->ready)
                return USEC_INFINITY;
        if (now < a->watchdog.due)
                return a->watchdog.due;
        tell_late(&a->watchdog, now);
        probe_look(s, false, now);
        f = (WatchdogFacts){ .storage_since = store_busy_since(s->store),
                             .storage_fails = store_error(s->store) != NULL,
                             .probe_since = probe_since(&a->probe),
                             .pool = a->probe.job ? a->probe.job->pool->name : "" };
        v = watchdog_look(&a->watchdog, &f, now);
        tell_silence(a, v, &f, now);
        if (v == WATCHDOG_ALIVE) {
                service_ping(&a->service);
                probe_look(s, true, now);
        }
        return a->watchdog.due;
}

/* --- turns --- */

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        ((Supervisor *)context)->announce.armed = 0; /* the loop settles after every turn */
}

static void arm(Announce *a, usec_t when, usec_t now)
{
        usec_t left = when > now ? when - now : 0;
        struct timeval t = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };

        if (when == USEC_INFINITY || (a->armed && a->armed <= when))
                return;
        a->armed = when;
        (void)evtimer_add(a->timer, &t);
}

/* Says what is due. */
static void speak(Supervisor *s, usec_t now)
{
        Announce *a = &s->announce;
        usec_t next = MIN(extend(s, now), watch(s, now));

        if (now >= a->status_due) {
                say(s, service_status);
                a->status_due = now + STATUS_INTERVAL;
        } else {
                next = MIN(next, a->status_due); /* something has changed, perhaps */
        }
        if (service_flush(&a->service))
                next = MIN(next, now + OWED_INTERVAL);
        a->quiet = MIN(next, a->status_due);
        arm(a, next, now);
}

void announce_settled(Supervisor *s, usec_t now)
{
        Announce *a = &s->announce;

        if (!a->timer)
                return;
        if (!a->ready && may_be_ready(s, now))
                become_ready(s, now);
        if (now >= a->quiet)
                speak(s, now);
        else
                arm(a, a->quiet, now);
}

/* --- events --- */

void announce_failed(Supervisor *s, int error, const char *why)
{
        Announce *a = &s->announce;

        (void)snprintf(a->failure, sizeof(a->failure), "%s", why);
        service_failed(&a->service, error, a->failure);
}

void announce_reload(Supervisor *s)
{
        Announce *a = &s->announce;

        a->reloading = true;
        a->refused[0] = '\0';
        if (a->ready)
                say(s, service_reloading);
}

static void write_error(char *to, size_t size, const SettingsError *error)
{
        if (error->line)
                (void)snprintf(to, size, "%.400s:%d: %.500s", error->file, error->line,
                               error->message);
        else
                (void)snprintf(to, size, "%.400s: %.500s", error->file, error->message);
}

void announce_reloaded(Supervisor *s, const SettingsError *error)
{
        Announce *a = &s->announce;
        char why[SERVICE_STATUS_MAX];

        if (error)
                write_error(why, sizeof(why), error);
        if (s->lifecycle.phase == PHASE_STARTING) {
                if (error)
                        announce_failed(s, 0, why);
                return;
        }
        a->reloading = false;
        if (error)
                memcpy(a->refused, why, sizeof(why));
        if (a->ready && s->lifecycle.phase < PHASE_FINISH)
                say(s, service_ready);
}

/* What takes time from now on is another thing. */
static void begin_again(Announce *a)
{
        a->began = clock_steady();
        a->extended = a->quiet = 0;
}

void announce_draining(Supervisor *s)
{
        if (s->announce.ready) /* else it is the start that takes time */
                begin_again(&s->announce);
        s->announce.quiet = 0;
        probe_look(s, false, clock_steady());
}

void announce_stopping(Supervisor *s)
{
        begin_again(&s->announce);
        probe_look(s, false, clock_steady()); /* nobody waits for that one */
        say(s, service_stopping);
}

/* --- life --- */

void announce_init(Supervisor *s)
{
        Announce *a = &s->announce;

        service_init(&a->service);
        a->watchdog.interval = a->service.watchdog;
        a->began = a->extended = clock_steady();
}

int announce_loop(Supervisor *s)
{
        Announce *a = &s->announce;

        if (!service_is_on(&a->service))
                return 0;
        a->timer = evtimer_new(s->base, on_timer, s);
        return a->timer ? 0 : -ENOMEM;
}

void announce_fini(Supervisor *s)
{
        if (s->announce.timer)
                event_free(s->announce.timer);
        service_fini(&s->announce.service);
}
