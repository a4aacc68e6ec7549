/* SPDX-License-Identifier: MIT */

/* Calls that wait for one job, and whom the jobs' events go to. A reply with a payload that is only
 * in the store waits until it was fetched. */

#include "api/wait.h"

#include <stdlib.h>

#include "api/calls.h"
#include "api/job_json.h"
#include "api/waiter.h"
#include "io.brood.h"
#include "store/store.h"
#include "varlink/json.h"

static Api *api_of(const VarlinkCall *call)
{
        return client_of(call)->api;
}

bool waiter_attach(Waiter *w, Job *job)
{
        JobCalls *calls = calls_of(api_of(w->call)->core, job);

        if (!calls)
                return false;
        w->job = job;
        list_append(&calls->waiters, &w->in_job);
        return true;
}

void waiter_detach(Waiter *w)
{
        Job *job = w->job;

        if (!job)
                return;
        list_remove(&w->in_job);
        w->job = NULL;
        calls_release(job);
}

static void waiter_free(Waiter *w)
{
        waiter_detach(w);
        if (w->timer)
                event_free(w->timer);
        free(w);
}

static Waiter *waiter_new(VarlinkCall *call, WaiterKind kind, Job *job)
{
        Waiter *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->kind = kind;
        w->call = call;
        list_init(&w->in_job);
        if (!waiter_attach(w, job)) {
                free(w);
                return NULL;
        }
        call->owner = w;
        return w;
}

void wait_no_memory(VarlinkCall *call)
{
        api_error_string(call, "io.brood.StoreFailed", "message", SLICE("no memory to wait in"));
}

void wait_gone(VarlinkCall *call)
{
        if (!call->owner)
                return;
        if (call->owner_kind == CALL_GROUP)
                wait_group_free(call->owner);
        else
                waiter_free(call->owner);
        call->owner = NULL;
}

bool wait_shows_others(const VarlinkCall *call, uint32_t uid)
{
        const Waiter *w = call->owner;

        if (call->owner_kind == CALL_GROUP)
                return wait_group_shows_others(call->owner, uid);
        return w->job && w->job->uid != uid;
}

/* --- payloads that are only in the store --- */

bool wait_has_payload(const VarlinkCall *call, Job *job)
{
        if (!core_is_shed(job))
                return true;
        if (store_fetch(api_of(call)->store, job) == 0)
                api_of(call)->dirty = true;
        return !job->fetching; /* without memory it is shown without */
}

/* --- Submit --- */

static void reply_submit(VarlinkCall *call, const Job *job, bool duplicate, bool whole,
                         bool continues)
{
        Buffer *b = varlink_reply_begin(call);

        emit_key(b, "id");
        emit_uuid(b, &job->id);
        emit_string_member(b, "state", slice_of(job_state_name(job->state)));
        emit_bool_member(b, "duplicate", duplicate);
        if (whole) {
                emit_key(b, "job");
                job_json(b, job, true);
        }
        varlink_reply_end(call, continues);
}

void wait_submitted(const Request *r, Job *job, bool duplicate, bool wait)
{
        bool to_end = (wait || r->call->more) && !r->call->oneway;
        bool ended = job->listed && job_state_ended(job->state);
        Waiter *w;

        if (job->listed && (!to_end || (ended && wait_has_payload(r->call, job)))) {
                reply_submit(r->call, job, duplicate, to_end, false);
                return;
        }
        w = waiter_new(r->call, to_end ? WAITER_SUBMIT_WAIT : WAITER_SUBMIT, job);
        if (!w) {
                wait_no_memory(r->call);
                return;
        }
        w->duplicate = duplicate;
        w->fetches = ended;
        if (r->call->more && job->listed && !ended)
                reply_submit(r->call, job, duplicate, true, true);
}

/* --- Wait --- */

void wait_reply_job(VarlinkCall *call, const Job *job, bool continues)
{
        Buffer *b = varlink_reply_begin(call);

        emit_key(b, "job");
        job_json(b, job, true);
        varlink_reply_end(call, continues);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
        Waiter *w = context;
        VarlinkCall *call = w->call;
        Buffer *b = varlink_error_begin(call, "io.brood.WaitTimeout");

        emit_key(b, "id");
        emit_uuid(b, &w->job->id);
        emit_string_member(b, "state", slice_of(job_state_name(w->job->state)));
        waiter_free(w);
        call->owner = NULL;
        varlink_reply_end(call, false);
}

static bool arm(Waiter *w, Turn *turn, usec_t timeout)
{
        struct timeval t = { (time_t)(timeout / USEC_PER_SEC),
                             (suseconds_t)(timeout % USEC_PER_SEC) };

        w->timer = evtimer_new(turn->base, on_timeout, w);
        return w->timer && evtimer_add(w->timer, &t) == 0;
}

