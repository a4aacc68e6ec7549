/* SPDX-License-Identifier: MIT */

/* A Waiter links one call to one job; replies of WaitMany are only written while the client takes
 * them. A reply that carries a payload which is only in the store waits until it was fetched. */

#include "api/wait.h"

#include <stdlib.h>

#include "api/calls.h"
#include "api/job_json.h"
#include "base/cleanup.h"
#include "io.brood.h"
#include "store/store.h"
#include "varlink/json.h"

enum { MAX_IDS = 100000 }; /* of one WaitMany */

typedef enum WaiterKind {
        WAITER_SUBMIT,      /* Submit: the admission */
        WAITER_SUBMIT_WAIT, /* Submit with wait, or with more: the end */
        WAITER_WAIT,        /* Wait */
        WAITER_CANCEL,      /* Cancel: that it ends, or will, is durable */
        WAITER_RETRY,       /* Retry: that it goes on is durable */
        WAITER_BATCH,       /* one of SubmitMany */
        WAITER_MANY,        /* one of WaitMany */
} WaiterKind;

typedef struct Waiter {
        List in_job;   /* JobCalls.waiters */
        WaiterKind kind;
        bool duplicate;
        bool done;     /* MANY: its job has ended, its reply is to come */
        bool fetches;  /* only the payload is missing */
        Job *job;      /* NULL: over */
        VarlinkCall *call;
        struct event *timer;  /* WAIT with a timeout */
        struct Group *group;  /* BATCH, MANY */
} Waiter;

/* The waiters of one SubmitMany or WaitMany. */
typedef struct Group {
        List stream; /* Client.streams, while replies wait for room */
        VarlinkCall *call;
        WaiterKind kind;
        bool ordered, refused;
        unsigned n, left; /* that have not come so far yet */
        unsigned next;    /* ordered: whose turn it is */
        unsigned ended;   /* unordered: entries of `order` */
        unsigned *order;  /* unordered: indexes as they ended */
        Waiter waiters[];
} Group;

static Api *api_of(const VarlinkCall *call)
{
        return client_of(call)->api;
}

static bool attach(Waiter *w, Job *job)
{
        JobCalls *calls = calls_of(api_of(w->call)->core, job);

        if (!calls)
                return false;
        w->job = job;
        list_append(&calls->waiters, &w->in_job);
        return true;
}

static void detach(Waiter *w)
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
        detach(w);
        if (w->timer)
                event_free(w->timer);
        free(w);
}

static void group_free(Group *g)
{
        list_remove(&g->stream);
        for (unsigned i = 0; i < g->n; i++)
                detach(&g->waiters[i]);
        free(g->order);
        free(g);
}

static Waiter *waiter_new(VarlinkCall *call, WaiterKind kind, Job *job)
{
        Waiter *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->kind = kind;
        w->call = call;
        list_init(&w->in_job);
        if (!attach(w, job)) {
                free(w);
                return NULL;
        }
        call->owner = w;
        return w;
}

static void no_memory(VarlinkCall *call)
{
        api_error_string(call, "io.brood.StoreFailed", "message", SLICE("no memory to wait in"));
}

void wait_gone(VarlinkCall *call)
{
        if (!call->owner)
                return;
        if (call->owner_kind == CALL_GROUP)
                group_free(call->owner);
        else
                waiter_free(call->owner);
        call->owner = NULL;
}

bool wait_shows_others(const VarlinkCall *call, uint32_t uid)
{
        const Group *g = call->owner;
        const Waiter *w = call->owner;
        bool any = false;

        if (call->owner_kind == CALL_WAITER)
                return w->job && w->job->uid != uid;
        for (unsigned i = 0; i < g->n; i++)
                any |= g->waiters[i].job && g->waiters[i].job->uid != uid;
        return any;
}

/* --- payloads that are only in the store --- */

/* Is all there that a reply with the job carries? Else it is asked for; EVENT_FETCHED brings it, or
 * tells that it can not be had. */
