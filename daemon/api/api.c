/* SPDX-License-Identifier: MIT */

#include "api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/calls.h"
#include "api/client.h"
#include "api/follow.h"
#include "api/inspect.h"
#include "api/methods.h"
#include "api/pending.h"
#include "api/reason.h"
#include "api/wait.h"
#include "api/watch.h"
#include "base/fd.h"
#include "core/ties.h"
#include "io.brood.h"
#include "store/store.h"
#include "varlink/json.h"

/* --- errors --- */

void api_error_string(VarlinkCall *call, const char *error, const char *name, Slice value)
{
        emit_string_member(varlink_error_begin(call, error), name, value);
        varlink_reply_end(call, false);
}

void api_error_int(VarlinkCall *call, const char *error, const char *name, int64_t value)
{
        emit_int_member(varlink_error_begin(call, error), name, value);
        varlink_reply_end(call, false);
}

void api_error_state(VarlinkCall *call, const Job *job, JobState state)
{
        Buffer *b = varlink_error_begin(call, "io.brood.WrongState");

        emit_key(b, "id");
        emit_uuid(b, &job->id);
        emit_string_member(b, "state", slice_of(job_state_name(state)));
        varlink_reply_end(call, false);
}

void api_error_store(VarlinkCall *call)
{
        const char *why = store_error(client_of(call)->api->store);

        api_error_string(call, "io.brood.StoreFailed", "message",
                         slice_of(why ? why : "the job could not be stored"));
}

void api_error_empty(VarlinkCall *call, const char *error)
{
        (void)varlink_error_begin(call, error);
        varlink_reply_end(call, false);
}

void api_error_config(VarlinkCall *call, const char *file, int line, const char *message)
{
        Buffer *b = varlink_error_begin(call, "io.brood.ConfigInvalid");

        emit_string_member(b, "file", slice_of(file));
        emit_int_member(b, "line", line);
        emit_string_member(b, "message", slice_of(message));
        varlink_reply_end(call, false);
}

/* --- what methods share --- */

Job *request_job(const Request *r, unsigned field)
{
        Slice text = request_slice(r, field);
        Job *job;
        Uuid id;

        if (!uuid_parse(text, &id)) {
                api_error_string(r->call, "io.brood.NoSuchJob", "id",
                                 json_is_text(text) ? text : SLICE(""));
                return NULL;
        }
        job = client_find_job(r->client, &id);
        if (!job)
                api_error_string(r->call, "io.brood.NoSuchJob", "id", text);
        return job;
}

Job *request_job_to_change(const Request *r, unsigned field)
{
        Job *job = request_job(r, field);

        if (!job || job->uid == r->client->who.uid || r->client->rights.operate)
                return job;
        api_error_empty(r->call, "io.brood.AccessDenied");
        return NULL;
}

bool request_may_submit(const Request *r, const CoreHandler *handler)
{
        const Pool *pool = handler->pool ? handler->pool->owner : NULL;
        bool may = access_may_submit(&r->client->who, r->client->rights,
                                     pool ? pool->settings : NULL);

        if (!may)
                api_error_empty(r->call, "io.brood.AccessDenied");
        return may;
}

Pool *request_pool(const Request *r, unsigned field)
{
        const VarlinkNode *node = request_field(r, field);
        char *name = varlink_string(r->scan, node);
        Pool *pool = name ? pools_find(r->api->pools, slice_of(name)) : NULL;

        if (!pool)
                api_error_string(r->call, "io.brood.NoSuchPool", "pool",
                                 slice_of(name ? name : ""));
        free(name);
        return pool;
}

bool request_may_operate(const Request *r)
{
        if (!r->client->rights.operate)
                api_error_empty(r->call, "io.brood.AccessDenied");
        return r->client->rights.operate;
}

/* --- methods --- */

static void method_reload(const Request *r)
{
        if (request_may_operate(r))
                r->api->lifecycle.reload(r->api->lifecycle.context, r->call);
}

static void method_drain(const Request *r)
{
        if (request_may_operate(r))
                r->api->lifecycle.drain(r->api->lifecycle.context, r->call);
}

static void method_resume(const Request *r)
{
        if (request_may_operate(r))
                r->api->lifecycle.resume(r->api->lifecycle.context, r->call);
}

