/* SPDX-License-Identifier: MIT */

/* What changes: jobs that are there, and pools. */

#include <string.h>

#include "api/client.h"
#include "api/methods.h"
#include "api/pending.h"
#include "api/wait.h"
#include "api/watch.h"
#include "io.brood.h"
#include "ops/log.h"
#include "varlink/json.h"

void method_cancel(const Request *r)
{
        Job *job = request_job_to_change(r, IO_BROOD_CANCEL_IN_ID);
        bool force = varlink_bool(r->scan, request_field(r, IO_BROOD_CANCEL_IN_FORCE));

        if (!job)
                return;
        if (job_state_ended(job->state)) {
                api_error_state(r->call, job, job->state);
                return;
        }
        core_cancel(r->api->core, job, "cancelled on request", r->now);
        pools_cancel(r->api->pools, job, force, r->now);
        r->api->dirty = true;
        wait_cancelled(r, job);
}

void method_retry(const Request *r)
{
        Job *job = request_job_to_change(r, IO_BROOD_RETRY_IN_ID);

        if (!job || !request_may_submit(r, job->handler)) /* it is work anew */
                return;
        if (job_state_ended(job->state) && !request_within_quota(r, job))
                return;
        if (!core_retry(r->api->core, job, r->now)) {
                api_error_state(r->call, job, job->state);
                return;
        }
        r->api->dirty = true;
        wait_retried(r, job);
}

static void pause_pool(const Request *r, unsigned field, bool paused)
{
        Pool *pool = request_may_operate(r) ? request_pool(r, field) : NULL;

        if (!pool)
                return;
        pool->core->paused = paused;
        r->api->dirty = true;
        log_event(LOG_FIELDS(.pool = pool->core->name, .user = &r->client->who.uid), LEVEL_NOTICE,
                  "pool=%s: %s by uid=%u", pool->core->name, paused ? "paused" : "resumed",
                  r->client->who.uid);
        varlink_reply_empty(r->call);
}

void method_pause_pool(const Request *r)
{
        pause_pool(r, IO_BROOD_PAUSE_POOL_IN_POOL, true);
}

void method_resume_pool(const Request *r)
{
        pause_pool(r, IO_BROOD_RESUME_POOL_IN_POOL, false);
}

void method_scale_pool(const Request *r)
{
        int64_t min = varlink_int(r->scan, request_field(r, IO_BROOD_SCALE_POOL_IN_MIN_WORKERS));
        int64_t max = varlink_int(r->scan, request_field(r, IO_BROOD_SCALE_POOL_IN_MAX_WORKERS));
        Pool *pool;

        if (!request_may_operate(r))
                return;
        if (min < 0 || min > 10000 || max < min || max > 10000) {
                varlink_invalid_parameter(r->call,
                                          min < 0 || min > 10000 ? "min_workers" : "max_workers");
                return;
        }
        pool = request_pool(r, IO_BROOD_SCALE_POOL_IN_POOL);
        if (!pool)
                return;
        pool_scale(pool, (unsigned)min, (unsigned)max);
        log_event(LOG_FIELDS(.pool = pool->core->name, .user = &r->client->who.uid), LEVEL_NOTICE,
                  "pool=%s: scaled to %u to %u workers by uid=%u", pool->core->name,
                  pool->bounds.min, pool->bounds.max, r->client->who.uid);
        varlink_reply_empty(r->call);
}

void method_restart_pool(const Request *r)
{
        Pool *pool = request_may_operate(r) ? request_pool(r, IO_BROOD_RESTART_POOL_IN_POOL) : NULL;
        int e;

        if (!pool)
                return;
        e = pool->change == CHANGE_FORKER ? 0 : pool_change(pool, pool->settings);
        if (e < 0) {
                api_error_config(r->call, pool->settings->file, 0, strerror(-e));
                return;
        }
        log_event(LOG_FIELDS(.pool = pool->core->name, .user = &r->client->who.uid), LEVEL_NOTICE,
                  "pool=%s: restart asked for by uid=%u", pool->core->name, r->client->who.uid);
        pending_add(r->call, &pool->restart_calls);
}

void api_pool_gone(Api *api, Pool *pool)
{
        VarlinkCall *call;

        watch_pool_gone(api, pool);
        while ((call = pending_take(&pool->restart_calls)))
                api_error_string(call, "io.brood.NoSuchPool", "pool", slice_of(pool->core->name));
}

void api_pool_changed(Api *api, Pool *pool)
{
        VarlinkCall *call;

        if (pool->change != CHANGE_NONE)
                return;
        while ((call = pending_take(&pool->restart_calls))) {
                if (pool->change_error)
                        api_error_config(call, pool->settings->file, pool->settings->source_line,
                                         pool->change_error);
                else
                        varlink_reply_empty(call);
        }
}
