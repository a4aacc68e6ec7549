/* SPDX-License-Identifier: MIT */

/* While we look, the worker may end, its job too, and the client may lose its rights: nothing is
 * kept but names, and at the end all is looked up again. */

#include "api/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client.h"
#include "api/job_json.h"
#include "io.brood.h"
#include "pool/inspector.h"
#include "varlink/json.h"

/* A call that waits for a look into a worker. */
typedef struct Asked {
        Api *api;
        VarlinkCall *call;
        Inspection *inspection;
        char worker[80];
        unsigned generation;
        bool by_job; /* the right to ask comes from that the worker runs only his */
} Asked;

/* --- which worker --- */

/* The latest of that name that lives; `generation`: only that one, 0: any. */
static Worker *find_worker(const Api *api, Slice name, unsigned generation)
{
        Worker *found = NULL, *w;
        const Pool *pool;

        LIST_FOREACH(&api->pools->pools, pool, link)
                LIST_FOREACH(&pool->workers, w, in_pool)
                        if (slice_is(name, w->name) &&
                            (generation ? w->generation == generation
                                        : !found || w->generation > found->generation))
                                found = w;
        return found;
}

/* Do all that it runs, and something, belong to the user? */
static bool runs_only_of(const Worker *w, uint32_t uid)
{
        unsigned n = 0;

        for (unsigned s = 0; s < w->n_slots; s++)
                for (unsigned i = 0; i < w->slots[s].count; i++) {
                        const Job *job = slot_job(&w->slots[s], i);

                        if (!job || job->uid != uid)
                                return false;
                        n++;
                }
        return n > 0;
}

static bool may_look(const Client *c, const Worker *w, bool by_job)
{
        return c->rights.see_all || (by_job && runs_only_of(w, c->who.uid));
}

static void no_such_worker(VarlinkCall *call, Slice name)
{
        api_error_string(call, "io.brood.NoSuchWorker", "worker",
                         json_is_text(name) ? name : SLICE(""));
}

static void failed(VarlinkCall *call, const char *worker, const char *message)
{
        Buffer *b = varlink_error_begin(call, "io.brood.InspectFailed");

        emit_string_member(b, "worker", slice_of(worker));
        emit_string_member(b, "message", slice_of(message));
        varlink_reply_end(call, false);
}

/* The worker that runs the job; else the call is answered. */
static Worker *worker_of_job(const Request *r)
{
        const Job *job = request_job(r, IO_BROOD_INSPECT_IN_WORKER);
        const Slot *slot = job ? job->slot : NULL;

        if (!job)
                return NULL;
        if (job_shown_state(job) == JOB_RUNNING && slot)
                return slot->worker;
        api_error_state(r->call, job, job_shown_state(job));
        return NULL;
}

static Worker *named_worker(const Request *r)
{
        char *name = varlink_string(r->scan, request_field(r, IO_BROOD_INSPECT_IN_WORKER));
        Worker *w = name ? find_worker(r->api, slice_of(name), 0) : NULL;

        if (!r->client->rights.see_all)
                api_error_empty(r->call, "io.brood.AccessDenied");
        else if (!w)
                no_such_worker(r->call, slice_of(name ? name : ""));
        free(name);
        return r->client->rights.see_all ? w : NULL;
}

/* --- the report --- */

static void write_job(Buffer *b, const Slot *slot, const Job *job)
{
        emit_open(b, '{');
        emit_key(b, "id");
        emit_uuid(b, &job->id);
        emit_string_member(b, "handler", slice_of(job->handler->name));
        emit_int_member(b, "attempt", job->attempt);
        emit_int_member(b, "since_usec", (int64_t)slot->since);
        if (job->history->progress >= 0) {
                emit_key(b, "progress");
                emit_float(b, job->history->progress);
        }
        emit_int_member(b, "uid", job->uid);
        emit_close(b, '}');
}

/* Those at work, one of each slot, that the client may see. */
static void write_jobs(Buffer *b, const Worker *w, const Client *c)
{
        emit_key(b, "jobs");
        emit_open(b, '[');
        for (unsigned s = 0; s < w->n_slots; s++) {
                const Job *job = w->slots[s].count ? slot_job(&w->slots[s], 0) : NULL;

                if (job && job_shown_state(job) == JOB_RUNNING && client_sees(c, job->uid))
                        write_job(b, &w->slots[s], job);
        }
        emit_close(b, ']');
}

