/* SPDX-License-Identifier: MIT */

#include "api/watch.h"

#include <stdlib.h>
#include <string.h>

#include "api/client.h"
#include "api/reason.h"
#include "base/cleanup.h"
#include "io.brood.h"
#include "varlink/json.h"

/* In the order of the interface. */
typedef enum Kind { KIND_JOB, KIND_WORKER, KIND_POOL, N_KINDS } Kind;

static const char *const kind_names[N_KINDS] = { "job", "worker", "pool" };

typedef struct Watcher {
        List link; /* Api.watchers */
        VarlinkCall *call;
        const CorePool *pool; /* NULL: all */
        bool kinds[N_KINDS];
} Watcher;

/* What has changed, of which kind, and who may know. */
typedef struct Change {
        Kind kind;
        const CorePool *pool;
        uint32_t uid; /* of a job */
        Slice id;
        const char *state, *reason; /* reason: NULL: none */
} Change;

/* --- telling --- */

static bool wants(const Watcher *w, const Change *c)
{
        const Client *client = client_of(w->call);

        return w->kinds[c->kind] && (!w->pool || w->pool == c->pool) &&
               (c->kind != KIND_JOB || client_sees(client, c->uid));
}

static void write_change(Buffer *text, const Change *c)
{
        buffer_clear(text, SIZE_MAX);
        emit_int_member(text, "time_usec", (int64_t)clock_steady());
        emit_string_member(text, "kind", slice_of(kind_names[c->kind]));
        emit_string_member(text, "id", c->id);
        emit_string_member(text, "state", slice_of(c->state));
        if (c->reason)
                emit_string_member(text, "reason", slice_of(c->reason));
}

/* It is written once, however many watch, and not at all if nobody wants it. */
static void tell(Api *api, const Change *c)
{
        Buffer *text = &api->change;
        Watcher *w, *next;
        bool written = false;

        LIST_FOREACH_SAFE(&api->watchers, w, next, link) {
                Buffer *b;

                if (!wants(w, c))
                        continue;
                if (!written)
                        write_change(text, c);
                written = true;
                b = varlink_reply_begin(w->call);
                buffer_append(b, text->data + text->start, buffer_len(text));
                b->failed |= text->failed;
                varlink_reply_end(w->call, true);
        }
}

static void tell_job(Api *api, const CoreChange *change)
{
        UuidText id = uuid_text(&change->id);
        const Job *job = core_find(api->core, &change->id, change->uid, false);
        Change c = { .kind = KIND_JOB, .pool = change->pool, .uid = change->uid,
                     .id = slice_of(id.text), .state = job_state_name(change->state) };
        char reason[REASON_SIZE];

        if (job && job->state == change->state && reason_write(job, reason, sizeof(reason)))
                c.reason = reason;
        tell(api, &c);
}

static void on_worker(Pools *pools, const Worker *worker, const char *state, const char *reason)
{
        Change c = { .kind = KIND_WORKER, .pool = worker->pool->core, .id = slice_of(worker->name),
                     .state = state, .reason = reason };

        tell(pools->watcher, &c);
}

static void tell_pool(Api *api, const Pool *pool, const char *state)
{
        Change c = { .kind = KIND_POOL, .pool = pool->core, .id = slice_of(pool->core->name),
                     .state = state };

        if (strcmp(state, "failed") == 0)
                c.reason = pool->change_error; /* if that is why */
        tell(api, &c);
}

void watch_pool_gone(Api *api, const Pool *pool)
{
        if (!list_empty(&api->watchers))
                tell_pool(api, pool, "gone");
}

static void watch_pools(Api *api)
{
        Pool *pool;

        LIST_FOREACH(&api->pools->pools, pool, link) {
                const char *state = pool_state(pool);

                if (pool->told == state)
                        continue;
                pool->told = state;
                tell_pool(api, pool, state);
        }
}

/* Memory ran out, and a change is lost: nobody may believe that it saw them all. */
static void give_up(Api *api)
{
        Watcher *w;

        while ((w = LIST_FIRST(&api->watchers, Watcher, link))) {
                VarlinkCall *call = w->call;

                watch_gone(call);
                api_error_string(call, "io.brood.StoreFailed", "message",
                                 SLICE("no memory for all changes: some would be missing"));
        }
}