static void (*const methods[])(const Request *r) = {
        [IO_BROOD_SUBMIT] = method_submit,
        [IO_BROOD_SUBMIT_MANY] = method_submit_many,
        [IO_BROOD_WAIT] = wait_job,
        [IO_BROOD_WAIT_MANY] = wait_many,
        [IO_BROOD_GET] = method_get,
        [IO_BROOD_LIST] = method_list,
        [IO_BROOD_CANCEL] = method_cancel,
        [IO_BROOD_RETRY] = method_retry,
        [IO_BROOD_FOLLOW] = follow_job,
        [IO_BROOD_WATCH] = watch_changes,
        [IO_BROOD_WHY] = why_job,
        [IO_BROOD_STATUS] = method_status,
        [IO_BROOD_LIST_WORKERS] = method_list_workers,
        [IO_BROOD_INSPECT] = inspect_worker,
        [IO_BROOD_PAUSE_POOL] = method_pause_pool,
        [IO_BROOD_RESUME_POOL] = method_resume_pool,
        [IO_BROOD_SCALE_POOL] = method_scale_pool,
        [IO_BROOD_RESTART_POOL] = method_restart_pool,
        [IO_BROOD_RELOAD] = method_reload,
        [IO_BROOD_DRAIN] = method_drain,
        [IO_BROOD_RESUME] = method_resume,
        [IO_BROOD_METRICS] = method_metrics,
};

/* Descriptors that came with a message which is no use for them. */
static void close_left_fds(Client *c)
{
        while (c->n_fds)
                fd_close_foreign(c->fds[--c->n_fds]);
}

static void not_implemented(VarlinkCall *call, const VarlinkMessage *m)
{
        char name[128];

        (void)snprintf(name, sizeof(name), "%.*s.%.*s", (int)m->interface->name.len,
                       m->interface->name.data, (int)m->method->name.len, m->method->name.data);
        api_error_string(call, "org.varlink.service.MethodNotImplemented", "method",
                         slice_of(name));
}

static void on_call(VarlinkServer *server, VarlinkCall *call, const VarlinkMessage *m,
                    const VarlinkScan *scan)
{
        Client *c = CONTAINER_OF(server, Client, server);
        Request r = { .api = c->api, .client = c, .call = call, .scan = scan,
                      .in = varlink_node(scan, m->parameters), .now = clock_steady() };
        unsigned i = (unsigned)(m->method - m->interface->methods);
        /* Descriptors ride on the last message of what was read with them. */
        bool with_fds = c->n_fds && varlink_stream_unread(&server->in) == 0;

        if (c->refused) {
                client_refuse(c, call);
        } else if (i >= ELEMENTS(methods) || !methods[i]) {
                not_implemented(call, m);
        } else if (with_fds && i != IO_BROOD_SUBMIT) {
                varlink_invalid_parameter(call, "descriptors");
        } else if (call->oneway &&
                   (i == IO_BROOD_WAIT || i == IO_BROOD_WAIT_MANY || i == IO_BROOD_FOLLOW ||
                    i == IO_BROOD_WATCH || i == IO_BROOD_INSPECT)) {
                varlink_reply_empty(call); /* nobody wants to know */
        } else {
                size_t kept = with_fds ? 0 : c->n_fds;

                c->n_fds -= kept; /* they are not this message's */
                methods[i](&r);
                c->n_fds += kept;
        }
        if (with_fds)
                close_left_fds(c);
}

static void on_output(VarlinkServer *server)
{
        Client *c = CONTAINER_OF(server, Client, server);

        if (client_backlog(c) > CLIENT_SOFT_LIMIT)
                client_stalls(c);
        if (client_backlog(c) > CLIENT_HARD_LIMIT && !c->doomed) {
                c->doomed = true; /* ended where nobody is in the middle of it */
                if (list_empty(&c->paused_link))
                        list_append(&c->api->paused, &c->paused_link);
        }
        link_touch(&c->connection);
}

static void on_refused(VarlinkServer *server, const char *error)
{
        const char *dot = strrchr(error, '.');

        refusals_note(&CONTAINER_OF(server, Client, server)->api->refusals,
                      slice_of(dot ? dot + 1 : error), clock_steady());
}

static void on_gone(VarlinkServer *server, VarlinkCall *call)
{
        if (!call->owner)
                return;
        if (call->owner_kind == CALL_PENDING)
                pending_gone(call);
        else if (call->owner_kind == CALL_FOLLOW)
                follow_gone(call);
        else if (call->owner_kind == CALL_WATCH)
                watch_gone(call);
        else if (call->owner_kind == CALL_INSPECT)
                inspect_gone(call);
        else
                wait_gone(call);
}

