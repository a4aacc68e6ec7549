/* SPDX-License-Identifier: MIT */
#pragma once

/* The methods of io.brood: what clients ask, and what they are told.
 *
 * A call is answered at once, or a Waiter stands in for it until the job that it waits for has got
 * so far. */

#include "api/access.h"
#include "api/refusals.h"
#include "api/users.h"
#include "core/core.h"
#include "pool/pools.h"
#include "settings/settings.h"
#include "varlink/service.h"

typedef struct Api Api;
typedef struct Client Client;

/* What is not the api's to decide: how the daemon as a whole lives. Each answers the call, now or
 * later. */
typedef struct ApiLifecycle {
        void (*reload)(void *context, VarlinkCall *call);
        void (*drain)(void *context, VarlinkCall *call);
        void (*resume)(void *context, VarlinkCall *call);
        const char *(*state)(void *context);
        const char *(*reload_refused)(void *context); /* why the last one was; NULL: it was not */
        const char *state_directory, *scoreboard;     /* paths */
        const Histogram *turns;                       /* of the loop */
        void *context;
} ApiLifecycle;

struct Api {
        Core *core;
        struct Store *store;
        Pools *pools;
        Turn *turn;
        Settings *settings; /* in force */
        ApiLifecycle lifecycle;
        VarlinkService service;
        VarlinkInterface *interface;
        Access access;
        Users users;
        List clients; /* Client.link */
        unsigned n_clients; /* without those that are only told that they are too many */
        unsigned n_refused; /* those */
        uint64_t turned_away; /* since the log was told, at turned_away_told (monotonic) */
        usec_t turned_away_told;
        Refusals refusals;
        List paused;  /* Client.paused_link: not read until their replies are gone */
        List watchers; /* Watcher */
        Buffer change; /* what they are being told */
        struct event workers_due; /* they are to be told which workers are busy */
        usec_t workers_told; /* when that was done; monotonic */
        bool draining; /* no new jobs */
        bool dirty;    /* core has something to decide */
        usec_t started;
};

/* Returns 0 or -ENOMEM. */
int api_init(Api *api, Core *core, struct Store *store, Pools *pools, Turn *turn,
             Settings *settings, const ApiLifecycle *lifecycle);
/* Closes all clients. */
void api_fini(Api *api);

/* What has become of a job (JobEvents). The job may be freed by this. */
void api_job_event(Api *api, Job *job, unsigned events, usec_t now);

/* Clients that were not read because of their replies are read again where those are gone. */
void api_resume_reading(Api *api);

/* A config comes into force, and with it who may do what; `opened`: as in access_take_effect().
 * Connections that are there get the new rights; calls that show what they may not see any more are
 * answered with AccessDenied. */
void api_settings_changed(Api *api, Settings *settings, bool opened);

/* Calls that wait for a pool's restart are answered where it is over. */
void api_pool_changed(Api *api, Pool *pool);
/* The same where the pool goes for good; who watches is told so. */
void api_pool_gone(Api *api, Pool *pool);

/* The daemon stops: whoever waits for a job that will not run any more is told so. */
void api_tell_draining(Api *api);

/* --- inside of api/ --- */

/* What the owner of an unanswered call is (VarlinkCall.owner_kind). */
enum { CALL_WAITER, CALL_GROUP, CALL_PENDING, CALL_FOLLOW, CALL_WATCH, CALL_INSPECT };

/* One method. `in` is a struct of its input. */
typedef struct Request {
        Api *api;
        Client *client;
        VarlinkCall *call;
        const VarlinkScan *scan;
        const VarlinkNode *in;
        usec_t now;
} Request;

/* A field of the input. */
static inline const VarlinkNode *request_field(const Request *r, unsigned field)
{
        return varlink_field(r->scan, r->in, field);
}

static inline Slice request_slice(const Request *r, unsigned field)
{
        return varlink_slice(r->scan, request_field(r, field));
}

/* Errors of io.brood with their one member. */
void api_error_string(VarlinkCall *call, const char *error, const char *name, Slice value);
void api_error_int(VarlinkCall *call, const char *error, const char *name, int64_t value);
void api_error_empty(VarlinkCall *call, const char *error);
/* WrongState, with the job's id. */
void api_error_state(VarlinkCall *call, const Job *job, JobState state);
/* StoreFailed, with why. */
void api_error_store(VarlinkCall *call);

void api_error_config(VarlinkCall *call, const char *file, int line, const char *message);

/* The job that the field names, if the client may see it; else the call is answered (NoSuchJob or
 * InvalidParameter) and NULL returned. */
Job *request_job(const Request *r, unsigned field);

/* The same where it is to be changed: another user's needs the right to operate, else the call is
 * answered (AccessDenied; NoSuchJob for who may not even see it). */
Job *request_job_to_change(const Request *r, unsigned field);

/* May the client submit to the handler's pool? Else the call is answered (AccessDenied). */
bool request_may_submit(const Request *r, const CoreHandler *handler);

/* May the job's user have it open again? Else the call is answered (QuotaExceeded). Who may operate
 * is not asked. */
bool request_within_quota(const Request *r, const Job *job);

/* The pool that the field names; else the call is answered and NULL returned. */
Pool *request_pool(const Request *r, unsigned field);

/* May the client operate the daemon? Else the call is answered (AccessDenied). */
bool request_may_operate(const Request *r);
