/* SPDX-License-Identifier: MIT */

#include "probe.h"

#include <unistd.h>

#include "ops/log.h"
#include "supervisor.h"

static Pool *find_pool(Supervisor *s)
{
        const char *name = s->settings ? s->settings->watchdog_pool : NULL;
        Pool *pool = name ? pools_find(&s->pools, slice_of(name)) : NULL;

        return pool && !pool->removed ? pool : NULL;
}

/* The one that serves the probe; NULL: the pool has none just now. */
static CoreHandler *find_handler(Supervisor *s, const Pool *pool)
{
        const char *name = pool->handlers ? pool->handlers[0] : NULL;
        CoreHandler *h = name ? core_find_handler(&s->core, slice_of(name)) : NULL;

        return h && h->pool == pool->core ? h : NULL;
}

static bool is_excused(const Pool *pool, const CoreHandler *handler)
{
        return !handler || pool->core->paused || !pool->bounds.min || handler->breaker.broken;
}

static void call_back(Supervisor *s, usec_t now)
{
        Job *job = s->announce.probe.job;

        if (job->cancel_asked)
                return;
        core_cancel(&s->core, job, "this probe is not needed any more", now);
        pools_cancel(&s->pools, job, false, now);
        s->dirty = true;
}

static void tell_full(Probe *p, const Pool *pool, int error)
{
        if (!p->full)
                log_notice("watchdog: pool %s can take no probe: %s; it is taken for alive",
                           pool->core->name,
                           error < 0 ? "there is no memory for it" : "the queue is full");
        p->full = true;
}

static void send_one(Supervisor *s, Pool *pool, CoreHandler *handler, usec_t now)
{
        Probe *p = &s->announce.probe;
        JobSpec spec = { .handler = handler,
                         .id = uuid_new(now),
                         .has = JOB_HAS_PRIORITY | JOB_HAS_MAX_ATTEMPTS | JOB_HAS_KEEP,
                         .priority = 1000,
                         .max_attempts = 1,
                         .keep = 0,
                         .args = pool->settings->builtin ? SLICE("{\"argv\":[\"/bin/true\"]}")
                                                         : SLICE("{}"),
                         .tags = SLICE("[\"watchdog\"]"),
                         .memory = true,
                         .uid = getuid(),
                         .gid = getgid() };
        bool duplicate;
        Uuid missing;
        int r = core_submit(&s->core, &spec, 1, now, &p->job, &duplicate, &missing);

        if (r) {
                p->job = NULL;
                tell_full(p, pool, r);
                return;
        }
        p->full = false;
        p->since = now;
        s->dirty = true;
}

void probe_look(Supervisor *s, bool want, usec_t now)
{
        Probe *p = &s->announce.probe;
        Pool *pool = find_pool(s);
        CoreHandler *handler = pool ? find_handler(s, pool) : NULL;
        bool running = s->lifecycle.phase == PHASE_RUNNING;

        if (p->job && (!running || !pool || p->job->pool != pool->core))
                call_back(s, now);
        if (!running || !pool || is_excused(pool, handler))
                p->since = now;
        else if (want && !p->job)
                send_one(s, pool, handler, now);
}

void probe_event(Supervisor *s, unsigned events)
{
        Probe *p = &s->announce.probe;

        if (events & EVENT_ENDED)
                p->job->pool->done--; /* people count their own jobs */
        if (events & (EVENT_ENDED | EVENT_REFUSED))
                p->job = NULL;
}