/* Ours first, then the members of what brood-inspect has found. */
static void write_report(VarlinkCall *call, const Worker *w, Slice found)
{
        const Slice members = { found.data + 1, found.len - 2 };
        Buffer *b = varlink_reply_begin(call);

        emit_key(b, "report");
        emit_open(b, '{');
        emit_string_member(b, "worker", slice_of(w->name));
        emit_string_member(b, "pool", slice_of(w->pool->core->name));
        emit_int_member(b, "generation", w->generation);
        emit_string_member(b, "state", slice_of(worker_state_name(w)));
        emit_int_member(b, "started_usec", (int64_t)w->started);
        emit_int_member(b, "jobs_done", (int64_t)w->jobs_done);
        write_jobs(b, w, client_of(call));
        if (members.len)
                emit_raw(b, members);
        emit_close(b, '}');
        varlink_reply_end(call, false);
}

/* It is not ours: it is looked at before it becomes a part of a message. Compact, it has no blanks
 * around its braces. */
static bool is_object(Slice text)
{
        VarlinkScan scan = { 0 };
        bool is = text.len >= 2 && text.data[0] == '{' && text.data[text.len - 1] == '}' &&
                  varlink_scan_object(&scan, text) == 0;

        varlink_scan_fini(&scan);
        return is;
}

static void answer(const Asked *a, Slice report, const char *error)
{
        const Worker *w = find_worker(a->api, slice_of(a->worker), a->generation);

        if (error)
                failed(a->call, a->worker, error);
        else if (!w)
                failed(a->call, a->worker, "it has ended meanwhile");
        else if (!may_look(client_of(a->call), w, a->by_job))
                api_error_empty(a->call, "io.brood.AccessDenied");
        else if (!is_object(report))
                failed(a->call, a->worker, "brood-inspect gave no JSON object");
        else
                write_report(a->call, w, report);
}

static void on_done(void *context, Slice report, const char *error)
{
        Asked *a = context;

        a->call->owner = NULL;
        answer(a, report, error);
        free(a);
}

/* --- the method --- */

static void start(Asked *a, const Worker *w, bool stack, bool see_all)
{
        const InspectionOrder order = { .stack = stack,
                                        .done = on_done,
                                        .context = a,
                                        .user = see_all ? INSPECTION_OURS
                                                        : client_of(a->call)->who.uid };
        int r = inspector_ask(&a->api->pools->inspector, w, &order, &a->inspection);

        if (r == 0) {
                a->call->owner = a;
                a->call->owner_kind = CALL_INSPECT;
                return;
        }
        failed(a->call, a->worker,
               r == INSPECTOR_E_BUSY     ? "too many workers are being inspected: try again"
               : r == INSPECTOR_E_UNBORN ? "it has no process yet"
                                         : strerror(-r));
        free(a);
}

void inspect_worker(const Request *r)
{
        bool stack = varlink_bool(r->scan, request_field(r, IO_BROOD_INSPECT_IN_STACK));
        Uuid id;
        bool by_job = uuid_parse(request_slice(r, IO_BROOD_INSPECT_IN_WORKER), &id);
        Worker *w = by_job ? worker_of_job(r) : named_worker(r);
        Asked *a;

        if (!w)
                return;
        if (!may_look(r->client, w, by_job)) {
                api_error_empty(r->call, "io.brood.AccessDenied");
                return;
        }
        a = malloc(sizeof(*a));
        if (!a) {
                failed(r->call, w->name, strerror(ENOMEM));
                return;
        }
        *a = (Asked){
                .api = r->api, .call = r->call, .generation = w->generation, .by_job = by_job
        };
        (void)snprintf(a->worker, sizeof(a->worker), "%s", w->name);
        start(a, w, stack, r->client->rights.see_all);
}

void inspect_gone(VarlinkCall *call)
{
        Asked *a = call->owner;

        call->owner = NULL;
        inspection_cancel(a->inspection);
        free(a);
}
