/* SPDX-License-Identifier: MIT */

#include "api/metrics.h"

#include <unistd.h>

#include "api/disk.h"
#include "api/methods.h"
#include "io.brood.h"
#include "ops/exposition.h"
#include "pool/obituary.h"
#include "process/proc.h"
#include "store/store.h"
#include "varlink/json.h"

#define FOREACH_POOL(api, p)    LIST_FOREACH(&(api)->pools->pools, p, link)
#define FOREACH_HANDLER(api, h) LIST_FOREACH(&(api)->core->handlers, h, link)

static void gauge(Exposition *e, const char *name, const char *help, uint64_t value)
{
        exposition_family(e, EXPOSITION_GAUGE, name, help);
        exposition_count(e, NO_LABELS, value);
}

static void counter(Exposition *e, const char *name, const char *help, uint64_t value)
{
        exposition_family(e, EXPOSITION_COUNTER, name, help);
        exposition_count(e, NO_LABELS, value);
}

/* --- pools --- */

static void write_jobs(Exposition *e, const Api *api)
{
        const Pool *p;

        exposition_family(e, EXPOSITION_GAUGE, "brood_jobs",
                          "Jobs that the daemon knows, by pool and state; those that have ended "
                          "are kept for a while.");
        FOREACH_POOL(api, p)
                for (int s = 0; s < JOB_N_STATES; s++)
                        exposition_count(e,
                                         LABELS({ "pool", p->core->name },
                                                { "state", job_state_name((JobState)s) }),
                                         p->core->count[s]);
}

static void write_worker_count(Exposition *e, const char *pool, const char *state, unsigned n)
{
        exposition_count(e, LABELS({ "pool", pool }, { "state", state }), n);
}

static void write_workers(Exposition *e, const Api *api)
{
        const Pool *p;

        exposition_family(e, EXPOSITION_GAUGE, "brood_workers", "Workers, by pool and state.");
        FOREACH_POOL(api, p) {
                PoolCount n = pool_count(p);

                write_worker_count(e, p->core->name, "starting", n.starting);
                write_worker_count(e, p->core->name, "spare", n.spare);
                write_worker_count(e, p->core->name, "idle", n.idle);
                write_worker_count(e, p->core->name, "busy", n.busy);
        }
        exposition_family(e, EXPOSITION_GAUGE, "brood_pool_min_workers",
                          "Workers that the pool is to have at the least.");
        FOREACH_POOL(api, p)
                exposition_count(e, LABELS({ "pool", p->core->name }), p->bounds.min);
}

static void write_pool_states(Exposition *e, const Api *api)
{
        const Pool *p;

        exposition_family(e, EXPOSITION_GAUGE, "brood_pool_paused",
                          "1: somebody has paused the pool.");
        FOREACH_POOL(api, p)
                exposition_count(e, LABELS({ "pool", p->core->name }), p->core->paused);
        exposition_family(e, EXPOSITION_GAUGE, "brood_pool_failed",
                          "1: the workers of the pool can not start.");
        FOREACH_POOL(api, p)
                exposition_count(e, LABELS({ "pool", p->core->name }), p->breaker.open);
}

static void write_deaths(Exposition *e, const Api *api)
{
        const Pool *p;

        exposition_family(e, EXPOSITION_COUNTER, "brood_worker_deaths",
                          "Workers that died and were not asked to, by pool and cause.");
        FOREACH_POOL(api, p)
                for (int c = 0; c < N_DEATH_CAUSES; c++)
                        exposition_count(e,
                                         LABELS({ "pool", p->core->name },
                                                { "cause", death_cause_name((DeathCause)c) }),
                                         p->deaths_by[c]);
}

/* --- handlers --- */

/* Of a handler that nobody serves the name of the pool is empty. */
static const char *pool_of(const CoreHandler *h)
{
        return h->pool ? h->pool->name : "";
}

static void write_submitted(Exposition *e, const Api *api)
{
        const CoreHandler *h;

        exposition_family(e, EXPOSITION_COUNTER, "brood_jobs_submitted",
                          "Jobs that were admitted, by pool and handler.");
        FOREACH_HANDLER(api, h)
                exposition_count(e, LABELS({ "pool", pool_of(h) }, { "handler", h->name }),
                                 h->figures.submitted);
}

static void write_ended(Exposition *e, const Api *api)
{
        const CoreHandler *h;

        exposition_family(e, EXPOSITION_COUNTER, "brood_jobs_ended",
                          "Jobs that have ended, by pool, handler and state.");
        FOREACH_HANDLER(api, h)
                for (int s = JOB_SUCCEEDED; s < JOB_N_STATES; s++)
                        exposition_count(e,
                                         LABELS({ "pool", pool_of(h) }, { "handler", h->name },
                                                { "state", job_state_name((JobState)s) }),
                                         h->figures.ended[s]);
}

static void write_attempts(Exposition *e, const Api *api)
{
        const CoreHandler *h;

        exposition_family(e, EXPOSITION_COUNTER, "brood_attempts",
                          "Attempts that have ended, by pool, handler and outcome.");
        FOREACH_HANDLER(api, h)
                for (int o = 0; o < OUTCOME_NONE; o++)
                        exposition_count(e,
                                         LABELS({ "pool", pool_of(h) }, { "handler", h->name },
                                                { "outcome", outcome_name((Outcome)o) }),
                                         h->figures.attempts[o]);
}