static bool has_payload(const VarlinkCall *call, Job *job)
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

        if (job->listed && (!to_end || (ended && has_payload(r->call, job)))) {
                reply_submit(r->call, job, duplicate, to_end, false);
                return;
        }
        w = waiter_new(r->call, to_end ? WAITER_SUBMIT_WAIT : WAITER_SUBMIT, job);
        if (!w) {
                no_memory(r->call);
                return;
        }
        w->duplicate = duplicate;
        w->fetches = ended;
        if (r->call->more && job->listed && !ended)
                reply_submit(r->call, job, duplicate, true, true);
}

/* --- Wait --- */

static void reply_job(VarlinkCall *call, const Job *job, bool continues)
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
        no_memory(r->call);
}

/* --- groups --- */

static Group *group_new(VarlinkCall *call, WaiterKind kind, unsigned n)
{
        Group *g = calloc(1, sizeof(*g) + n * sizeof(g->waiters[0]));

        if (!g)
                return NULL;
        g->order = kind == WAITER_MANY ? calloc(n ? n : 1, sizeof(*g->order)) : NULL;
        if (kind == WAITER_MANY && !g->order) {
                free(g);
                return NULL;
        }
        list_init(&g->stream);
        g->call = call;
        g->kind = kind;
        g->n = g->left = n;
        for (unsigned i = 0; i < n; i++) {
                g->waiters[i] = (Waiter){ .kind = kind, .call = call, .group = g };
                list_init(&g->waiters[i].in_job);
        }
        call->owner = g;
        call->owner_kind = CALL_GROUP;
        return g;
}

/* --- SubmitMany --- */

static void reply_batch(Group *g)
{
        VarlinkCall *call = g->call;
        Buffer *b;

        if (g->refused) {
                group_free(g);
                call->owner = NULL;
                api_error_store(call);
                return;
        }
        b = varlink_reply_begin(call);
        emit_key(b, "ids");
        emit_open(b, '[');
        for (unsigned i = 0; i < g->n; i++)
                emit_uuid(b, &g->waiters[i].job->id);
        emit_close(b, ']');
        group_free(g);
        call->owner = NULL;
        varlink_reply_end(call, false);
}

void wait_all_submitted(const Request *r, Job **jobs, unsigned n)
{
        Group *g = group_new(r->call, WAITER_BATCH, n);

        if (!g) {
                no_memory(r->call);
                return;
        }
        for (unsigned i = 0; i < n; i++) {
                if (!attach(&g->waiters[i], jobs[i])) {
                        group_free(g);
                        r->call->owner = NULL;
                        no_memory(r->call);
                        return;
                }
                g->waiters[i].done = jobs[i]->listed;
                g->left -= jobs[i]->listed;
        }
        if (g->left == 0)
                reply_batch(g);
}

static void batch_event(Waiter *w, unsigned events)
{
        Group *g = w->group;

        if (w->done)
                return;
        w->done = true;
        g->refused |= events & EVENT_REFUSED;
        if (events & EVENT_REFUSED)
                detach(w);
        if (--g->left == 0)
                reply_batch(g);
}

/* --- WaitMany --- */

/* The next waiter whose reply may be written; NULL: none yet. */
static Waiter *next_reply(const Group *g)
{
        Waiter *w;

        if (g->next == g->n)
                return NULL;
        if (!g->ordered)
                return g->next < g->ended ? (Waiter *)&g->waiters[g->order[g->next]] : NULL;
        w = (Waiter *)&g->waiters[g->next];
        return w->done ? w : NULL;
}

/* Does the client take replies of the call? What is held behind an earlier call counts, too, but
 * not against that one, or it would wait for itself. */
static bool has_room(const Client *c, const VarlinkCall *call)
{
        size_t limit = CLIENT_SOFT_LIMIT / 2;

        if (buffer_len(&c->server.out) > limit)
                return false;
        return LIST_FIRST(&c->server.calls, VarlinkCall, in_server) == call ||
               client_backlog(c) <= limit;
}

/* Writes what can be written; the group may be gone after it. */
static void stream(Group *g)
{
        Client *c = client_of(g->call);
        VarlinkCall *call = g->call;
        Waiter *w;

        while ((w = next_reply(g))) {
                bool last = g->next + 1 == g->n;
                Job *job = w->job;

                if (!has_payload(call, job))
                        return; /* EVENT_FETCHED goes on here */
                if (!has_room(c, call)) {
                        if (list_empty(&g->stream))
                                list_append(&c->streams, &g->stream);
                        client_stalls(c);
                        return;
                }
                g->next++;
                if (last)
                        call->owner = NULL;
                reply_job(call, job, !last);
                if (last) {
                        group_free(g);
                        return;
                }
                detach(w);
        }
        list_remove(&g->stream);
}

