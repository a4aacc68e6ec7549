/* SPDX-License-Identifier: MIT */

#include "lifecycle.h"

#include "api/pending.h"
#include "ops/log.h"
#include "pool/fields.h"
#include "store/store.h"
#include "supervisor.h"

void lifecycle_init(Lifecycle *l)
{
        *l = (Lifecycle){ .phase = PHASE_STARTING };
        list_init(&l->drain_calls);
}

const char *lifecycle_state(const Supervisor *s)
{
        switch (s->lifecycle.phase) {
        case PHASE_STARTING:
                return "starting";
        case PHASE_RUNNING:
                return s->candidate ? "reloading" : "running";
        case PHASE_DRAINING:
                return "draining";
        default:
                return "stopping";
        }
}

/* Jobs are handed out and taken, or not. */
static void open_doors(Supervisor *s, bool open)
{
        s->pools.dispatching = open;
        s->api.draining = !open;
        if (!open)
                pools_recall(&s->pools, clock_steady());
        s->dirty = true;
}

void lifecycle_run(Supervisor *s)
{
        s->lifecycle.phase = PHASE_RUNNING;
        core_resume(&s->core, clock_steady());
        open_doors(s, true);
        log_event(LOG_FIELDS(.id = MESSAGE_READY), LEVEL_NOTICE, "broodd %s is ready: %u pool%s",
                  BROOD_VERSION, s->settings->n_pools, PLURAL(s->settings->n_pools));
}

void lifecycle_drain(Supervisor *s)
{
        if (s->lifecycle.phase != PHASE_RUNNING)
                return;
        log_notice("draining: no new jobs");
        s->lifecycle.phase = PHASE_DRAINING;
        open_doors(s, false);
        announce_draining(s);
}

void lifecycle_resume(Supervisor *s)
{
        VarlinkCall *call;

        if (s->lifecycle.phase != PHASE_DRAINING)
                return;
        log_notice("resumed");
        s->lifecycle.phase = PHASE_RUNNING;
        open_doors(s, true);
        while ((call = pending_take(&s->lifecycle.drain_calls)))
                varlink_reply_empty(call); /* it was drained, or is no longer to be */
}

void lifecycle_stop(Supervisor *s, const char *why, bool force, int status)
{
        Lifecycle *l = &s->lifecycle;
        usec_t limit = s->settings ? s->settings->stop_timeout : USEC_INFINITY;
        struct timeval t = { (time_t)(limit / USEC_PER_SEC), (suseconds_t)(limit % USEC_PER_SEC) };

        s->dirty = true;
        if (l->phase >= PHASE_FINISH) {
                l->force = true;
                return;
        }
        log_event(LOG_FIELDS(.id = MESSAGE_STOPPING), LEVEL_NOTICE,
                  "stopping: %s; running jobs: %u", why, pools_running(&s->pools));
        l->phase = PHASE_FINISH;
        l->why = why;
        announce_stopping(s);
        l->force = force;
        l->status = status;
        open_doors(s, false);
        if (limit != USEC_INFINITY)
                (void)evtimer_add(s->stop_timer, &t);
}

/* The first of them by name: more would be no use to anybody. */
static void tell_one_dropped(const Job *job, uint64_t dropped)
{
        enum { NAMED = 100 };
        const LogFields fields = job_fields(job, MESSAGE_JOB_DROPPED);

        if (dropped <= NAMED)
                log_event(&fields, LEVEL_WARNING,
                          "job=%s handler=%s uid=%u is dropped: it was only in memory",
                          uuid_text(&job->id).text, job->handler->name, job->uid);
}

static void tell_dropped(Supervisor *s)
{
        uint64_t dropped = 0;
        Job *job;

        ending_tell(&s->ending, true, clock_steady());
        LIST_FOREACH(&s->core.all, job, all)
                if (job->memory && !job_state_ended(job->state))
                        tell_one_dropped(job, ++dropped);
        if (dropped)
                log_event(LOG_FIELDS(.id = MESSAGE_JOBS_DROPPED), LEVEL_WARNING,
                          "jobs that were only in memory and are dropped: %llu",
                          (unsigned long long)dropped);
        if (s->core.open > dropped)
                log_notice("jobs that are kept for the next start: %llu",
                           (unsigned long long)(s->core.open - dropped));
        api_tell_draining(&s->api);
}

/* Told to stop now, it does not wait for a fork server that hangs, either; once. Returns false:
 * what follows is heard later. */
static bool end_forkers(Supervisor *s)
{
        Lifecycle *l = &s->lifecycle;

        if (l->force && l->phase == PHASE_CLOSE && !l->forkers_killed) {
                l->forkers_killed = true;
                pools_kill_forkers(&s->pools);
        }
        return false;
}

/* How the last attempts ended is on the disk, or can not be got there. */
static bool is_written(const Supervisor *s)
{
        return store_is_idle(s->store) || (s->lifecycle.force && store_error(s->store));
}

bool lifecycle_step(Supervisor *s, usec_t now)
{
        Lifecycle *l = &s->lifecycle;
        VarlinkCall *call;

        switch (l->phase) {
        case PHASE_DRAINING:
                if (pools_running(&s->pools) || !store_is_idle(s->store))
                        return false;
                while ((call = pending_take(&l->drain_calls)))
                        varlink_reply_empty(call);
                return false;
        case PHASE_FINISH:
                if (pools_running(&s->pools) && !l->force)
                        return false;
                s->pools.stopping = true;
                pools_leave(&s->pools, l->force, now);
                listener_close(&s->listener); /* who comes now is answered by the next daemon */
                l->phase = PHASE_LEAVE;
                return true;
        case PHASE_LEAVE:
                if (l->force)
                        pools_leave(&s->pools, true, now);
                if (pools_workers(&s->pools) || !is_written(s))
                        return false;
                tell_dropped(s);
                pools_close(&s->pools);
                l->phase = PHASE_CLOSE;
                return true;
        case PHASE_CLOSE:
                if (pools_processes(&s->pools))
                        return end_forkers(s);
                l->phase = PHASE_OVER;
                return true;
        default:
                return false;
        }
}
