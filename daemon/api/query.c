/* SPDX-License-Identifier: MIT */

/* What is: Get, List, ListWorkers. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/client.h"
#include "api/job_json.h"
#include "api/methods.h"
#include "process/proc.h"
#include "api/wait.h"
#include "io.brood.h"
#include "store/store.h"
#include "varlink/json.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000 };

void method_get(const Request *r)
{
        Job *job = request_job(r, IO_BROOD_GET_IN_ID);

        if (job)
                wait_payload(r, job);
}

/* --- List --- */

typedef struct Filter {
        const Request *request;
        bool by_state;
        JobState state;
        Slice pool, handler; /* length 0: any */
        char *tag;           /* NULL: any */
} Filter;

static bool has_tag(const Job *job, const char *tag)
{
        Slice text = job_text(job, JOB_HAS_TAGS);
        json_t *tags = json_loadb(text.data, text.len, 0, NULL), *one;
        bool found = false;
        size_t i;

        json_array_foreach(tags, i, one)
                found |= strcmp(json_string_value(one), tag) == 0;
        json_decref(tags);
        return found;
}

static bool matches(const Filter *f, const Job *job)
{
        const Client *c = f->request->client;

        return client_sees(c, job->uid) &&
               (!f->by_state || job_shown_state(job) == f->state) &&
               (!f->pool.len || slice_is(f->pool, job->pool->name)) &&
               (!f->handler.len || slice_is(f->handler, job->handler->name)) &&
               (!f->tag || (job->has & JOB_HAS_TAGS && has_tag(job, f->tag)));
}

static void write_list(const Filter *f, const List *from, int64_t limit)
{
        const List *head = &f->request->api->core->all;
        Buffer *b = varlink_reply_begin(f->request->call);

        emit_key(b, "jobs");
        emit_open(b, '[');
        for (const List *at = from; at != head && limit > 0; at = at->prev) {
                const Job *job = CONTAINER_OF(at, Job, all);

                if (!matches(f, job))
                        continue;
                job_json(b, job, false);
                limit--;
        }
        emit_close(b, ']');
        varlink_reply_end(f->request->call, false);
}

void method_list(const Request *r)
{
        const VarlinkNode *state = request_field(r, IO_BROOD_LIST_IN_STATE);
        const VarlinkNode *tag = request_field(r, IO_BROOD_LIST_IN_TAG);
        const VarlinkNode *limit = request_field(r, IO_BROOD_LIST_IN_LIMIT);
        const List *from = r->api->core->all.prev;
        int64_t n = limit->present ? varlink_int(r->scan, limit) : LIST_DEFAULT;
        Filter f = { .request = r,
                     .by_state = state->present,
                     .state = (JobState)state->child,
                     .pool = request_slice(r, IO_BROOD_LIST_IN_POOL),
                     .handler = request_slice(r, IO_BROOD_LIST_IN_HANDLER) };

        if (n < 1) {
                varlink_invalid_parameter(r->call, "limit");
                return;
        }
        if (request_field(r, IO_BROOD_LIST_IN_BEFORE)->present) {
                const Job *before = request_job(r, IO_BROOD_LIST_IN_BEFORE);

                if (!before)
                        return;
                from = before->all.prev;
        }
        f.tag = tag->present ? varlink_string(r->scan, tag) : NULL;
        write_list(&f, from, MIN(n, (int64_t)LIST_MAX));
        free(f.tag);
}

/* --- ListWorkers --- */

/* Only those that the client may see. */
static void write_jobs(Buffer *b, const Worker *w, const Client *c)
{
        emit_key(b, "jobs");
        emit_open(b, '[');
        for (unsigned s = 0; s < w->n_slots; s++)
                for (unsigned i = 0; i < w->slots[s].count; i++) {
                        const Job *job = slot_job(&w->slots[s], i);

                        if (job && job_shown_state(job) == JOB_RUNNING &&
                            client_sees(c, job->uid))
                                emit_uuid(b, &job->id);
                }
        emit_close(b, ']');
}

static void write_worker(Buffer *b, const Worker *w, const Client *c)
{
        ProcFigures f;

        proc_figures(w->pid, &f);
        emit_open(b, '{');
        emit_string_member(b, "name", slice_of(w->name));
        emit_string_member(b, "pool", slice_of(w->pool->core->name));
        emit_int_member(b, "pid", w->pid);
        emit_int_member(b, "generation", w->generation);
        emit_string_member(b, "state", slice_of(worker_state_name(w)));
        write_jobs(b, w, c);
        emit_int_member(b, "jobs_done", (int64_t)w->jobs_done);
        emit_int_member(b, "started_usec", (int64_t)w->started);
        emit_int_member(b, "memory_bytes", (int64_t)f.memory_bytes);
        emit_int_member(b, "cpu_usec", (int64_t)f.cpu_usec);
        emit_close(b, '}');
}

static int by_seat(const void *a, const void *b)
{
        const Worker *x = *(Worker *const *)a, *y = *(Worker *const *)b;

        if (x->seat != y->seat)
                return x->seat < y->seat ? -1 : 1;
        return (x->generation > y->generation) - (x->generation < y->generation);
}

/* The workers of a pool in the order of their seats. */
static void write_workers(Buffer *b, const Pool *pool, const Client *c)
{
        unsigned n = pool_count(pool).workers, i = 0;
        Worker **sorted = calloc(n ? n : 1, sizeof(Worker *)), *w;

        if (!sorted) {
                b->failed = true;
                return;
        }
        LIST_FOREACH(&pool->workers, w, in_pool)
                sorted[i++] = w;
        qsort(sorted, n, sizeof(Worker *), by_seat);
        for (i = 0; i < n; i++)
                write_worker(b, sorted[i], c);
        free(sorted);
}

void method_list_workers(const Request *r)
{
        bool one = request_field(r, IO_BROOD_LIST_WORKERS_IN_POOL)->present;
        Pool *wanted = one ? request_pool(r, IO_BROOD_LIST_WORKERS_IN_POOL) : NULL;
        const Pool *pool;
        Buffer *b;

        if (one && !wanted)
                return;
        b = varlink_reply_begin(r->call);
        emit_key(b, "workers");
        emit_open(b, '[');
        LIST_FOREACH(&r->api->pools->pools, pool, link)
                if (!wanted || pool == wanted)
                        write_workers(b, pool, r->client);
        emit_close(b, ']');
        varlink_reply_end(r->call, false);
}