/* The turn that it makes ends with watch_flush(). */
static void on_workers_due(evutil_socket_t fd, short what, void *context)
{
}

void watch_init(Api *api)
{
        list_init(&api->watchers);
        evtimer_assign(&api->workers_due, api->turn->base, on_workers_due, NULL);
}

void watch_fini(Api *api)
{
        (void)event_del(&api->workers_due);
}

static void watch_workers(Api *api)
{
        usec_t now, due = api->workers_told + WATCH_WORKERS;

        if (!api->pools->restless || !api->pools->worker_changed)
                return;
        now = clock_monotonic();
        if (now >= due) {
                api->workers_told = now;
                pools_tell_workers(api->pools);
        } else if (!evtimer_pending(&api->workers_due, NULL)) {
                const struct timeval left = { 0, (suseconds_t)(due - now) };

                (void)evtimer_add(&api->workers_due, &left);
        }
}

void watch_flush(Api *api)
{
        CoreJournal *j = &api->core->journal;

        if (list_empty(&api->watchers))
                return;
        if (j->lost)
                give_up(api);
        for (size_t i = 0; i < j->n; i++)
                tell_job(api, &j->changes[i]);
        j->n = 0;
        j->lost = false;
        watch_workers(api);
        watch_pools(api);
}

/* --- calls --- */

static bool anybody_watches(const Api *api, Kind kind)
{
        const Watcher *w;

        LIST_FOREACH(&api->watchers, w, link)
                if (w->kinds[kind])
                        return true;
        return false;
}

/* The core keeps a journal of jobs, and pools tell of their workers, only while somebody watches
 * just these: jobs are many. */
static void note_watchers(Api *api)
{
        CoreJournal *j = &api->core->journal;

        api->pools->watcher = api;
        api->pools->worker_changed = anybody_watches(api, KIND_WORKER) ? on_worker : NULL;
        j->on = anybody_watches(api, KIND_JOB);
        if (j->on)
                return;
        j->n = 0;
        j->lost = false;
}

void watch_gone(VarlinkCall *call)
{
        Watcher *w = call->owner;
        Api *api = client_of(call)->api;

        list_remove(&w->link);
        call->owner = NULL;
        free(w);
        note_watchers(api);
}

static void read_kinds(const Request *r, Watcher *w)
{
        const VarlinkNode *kinds = request_field(r, IO_BROOD_WATCH_IN_KINDS);

        for (int k = 0; k < N_KINDS; k++)
                w->kinds[k] = !kinds->present || !kinds->child;
        for (uint32_t at = kinds->present ? kinds->child : 0; at;
             at = varlink_node(r->scan, at)->next)
                w->kinds[varlink_node(r->scan, at)->child] = true;
}

void watch_changes(const Request *r)
{
        bool one = request_field(r, IO_BROOD_WATCH_IN_POOL)->present;
        const Pool *pool = one ? request_pool(r, IO_BROOD_WATCH_IN_POOL) : NULL;
        Watcher *w;

        if (one && !pool)
                return;
        if (!r->call->more) {
                api_error_empty(r->call, "org.varlink.service.ExpectedMore");
                return;
        }
        watch_flush(r->api); /* what is past is told to those who watched then */
        pools_tell_workers(r->api->pools);
        w = calloc(1, sizeof(*w));
        if (!w) {
                api_error_string(r->call, "io.brood.StoreFailed", "message",
                                 SLICE("no memory to watch in"));
                return;
        }
        w->call = r->call;
        w->pool = pool ? pool->core : NULL;
        read_kinds(r, w);
        if (list_empty(&r->api->watchers)) /* what pools are now is no change */
                LIST_FOREACH(&r->api->pools->pools, pool, link)
                        ((Pool *)pool)->told = pool_state(pool);
        list_append(&r->api->watchers, &w->link);
        r->call->owner = w;
        r->call->owner_kind = CALL_WATCH;
        note_watchers(r->api);
}
