/* SPDX-License-Identifier: MIT */

/* Submit and SubmitMany: from a call to admitted jobs. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/calls.h"
#include "api/client.h"
#include "api/methods.h"
#include "api/spec.h"
#include "api/wait.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "core/ties.h"
#include "core/user.h"
#include "io.brood.h"
#include "varlink/json.h"

/* Of the client's user. */
static void refuse_quota(const Request *r, const char *quota, uint64_t limit)
{
        Buffer *b = varlink_error_begin(r->call, "io.brood.QuotaExceeded");

        refusals_note(&r->api->refusals, slice_of(quota), r->now);
        emit_string_member(b, "quota", slice_of(quota));
        emit_int_member(b, "limit", (int64_t)limit);
        varlink_reply_end(r->call, false);
}

/* Where a limit of the user is the reason. */
static bool refuse_user(const Request *r, int why)
{
        const CoreUserLimits *l = &r->api->core->limits.user;

        if (why == CORE_E_USER_QUEUED)
                refuse_quota(r, "queued", l->max_queued);
        else if (why == CORE_E_USER_BYTES)
                refuse_quota(r, "bytes", l->max_bytes);
        else if (why == CORE_E_USER_RATE)
                refuse_quota(r, "rate", l->max_rate);
        else
                return false;
        return true;
}

bool request_within_quota(const Request *r, const Job *job)
{
        Core *core = r->api->core;
        CoreUser *user = r->client->rights.operate ? NULL : user_find(core, job->uid);
        int e = user ? user_check(core, user, job->bytes) : 0;

        if (!e && user)
                e = user_take_rate(core, user, 1, r->now);
        return !refuse_user(r, e);
}

static void refuse(const Request *r, int why, const JobSpec *spec, const Uuid *missing)
{
        const CoreLimits *limits = &r->api->core->limits;

        if (refuse_user(r, why))
                return;
        switch (why) {
        case CORE_E_QUEUE_FULL:
                api_error_int(r->call, "io.brood.QueueFull", "limit", (int64_t)limits->max_queued);
                break;
        case CORE_E_POOL_FULL:
                api_error_int(r->call, "io.brood.QueueFull", "limit",
                              (int64_t)spec->handler->pool->policy.max_queued);
                break;
        case CORE_E_BYTES_FULL:
                api_error_int(r->call, "io.brood.QueueFull", "limit", (int64_t)limits->max_bytes);
                break;
        case CORE_E_NO_BLOCKER:
                api_error_string(r->call, "io.brood.NoSuchJob", "id",
                                 slice_of(uuid_text(missing).text));
                break;
        default:
                api_error_string(r->call, "io.brood.StoreFailed", "message",
                                 SLICE("no memory for the job"));
        }
}

static bool refuse_draining(const Request *r)
{
        if (r->api->draining)
                api_error_empty(r->call, "io.brood.Draining");
        return r->api->draining;
}

/* Descriptors are for an attached exec job, three of them. */
static bool check_fds(const Request *r, const JobSpec *spec)
{
        Client *c = r->client;
        const Pool *pool = spec->handler->pool->owner;
        bool wanted = spec->attached && pool && pool->settings->builtin;

        if (c->n_fds == 0 || (c->n_fds == 3 && wanted))
                return true;
        varlink_invalid_parameter(r->call, "descriptors");
        return false;
}

/* Without memory the command gets none, and the connection loses them. */
static void keep_fds(const Request *r, Job *job)
{
        Client *c = r->client;
        JobTies *ties = c->n_fds == 3 ? ties_get(job, 0) : NULL;

        if (!ties)
                return;
        for (int i = 0; i < 3; i++)
                ties->fds[i] = c->fds[i];
        c->n_fds = 0;
}

/* It ends with the connection. */
static void attach(const Request *r, Job *job)
{
        JobCalls *calls = calls_of(r->api->core, job);

        if (calls)
                list_append(&r->client->attached, &calls->attached);
}