/* The job is over: whoever it was attached to, and its descriptors. */
static void let_go(Job *job)
{
        JobCalls *calls = job->calls;

        for (int i = 0; job->ties && i < 3; i++)
                job->ties->fds[i] = fd_close_foreign(job->ties->fds[i]);
        if (!calls)
                return;
        list_remove(&calls->attached);
        calls_release(job);
}

void api_job_event(Api *api, Job *job, unsigned events, usec_t now)
{
        if (calls_wait(job))
                wait_notify(job, events);
        if ((events & EVENT_ENDED) && api->pools->n_followers && follow_any(job))
                follow_ended(job);
        if (!(events & (EVENT_ENDED | EVENT_REFUSED | EVENT_FETCHED)))
                return;
        if (!(events & EVENT_FETCHED))
                let_go(job);
        if (events & EVENT_REFUSED)
                core_forget(api->core, job);
        else
                core_shed(api->core, job);
}

/* --- life --- */

int api_init(Api *api, Core *core, Store *store, Pools *pools, Turn *turn, Settings *settings,
             const ApiLifecycle *lifecycle)
{
        char error[256];
        int r;

        *api = (Api){ .core = core, .store = store, .pools = pools, .turn = turn,
                      .settings = settings, .lifecycle = *lifecycle, .started = clock_steady(),
                      .service = { .vendor = "brood", .product = "broodd", .version = BROOD_VERSION,
                                   .url = "", .too_large = "io.brood.TooLarge",
                                   .max_backlog = CLIENT_SOFT_LIMIT,
                                   .call = on_call, .output = on_output, .refused = on_refused,
                                   .gone = on_gone } };
        api->access.settings = settings;
        list_init(&api->clients);
        list_init(&api->paused);
        watch_init(api);
        pools->followed = follow_any;
        pools->output = follow_output;
        r = varlink_service_init(&api->service);
        if (r == 0)
                r = varlink_interface_new(&api->interface, SLICE(IO_BROOD_TEXT), error,
                                          sizeof(error));
        if (r == 0)
                varlink_service_add(&api->service, api->interface);
        return r;
}

/* The oldest call of a client that waits for something; NULL: none does. */
static VarlinkCall *waiting_call(Client *c)
{
        VarlinkCall *call;

        LIST_FOREACH(&c->server.calls, call, in_server)
                if (!call->answered && call->owner)
                        return call;
        return NULL;
}

void api_tell_draining(Api *api)
{
        VarlinkCall *call;
        Client *c;

        LIST_FOREACH(&api->clients, c, link)
                while ((call = waiting_call(c))) {
                        on_gone(&c->server, call);
                        call->owner = NULL;
                        api_error_empty(call, "io.brood.Draining");
                }
}

/* Does it tell, or will it, of a job of somebody else? */
static bool shows_others(const VarlinkCall *call, uint32_t uid)
{
        if (!call->owner || call->owner_kind == CALL_PENDING || call->owner_kind == CALL_WATCH ||
            call->owner_kind == CALL_INSPECT)
                return false; /* what they may see is asked each time */
        return call->owner_kind == CALL_FOLLOW ? follow_shows_others(call, uid)
                                               : wait_shows_others(call, uid);
}

static VarlinkCall *call_that_shows_others(Client *c)
{
        VarlinkCall *call;

        LIST_FOREACH(&c->server.calls, call, in_server)
                if (!call->answered && shows_others(call, c->who.uid))
                        return call;
        return NULL;
}

/* The client may see them no more. */
static void end_calls_that_show_others(Client *c)
{
        VarlinkCall *call;

        while ((call = call_that_shows_others(c))) { /* an answer may free any call */
                on_gone(&c->server, call);
                call->owner = NULL;
                api_error_empty(call, "io.brood.AccessDenied");
        }
}

void api_settings_changed(Api *api, Settings *settings, bool opened)
{
        Client *c;

        api->settings = settings;
        access_take_effect(&api->access, settings, opened);
        LIST_FOREACH(&api->clients, c, link) {
                client_look_up_rights(c);
                if (!c->rights.see_all)
                        end_calls_that_show_others(c);
        }
}

void api_fini(Api *api)
{
        Client *c;

        while ((c = LIST_FIRST(&api->clients, Client, link)))
                client_free(c);
        watch_fini(api);
        varlink_service_fini(&api->service);
        varlink_interface_free(api->interface);
        users_fini(&api->users);
        access_fini(&api->access);
        buffer_fini(&api->change);
}