void wait_streams_go_on(Client *c)
{
        Group *g, *next;

        if (list_empty(&c->streams) || buffer_len(&c->server.out) > CLIENT_SOFT_LIMIT / 4)
                return;
        LIST_FOREACH_SAFE(&c->streams, g, next, stream)
                stream(g);
}

static void note_ended(Waiter *w)
{
        Group *g = w->group;

        if (w->done)
                return;
        w->done = true;
        g->order[g->ended++] = (unsigned)(w - g->waiters);
}

static unsigned count_elements(const VarlinkScan *scan, const VarlinkNode *array)
{
        unsigned n = 0;

        for (uint32_t at = array->child; at; at = varlink_node(scan, at)->next)
                n++;
        return n;
}

/* Attaches all of them; false after the call was answered with an error. */
static bool attach_all(const Request *r, Group *g, const VarlinkNode *ids)
{
        unsigned i = 0;

        for (uint32_t at = ids->child; at; at = varlink_node(r->scan, at)->next, i++) {
                Slice text = varlink_slice(r->scan, varlink_node(r->scan, at));
                Job *job = NULL;
                Uuid id;

                if (uuid_parse(text, &id))
                        job = client_find_job(r->client, &id);
                if (!job) {
                        group_free(g);
                        r->call->owner = NULL;
                        api_error_string(r->call, "io.brood.NoSuchJob", "id", text);
                        return false;
                }
                if (!attach(&g->waiters[i], job)) {
                        group_free(g);
                        r->call->owner = NULL;
                        no_memory(r->call);
                        return false;
                }
                if (job_state_ended(job->state))
                        note_ended(&g->waiters[i]);
        }
        return true;
}

void wait_many(const Request *r)
{
        const VarlinkNode *ids = request_field(r, IO_BROOD_WAIT_MANY_IN_IDS);
        unsigned n = count_elements(r->scan, ids);
        Group *g;

        if (!r->call->more) {
                api_error_empty(r->call, "org.varlink.service.ExpectedMore");
                return;
        }
        if (n == 0 || n > MAX_IDS) {
                varlink_invalid_parameter(r->call, "ids");
                return;
        }
        g = group_new(r->call, WAITER_MANY, n);
        if (!g) {
                no_memory(r->call);
                return;
        }
        g->ordered = varlink_bool(r->scan, request_field(r, IO_BROOD_WAIT_MANY_IN_ORDERED));
        if (attach_all(r, g, ids))
                stream(g);
}

/* The job as it is, as soon as its payload is there: a stream of one, so that it keeps to what the
 * client takes. */
void wait_payload(const Request *r, Job *job)
{
        Group *g;

        if (has_payload(r->call, job)) {
                reply_job(r->call, job, false);
                return;
        }
        g = group_new(r->call, WAITER_MANY, 1);
        if (!g || !attach(&g->waiters[0], job)) {
                if (g)
                        group_free(g);
                r->call->owner = NULL;
                no_memory(r->call);
                return;
        }
        note_ended(&g->waiters[0]); /* it is due now, whether it has ended or not */
        stream(g);
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

/* The payload was asked for, and could not be had: neither a reply without it nor asking again and
 * again would be right. */
static void refuse_unreadable(Waiter *w)
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
                reply_job(call, job, false);
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
                        refuse_unreadable(w);
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
                     !has_payload(w->call, job);
        if (!w->fetches)
                reply_last(w, job);
}

static void many_event(Waiter *w, unsigned events)
{
        if (events & EVENT_FETCHED && w->done && core_is_shed(w->job)) {
                refuse_unreadable(w);
                return;
        }
        if (events & EVENT_ENDED)
                note_ended(w);
        if (events & (EVENT_ENDED | EVENT_FETCHED))
                stream(w->group);
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
                        batch_event(w, events);
                else if (w->kind == WAITER_MANY)
                        many_event(w, events);
                else
                        single_event(w, job, events);
        }
        calls->held--;
        calls_release(job);
}