static void write_times(Exposition *e, const Api *api)
{
        const CoreHandler *h;

        exposition_family(e, EXPOSITION_HISTOGRAM, "brood_waiting_seconds",
                          "From when a job was ready until an attempt began, by pool and handler.");
        FOREACH_HANDLER(api, h)
                exposition_histogram(e, LABELS({ "pool", pool_of(h) }, { "handler", h->name }),
                                     &h->figures.waiting);
        exposition_family(e, EXPOSITION_HISTOGRAM, "brood_running_seconds",
                          "How long attempts took, by pool and handler.");
        FOREACH_HANDLER(api, h)
                exposition_histogram(e, LABELS({ "pool", pool_of(h) }, { "handler", h->name }),
                                     &h->figures.running);
}

static void write_slow(Exposition *e, const Api *api)
{
        const CoreHandler *h;

        exposition_family(e, EXPOSITION_COUNTER, "brood_slow_runs",
                          "Runs that lasted longer than SlowAfter=, by pool and handler.");
        FOREACH_HANDLER(api, h)
                exposition_count(e, LABELS({ "pool", pool_of(h) }, { "handler", h->name }),
                                 h->slow);
}

static void write_resting(Exposition *e, const Api *api)
{
        const CoreHandler *h;

        exposition_family(e, EXPOSITION_GAUGE, "brood_handler_resting",
                          "1: the jobs of the handler kill their workers, and it has a rest.");
        FOREACH_HANDLER(api, h)
                exposition_count(e, LABELS({ "pool", pool_of(h) }, { "handler", h->name }),
                                 h->breaker.broken > 0);
}

/* --- the daemon --- */

static void write_refusals(Exposition *e, const Api *api)
{
        exposition_family(e, EXPOSITION_COUNTER, "brood_refusals",
                          "Calls and connections that were refused, by reason.");
        for (unsigned i = 0; i < N_REFUSALS; i++)
                exposition_count(e, LABELS({ "reason", refusal_reason(i) }),
                                 api->refusals.counts[i]);
}

static void write_store(Exposition *e, const Api *api)
{
        StoreStatus s;
        Disk disk;

        store_status(api->store, &s);
        gauge(e, "brood_store_size_bytes", "Size of the database and its log.", s.bytes);
        gauge(e, "brood_store_failing", "1: the store fails, and durable jobs are refused.",
              store_error(api->store) != NULL);
        counter(e, "brood_store_failures", "Transactions of the store that failed.", s.failures);
        counter(e, "brood_store_writes", "Requests that the store has made durable.", s.writes);
        exposition_family(e, EXPOSITION_HISTOGRAM, "brood_store_commit_seconds",
                          "How long transactions of the store took.");
        exposition_histogram(e, NO_LABELS, &s.commit_times);
        if (!disk_look(api->lifecycle.state_directory, &disk))
                return;
        gauge(e, "brood_disk_free_bytes",
              "Room for the daemon on the file system of the state directory.", disk.free);
        gauge(e, "brood_disk_size_bytes", "Size of the file system of the state directory.",
              disk.size);
}

static void write_process(Exposition *e, const Api *api)
{
        ProcFigures self;

        proc_figures(getpid(), &self);
        gauge(e, "brood_resident_memory_bytes", "Resident memory of the daemon.",
              self.memory_bytes);
        exposition_family(e, EXPOSITION_COUNTER, "brood_cpu_seconds", "CPU time of the daemon.");
        exposition_usec(e, NO_LABELS, self.cpu_usec);
        gauge(e, "brood_queue_memory_bytes", "Memory accounted for jobs that have not ended.",
              api->core->bytes);
        exposition_family(e, EXPOSITION_HISTOGRAM, "brood_loop_turn_seconds",
                          "How long the loop was at work before it waited again.");
        exposition_histogram(e, NO_LABELS, api->lifecycle.turns);
}

static void write_daemon(Exposition *e, const Api *api)
{
        const char *state = api->lifecycle.state(api->lifecycle.context);

        exposition_family(e, EXPOSITION_GAUGE, "brood_build",
                          "1, with the version of brood and the state of the daemon.");
        exposition_count(e, LABELS({ "version", BROOD_VERSION }, { "state", state }), 1);
        exposition_family(e, EXPOSITION_GAUGE, "brood_start_time_seconds",
                          "When the daemon started, since the Unix epoch.");
        exposition_usec(e, NO_LABELS, api->started);
        gauge(e, "brood_connections", "Connections of clients.", api->n_clients);
        gauge(e, "brood_reload_refused", "1: the last reload was refused.",
              api->lifecycle.reload_refused(api->lifecycle.context) != NULL);
        counter(e, "brood_stale_answers",
                "Ends of attempts that came when the attempt was none any more.",
                api->core->stale);
}

void metrics_write(const Api *api, bool openmetrics, Buffer *out)
{
        static void (*const parts[])(Exposition *e, const Api *api) = {
                write_daemon,  write_jobs,     write_workers, write_pool_states, write_deaths,
                write_submitted, write_ended,  write_attempts, write_times,      write_slow,
                write_resting, write_refusals, write_store,    write_process,
        };
        Exposition e = { .out = out, .openmetrics = openmetrics };

        for (size_t i = 0; i < ELEMENTS(parts); i++)
                parts[i](&e, api);
        exposition_end(&e);
}

void method_metrics(const Request *r)
{
        const VarlinkNode *format = request_field(r, IO_BROOD_METRICS_IN_FORMAT);
        Buffer text = BUFFER_INIT, *b;

        metrics_write(r->api, !format->present || format->child == 0, &text);
        b = varlink_reply_begin(r->call);
        emit_string_member(b, "text", buffer_slice(&text));
        b->failed |= text.failed;
        varlink_reply_end(r->call, false);
        buffer_fini(&text);
}
