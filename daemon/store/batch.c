/* SPDX-License-Identifier: MIT */

#include "store/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"
#include "core/ties.h"
#include "store/schema.h"

void batch_clear(StoreBatch *b)
{
        for (unsigned i = 0; i < b->n; i++)
                free(b->items[i].args);
        b->n = b->n_edges = b->n_met = 0;
        b->probe = false;
}

void batch_fini(StoreBatch *b)
{
        batch_clear(b);
        free(b->items);
        free(b->edges);
        free(b->met);
}

/* Makes room for one more. Returns 0 or -ENOMEM. */
static int grow(void *array, unsigned n, unsigned *capacity, size_t size)
{
        void **at = array, *more;
        unsigned wanted = *capacity ? *capacity * 2 : 64;

        if (n < *capacity)
                return 0;
        more = reallocarray(*at, wanted, size);
        if (!more)
                return -ENOMEM;
        *at = more;
        *capacity = wanted;
        return 0;
}

/* Edges from a job that waits to those that have yet to succeed. What succeeds in this very batch
 * has, as its row is written first. */
static int add_edges(StoreBatch *b, StoreItem *item)
{
        const Dependency *d;

        item->first_edge = b->n_edges;
        if (!item->job->ties)
                return 0;
        LIST_FOREACH(&item->job->ties->blockers, d, in_waiting) {
                if (grow(&b->edges, b->n_edges, &b->cap_edges, sizeof(*b->edges)) < 0) {
                        b->n_edges = item->first_edge;
                        return -ENOMEM;
                }
                b->edges[b->n_edges++] = (StoreEdge){ item->job->seq, d->blocker->id, item->now };
        }
        item->n_edges = b->n_edges - item->first_edge;
        return 0;
}

int batch_keep_met(StoreBatch *b, const StoreBatch *failed)
{
        for (unsigned i = 0; i < failed->n_met; i++) {
                if (!failed->met[i].said_once)
                        continue;
                if (grow(&b->met, b->n_met, &b->cap_met, sizeof(*b->met)) < 0)
                        return -ENOMEM;
                b->met[b->n_met++] = failed->met[i];
        }
        return 0;
}

int batch_add_met(StoreBatch *b, const Job *job, usec_t now)
{
        unsigned before = b->n_met;
        const Dependency *d;

        if (!job->ties)
                return 0;
        LIST_FOREACH(&job->ties->dependents, d, in_blocker) {
                if (d->waiting->memory)
                        continue;
                if (grow(&b->met, b->n_met, &b->cap_met, sizeof(*b->met)) < 0) {
                        b->n_met = before;
                        return -ENOMEM;
                }
                b->met[b->n_met++] = (StoreEdge){ d->waiting->seq, job->id, now, job->memory };
        }
        return 0;
}

static JobState state_after(const Job *job, usec_t now)
{
        switch (job->request) {
        case REQUEST_ADMIT:
                return job->claim ? JOB_RUNNING : core_waiting_state(job, now);
        case REQUEST_CLAIM:
                return JOB_RUNNING;
        case REQUEST_SETTLE:
                return job->next_state;
        default:
                return JOB_QUEUED;
        }
}

static uint16_t given_of(const Job *job)
{
        bool ends = job->request == REQUEST_SETTLE && job_state_ended(job->next_state);

        return (uint16_t)(job->has | (job->no_ttl ? STORE_NO_TTL : 0) |
                          (job->cancel_asked && !ends ? STORE_CANCEL_ASKED : 0));
}

int batch_add_mark(StoreBatch *b, Job *job)
{
        if (grow(&b->items, b->n, &b->capacity, sizeof(*b->items)) < 0)
                return -ENOMEM;
        b->items[b->n++] = (StoreItem){ .job = job, .request = REQUEST_MARK,
                                        .state = job->state, .attempt = job->attempt };
        return 0;
}

int batch_add(StoreBatch *b, Job *job, usec_t now)
{
        bool begins = job->request == REQUEST_CLAIM || job->claim;
        StoreItem *item;

        if (grow(&b->items, b->n, &b->capacity, sizeof(*b->items)) < 0)
                return -ENOMEM;
        item = &b->items[b->n];
        *item = (StoreItem){ .job = job,
                             .request = job->request,
                             .claim = job->claim,
                             .state = state_after(job, now),
                             .pool = job->pool,
                             .history = job->history,
                             .reason = job->history->reason,
                             .given = given_of(job),
                             .first_end = job->state == JOB_RUNNING &&
                                          job->history->n_attempts == 1,
                             .result_shed = job->result_shed,
                             .attempt = job->attempt + begins,
                             .budget = job->budget,
                             .order = job->order,
                             .ready_at = job->ready_at,
                             .ended = job->ended,
                             .now = now,
                             .load_args = job->request == REQUEST_CLAIM && job->args_shed };
        if (job->request == REQUEST_ADMIT && add_edges(b, item) < 0)
                return -ENOMEM;
        if (job->request == REQUEST_SETTLE && job->next_state == JOB_SUCCEEDED &&
            batch_add_met(b, job, now) < 0)
                return -ENOMEM;
        b->n++;
        return 0;
}
