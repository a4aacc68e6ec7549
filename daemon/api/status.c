/* SPDX-License-Identifier: MIT */

/* Status: the daemon at a glance. */

#include <unistd.h>

#include "api/methods.h"
#include "api/warnings.h"
#include "pool/forker.h"
#include "process/proc.h"
#include "store/store.h"
#include "varlink/json.h"

static void write_pool(Buffer *b, const Pool *pool)
{
        PoolCount n = pool_count(pool);
        const CorePool *core = pool->core;

        emit_open(b, '{');
        emit_string_member(b, "name", slice_of(core->name));
        emit_key(b, "handlers");
        emit_open(b, '[');
        for (char **h = pool->handlers; h && *h; h++)
                emit_string(b, slice_of(*h));
        emit_close(b, ']');
        emit_string_member(b, "start_method",
                           slice_of(start_method_name(pool->settings->start_method)));
        emit_string_member(b, "concurrency",
                           slice_of(concurrency_name(pool->settings->concurrency)));
        emit_string_member(b, "state", slice_of(pool_state(pool)));
        emit_int_member(b, "workers", n.workers);
        emit_int_member(b, "idle", n.idle);
        emit_int_member(b, "busy", n.busy);
        emit_int_member(b, "starting", n.starting);
        emit_int_member(b, "spare", n.spare);
        emit_int_member(b, "queued", (int64_t)core->count[JOB_QUEUED]);
        emit_int_member(b, "scheduled", (int64_t)core->count[JOB_SCHEDULED]);
        emit_int_member(b, "blocked", (int64_t)core->count[JOB_BLOCKED]);
        emit_int_member(b, "done", (int64_t)core->done);
        emit_int_member(b, "deaths", (int64_t)pool->deaths);
        emit_string_member(b, "scaling", slice_of(scaling_name(pool->settings->scaling)));
        emit_int_member(b, "slots", (int64_t)pool->settings->slots);
        emit_int_member(b, "min_workers", pool->bounds.min);
        emit_int_member(b, "max_workers", pool->bounds.max);
        emit_int_member(b, "recycled", (int64_t)pool->recycled);
        if (pool->forker && pool->forker->about)
                emit_string_member(b, "about", slice_of(pool->forker->about));
        emit_close(b, '}');
}

static void write_warning(void *b, WarningKind kind, const char *subject, const char *message)
{
        emit_open(b, '{');
        emit_string_member(b, "kind", slice_of(warning_kind_name(kind)));
        if (subject)
                emit_string_member(b, "subject", slice_of(subject));
        emit_string_member(b, "message", slice_of(message));
        emit_close(b, '}');
}

static void write_warnings(Buffer *b, const Request *r)
{
        const Warnings w = { write_warning, b, r->client };

        emit_key(b, "warnings");
        emit_open(b, '[');
        warnings_of_all(&w, r->api, r->now);
        emit_close(b, ']');
}

static void write_death(Buffer *b, const Death *d)
{
        emit_open(b, '{');
        emit_int_member(b, "time_usec", (int64_t)d->at);
        emit_string_member(b, "worker", slice_of(d->worker));
        emit_int_member(b, "pid", d->pid);
        emit_string_member(b, "cause", slice_of(death_cause_name(d->cause)));
        emit_string_member(b, "message", slice_of(d->words));
        emit_close(b, '}');
}

static void write_deaths(Buffer *b, const Deaths *deaths)
{
        const Death *d;

        emit_key(b, "deaths");
        emit_open(b, '[');
        for (unsigned i = 0; (d = deaths_get(deaths, i)); i++)
                write_death(b, d);
        emit_close(b, ']');
}

void method_status(const Request *r)
{
        Buffer *b = varlink_reply_begin(r->call);
        const Pool *pool;
        StoreStatus store;
        ProcFigures self;

        proc_figures(getpid(), &self);
        store_status(r->api->store, &store);
        emit_string_member(b, "version", slice_of(BROOD_VERSION));
        emit_string_member(b, "state",
                           slice_of(r->api->lifecycle.state(r->api->lifecycle.context)));
        emit_int_member(b, "started_usec", (int64_t)r->api->started);
        emit_key(b, "pools");
        emit_open(b, '[');
        LIST_FOREACH(&r->api->pools->pools, pool, link)
                write_pool(b, pool);
        emit_close(b, ']');
        emit_key(b, "jobs");
        emit_open(b, '{');
        for (int s = 0; s < JOB_N_STATES; s++)
                emit_int_member(b, job_state_name((JobState)s), (int64_t)r->api->core->count[s]);
        emit_close(b, '}');
        emit_int_member(b, "store_bytes", (int64_t)store.bytes);
        emit_int_member(b, "memory_bytes", (int64_t)self.memory_bytes);
        write_warnings(b, r);
        write_deaths(b, &r->api->pools->deaths);
        emit_string_member(b, "scoreboard", slice_of(r->api->lifecycle.scoreboard));
        varlink_reply_end(r->call, false);
}