void wait_job(const Request *r)
{
        const VarlinkNode *timeout = request_field(r, IO_BROOD_WAIT_IN_TIMEOUT_USEC);
        int64_t usec = timeout->present ? varlink_int(r->scan, timeout) : -1;
        Job *job;
        Waiter *w;

        if (timeout->present && usec < 0) {
                varlink_invalid_parameter(r->call, "timeout_usec");
                return;
        }
        job = request_job(r, IO_BROOD_WAIT_IN_ID);
        if (!job)
                return;
        if (job_state_ended(job->state)) {
                wait_payload(r, job);
                return;
        }
        w = waiter_new(r->call, WAITER_WAIT, job);
        if (w && (usec < 0 || arm(w, r->api->turn, (usec_t)usec)))
                return;
        if (w)
                waiter_free(w);
        r->call->owner = NULL;
        wait_no_memory(r->call);
}

/* --- Cancel and Retry --- */

static void reply_state(VarlinkCall *call, const Job *job)
{
        bool as_good_as = job->request == REQUEST_SETTLE; /* only the store is yet to say so */
        JobState state = as_good_as ? (JobState)job->next_state : job_shown_state(job);

        emit_string_member(varlink_reply_begin(call), "state", slice_of(job_state_name(state)));
        varlink_reply_end(call, false);
}

static void wait_change(const Request *r, Job *job, WaiterKind kind)
{
        if (job->memory || r->api->core->store_down || !waiter_new(r->call, kind, job))
                reply_state(r->call, job);
}

void wait_cancelled(const Request *r, Job *job)
{
        wait_change(r, job, WAITER_CANCEL);
}

void wait_retried(const Request *r, Job *job)
{
        wait_change(r, job, WAITER_RETRY);
}

/* --- what has become of jobs --- */

static void refused(Waiter *w)
{
        VarlinkCall *call = w->call;

        waiter_free(w);
        call->owner = NULL;
        api_error_store(call);
}

void wait_unreadable(Waiter *w)
{
        VarlinkCall *call = w->call;

        wait_gone(call);
        api_error_string(call, "io.brood.StoreFailed", "message",
                         SLICE("the job's arguments or result could not be read from the store"));
}

/* The last reply of a call for one job. */
static void reply_last(Waiter *w, Job *job)
{
        VarlinkCall *call = w->call;
        WaiterKind kind = w->kind;
        bool duplicate = w->duplicate;

        call->owner = NULL;
        if (kind == WAITER_WAIT)
                wait_reply_job(call, job, false);
        else if (kind == WAITER_CANCEL || kind == WAITER_RETRY)
                reply_state(call, job);
        else
                reply_submit(call, job, duplicate, kind == WAITER_SUBMIT_WAIT, false);
        waiter_free(w);
}

/* The events that a call's last reply waits for. */
static unsigned awaited(WaiterKind kind)
{
        switch (kind) {
        case WAITER_SUBMIT:
                return EVENT_ADMITTED;
        case WAITER_CANCEL:
                return EVENT_MARKED | EVENT_ENDED;
        case WAITER_RETRY:
                return EVENT_CHANGED | EVENT_ENDED;
        default:
                return EVENT_ENDED;
        }
}

static void single_event(Waiter *w, Job *job, unsigned events)
{
        bool ended = events & EVENT_ENDED;

        if (events & EVENT_REFUSED) {
                refused(w);
                return;
        }
        if (w->fetches) {
                if (events & EVENT_FETCHED && core_is_shed(job))
                        wait_unreadable(w);
                else if (events & EVENT_FETCHED)
                        reply_last(w, job);
                return;
        }
        if (w->kind == WAITER_SUBMIT_WAIT && w->call->more && !ended) {
                if (events & (EVENT_ADMITTED | EVENT_CHANGED))
                        reply_submit(w->call, job, w->duplicate, true, true);
                return;
        }
        if (!(events & awaited(w->kind)))
                return;
        w->fetches = (w->kind == WAITER_WAIT || w->kind == WAITER_SUBMIT_WAIT) &&
                     !wait_has_payload(w->call, job);
        if (!w->fetches)
                reply_last(w, job);
}

void wait_notify(Job *job, unsigned events)
{
        JobCalls *calls = job->calls;
        List waiters;
        Waiter *w;

        /* Answering a call may free any waiter, the next one too: take them one by one from a list
         * of their own. */
        list_init(&waiters);
        list_splice(&waiters, &calls->waiters);
        calls->held++;
        while ((w = LIST_FIRST(&waiters, Waiter, in_job))) {
                list_remove(&w->in_job);
                list_append(&calls->waiters, &w->in_job);
                if (w->kind == WAITER_BATCH)
                        wait_batch_event(w, events);
                else if (w->kind == WAITER_MANY)
                        wait_many_event(w, events);
                else
                        single_event(w, job, events);
        }
        calls->held--;
        calls_release(job);
}
