/* SPDX-License-Identifier: MIT */

/* SubmitMany and WaitMany. The replies of WaitMany are only written while the client takes them. */

#include "api/waiter.h"

#include <stdlib.h>

#include "api/calls.h"
#include "api/wait.h"
#include "io.brood.h"
#include "varlink/json.h"

enum { MAX_IDS = 100000 }; /* of one WaitMany */

/* The waiters of one SubmitMany or WaitMany. */
struct WaitGroup {
        List stream; /* Client.streams, while replies wait for room */
        VarlinkCall *call;
        WaiterKind kind;
        bool ordered, refused;
        unsigned n, left; /* that have not come so far yet */
        unsigned next;    /* ordered: whose turn it is */
        unsigned ended;   /* unordered: entries of `order` */
        unsigned *order;  /* unordered: indexes as they ended */
        Waiter waiters[];
};

void wait_group_free(WaitGroup *g)
{
        list_remove(&g->stream);
        for (unsigned i = 0; i < g->n; i++)
                waiter_detach(&g->waiters[i]);
        free(g->order);
        free(g);
}

bool wait_group_shows_others(const WaitGroup *g, uint32_t uid)
{
        bool any = false;

        for (unsigned i = 0; i < g->n; i++)
                any |= g->waiters[i].job && g->waiters[i].job->uid != uid;
        return any;
}

static WaitGroup *group_new(VarlinkCall *call, WaiterKind kind, unsigned n)
{
        WaitGroup *g = calloc(1, sizeof(*g) + n * sizeof(g->waiters[0]));

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

static void reply_batch(WaitGroup *g)
{
        VarlinkCall *call = g->call;
        Buffer *b;

        if (g->refused) {
                wait_group_free(g);
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
        wait_group_free(g);
        call->owner = NULL;
        varlink_reply_end(call, false);
}

void wait_all_submitted(const Request *r, Job **jobs, unsigned n)
{
        WaitGroup *g = group_new(r->call, WAITER_BATCH, n);

        if (!g) {
                wait_no_memory(r->call);
                return;
        }
        for (unsigned i = 0; i < n; i++) {
                if (!waiter_attach(&g->waiters[i], jobs[i])) {
                        wait_group_free(g);
                        r->call->owner = NULL;
                        wait_no_memory(r->call);
                        return;
                }
                g->waiters[i].done = jobs[i]->listed;
                g->left -= jobs[i]->listed;
        }
        if (g->left == 0)
                reply_batch(g);
}

void wait_batch_event(Waiter *w, unsigned events)
{
        WaitGroup *g = w->group;

        if (w->done)
                return;
        w->done = true;
        g->refused |= events & EVENT_REFUSED;
        if (events & EVENT_REFUSED)
                waiter_detach(w);
        if (--g->left == 0)
                reply_batch(g);
}

/* --- WaitMany --- */

/* The next waiter whose reply may be written; NULL: none yet. */
static Waiter *next_reply(const WaitGroup *g)
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
static void stream(WaitGroup *g)
{
        Client *c = client_of(g->call);
        VarlinkCall *call = g->call;
        Waiter *w;

        while ((w = next_reply(g))) {
                bool last = g->next + 1 == g->n;
                Job *job = w->job;

                if (!wait_has_payload(call, job))
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
                wait_reply_job(call, job, !last);
                if (last) {
                        wait_group_free(g);
                        return;
                }
                waiter_detach(w);
        }
        list_remove(&g->stream);
}

void wait_streams_go_on(Client *c)
{
        WaitGroup *g, *next;

        if (list_empty(&c->streams) || buffer_len(&c->server.out) > CLIENT_SOFT_LIMIT / 4)
                return;
        LIST_FOREACH_SAFE(&c->streams, g, next, stream)
                stream(g);
}

static void note_ended(Waiter *w)
{
        WaitGroup *g = w->group;

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
static bool attach_all(const Request *r, WaitGroup *g, const VarlinkNode *ids)
{
        unsigned i = 0;

        for (uint32_t at = ids->child; at; at = varlink_node(r->scan, at)->next, i++) {
                Slice text = varlink_slice(r->scan, varlink_node(r->scan, at));
                Job *job = NULL;
                Uuid id;

                if (uuid_parse(text, &id))
                        job = client_find_job(r->client, &id);
                if (!job) {
                        wait_group_free(g);
                        r->call->owner = NULL;
                        api_error_string(r->call, "io.brood.NoSuchJob", "id", text);
                        return false;
                }
                if (!waiter_attach(&g->waiters[i], job)) {
                        wait_group_free(g);
                        r->call->owner = NULL;
                        wait_no_memory(r->call);
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
        WaitGroup *g;

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
                wait_no_memory(r->call);
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
        WaitGroup *g;

        if (wait_has_payload(r->call, job)) {
                wait_reply_job(r->call, job, false);
                return;
        }
        g = group_new(r->call, WAITER_MANY, 1);
        if (!g || !waiter_attach(&g->waiters[0], job)) {
                if (g)
                        wait_group_free(g);
                r->call->owner = NULL;
                wait_no_memory(r->call);
                return;
        }
        note_ended(&g->waiters[0]); /* it is due now, whether it has ended or not */
        stream(g);
}

void wait_many_event(Waiter *w, unsigned events)
{
        if (events & EVENT_FETCHED && w->done && core_is_shed(w->job)) {
                wait_unreadable(w);
                return;
        }
        if (events & EVENT_ENDED)
                note_ended(w);
        if (events & (EVENT_ENDED | EVENT_FETCHED))
                stream(w->group);
}