void method_submit(const Request *r)
{
        const VarlinkNode *wait = request_field(r, IO_BROOD_SUBMIT_IN_WAIT);
        ParsedSpec parsed;
        bool duplicate;
        Uuid missing;
        Job *job;
        int e;

        if (refuse_draining(r) ||
            !spec_parse(r, request_field(r, IO_BROOD_SUBMIT_IN_JOB), -1, &parsed))
                return;
        if (!check_fds(r, &parsed.spec)) {
                spec_clear(&parsed);
                return;
        }
        e = core_submit(r->api->core, &parsed.spec, 1, r->now, &job, &duplicate, &missing);
        if (e) {
                refuse(r, e, &parsed.spec, &missing);
                spec_clear(&parsed);
                return;
        }
        r->api->dirty = true;
        if (!duplicate) {
                keep_fds(r, job);
                if (parsed.spec.attached)
                        attach(r, job);
        }
        spec_clear(&parsed);
        wait_submitted(r, job, duplicate, varlink_bool(r->scan, wait));
}

/* What SubmitMany holds while it reads. */
typedef struct Many {
        unsigned n;
        ParsedSpec *parsed;
        JobSpec *specs;
        Job **jobs;
        bool *duplicate;
} Many;

static void many_clear(Many *m)
{
        for (unsigned i = 0; m->parsed && i < m->n; i++)
                spec_clear(&m->parsed[i]);
        free(m->parsed);
        free(m->specs);
        free(m->jobs);
        free(m->duplicate);
}

DEFINE_FINI(Many, many_clear);

static bool many_init(Many *m, unsigned n)
{
        *m = (Many){ .n = n,
                     .parsed = calloc(n, sizeof(*m->parsed)),
                     .specs = calloc(n, sizeof(*m->specs)),
                     .jobs = calloc(n, sizeof(Job *)),
                     .duplicate = calloc(n, sizeof(*m->duplicate)) };
        return m->parsed && m->specs && m->jobs && m->duplicate;
}

static bool parse_all(const Request *r, const VarlinkNode *list, Many *m)
{
        unsigned i = 0;

        for (uint32_t at = list->child; at; at = varlink_node(r->scan, at)->next, i++) {
                if (!spec_parse(r, varlink_node(r->scan, at), (int)i, &m->parsed[i]))
                        return false;
                m->specs[i] = m->parsed[i].spec;
        }
        return true;
}

/* Which of them was too much, for the limit to name: as core_submit() fails at the first, any of a
 * full pool will do. */
static const JobSpec *culprit(const Many *m)
{
        for (unsigned i = 0; i < m->n; i++) {
                const CorePool *pool = m->specs[i].handler->pool;

                if (pool->policy.max_queued && pool->open + m->n > pool->policy.max_queued)
                        return &m->specs[i];
        }
        return &m->specs[0];
}

void method_submit_many(const Request *r)
{
        const VarlinkNode *list = request_field(r, IO_BROOD_SUBMIT_MANY_IN_JOBS);
        AUTO(many_clear) Many m = { 0 };
        unsigned n = 0;
        Uuid missing;
        int e;

        if (refuse_draining(r))
                return;
        for (uint32_t at = list->child; at; at = varlink_node(r->scan, at)->next)
                n++;
        if (!many_init(&m, MAX(n, 1u))) {
                refuse(r, -ENOMEM, NULL, NULL);
                return;
        }
        if (!parse_all(r, list, &m))
                return;
        e = core_submit(r->api->core, m.specs, n, r->now, m.jobs, m.duplicate, &missing);
        if (e) {
                refuse(r, e, culprit(&m), &missing);
                return;
        }
        r->api->dirty = true;
        for (unsigned i = 0; i < n; i++)
                if (!m.duplicate[i] && m.specs[i].attached)
                        attach(r, m.jobs[i]);
        wait_all_submitted(r, m.jobs, n);
}
