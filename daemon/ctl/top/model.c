/* SPDX-License-Identifier: MIT */

#include "ctl/top/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/uuid.h"

/* In the order of the interface, as board_layout.h says. */
enum { SCHEDULED, BLOCKED, QUEUED, RUNNING, SUCCEEDED, FAILED, QUARANTINED, CANCELLED, EXPIRED };
enum { OUTCOME_DIED = 5 };

const char *top_job_state(unsigned i)
{
        static const char *const names[BOARD_STATES] = { "scheduled", "blocked",     "queued",
                                                         "running",   "succeeded",   "failed",
                                                         "quarantined", "cancelled", "expired" };

        return names[i];
}

const char *top_death_cause(unsigned i)
{
        static const char *const names[BOARD_DEATHS] = { "exit",    "signal",   "killed",
                                                         "out of memory", "timeout", "cancel",
                                                         "protocol", "start",   "fork server" };

        return names[i];
}

/* --- between two moments --- */

typedef struct Between {
        const TopSample *now, *base; /* base: NULL if it is since the start */
        double seconds;
} Between;

static double rate(const Between *b, uint64_t now, uint64_t base)
{
        return b->seconds > 0 && now > base ? (double)(now - base) / b->seconds : 0;
}

static TopTimes times_of(const Histogram *h)
{
        if (!histogram_count(h))
                return (TopTimes){ TOP_NO_TIME, TOP_NO_TIME, TOP_NO_TIME };
        return (TopTimes){ histogram_quantile(h, 0.5), histogram_quantile(h, 0.95),
                           histogram_quantile(h, 0.99) };
}

static const BoardHead no_head;
static const BoardPool no_pool;
static const BoardHandler no_handler;

static const BoardHead *base_head(const Between *b)
{
        return b->base ? &b->base->head : &no_head;
}

/* The record of the same one at the earlier moment; one that has begun anew since then had none. */
static const BoardPool *base_pool(const Between *b, uint32_t i)
{
        const BoardPool *now = &b->now->pools[i], *base = NULL;

        if (b->base && i < b->base->n_pools)
                base = &b->base->pools[i];
        return base && strcmp(base->name, now->name) == 0 && base->done <= now->done ? base
                                                                                     : &no_pool;
}

static const BoardHandler *base_handler(const Between *b, uint32_t i)
{
        const BoardHandler *now = &b->now->handlers[i], *base = NULL;

        if (b->base && i < b->base->n_handlers)
                base = &b->base->handlers[i];
        if (!base || strcmp(base->name, now->name) != 0 || base->submitted > now->submitted)
                return &no_handler;
        return base;
}

static uint64_t ended(const BoardHandler *h)
{
        uint64_t n = 0;

        for (unsigned i = SUCCEEDED; i < BOARD_STATES; i++)
                n += h->ended[i];
        return n;
}

static uint64_t failed(const BoardHandler *h)
{
        return h->ended[FAILED] + h->ended[QUARANTINED];
}

/* --- pools --- */

static const char *pool_name(const TopSample *s, uint32_t i)
{
        return i < s->n_pools ? s->pools[i].name : "";
}

/* Of all its handlers. */
static void pool_flow(const Between *b, uint32_t place, TopPool *p)
{
        Histogram wait = { 0 }, run = { 0 };

        for (uint32_t i = 0; i < b->now->n_handlers; i++) {
                const BoardHandler *h = &b->now->handlers[i], *base = base_handler(b, i);
                Histogram waited, ran;

                if (!h->name[0] || h->pool != place)
                        continue;
                waited = histogram_since(&h->waiting, &base->waiting);
                ran = histogram_since(&h->running, &base->running);
                histogram_merge(&wait, &waited);
                histogram_merge(&run, &ran);
                p->submit_rate += rate(b, h->submitted, base->submitted);
                p->fail_rate += rate(b, failed(h), failed(base));
        }
        p->wait = times_of(&wait);
        p->run = times_of(&run);
}

static void pool_workers(const TopSample *s, uint32_t place, TopPool *p)
{
        for (uint32_t i = 0; i < s->workers.n; i++) {
                const BoardWorker *w = &s->workers.list[i];

                if (w->first.pool != place)
                        continue;
                p->workers++;
                p->starting += w->first.state == BOARD_STARTING;
                p->spare += w->first.state == BOARD_SPARE;
                p->leaving += w->first.state == BOARD_LEAVING;
                if (w->busy || w->first.state == BOARD_IDLE) {
                        p->slots += w->n_slots;
                        p->busy += w->n_jobs;
                }
        }
}

static void make_pool(const Between *b, uint32_t place, TopPool *p)
{
        const BoardPool *now = &b->now->pools[place];

        memcpy(p->name, now->name, sizeof(p->name));
        memcpy(p->state, now->state, sizeof(p->state));
        memcpy(p->why, now->why, sizeof(p->why));
        p->min_workers = now->min_workers;
        p->max_workers = now->max_workers;
        p->queued = now->jobs[QUEUED];
        p->held = now->jobs[SCHEDULED] + now->jobs[BLOCKED];
        p->running = now->jobs[RUNNING];
        p->done = now->done;
        p->done_rate = rate(b, now->done, base_pool(b, place)->done);
        memcpy(p->deaths_by, now->deaths, sizeof(p->deaths_by));
        for (unsigned i = 0; i < BOARD_DEATHS; i++)
                p->deaths += now->deaths[i];
        pool_flow(b, place, p);
        pool_workers(b->now, place, p);
}

static int make_pools(const Between *b, TopModel *m)
{
        m->pools = calloc(b->now->n_pools + 1, sizeof(*m->pools));
        if (!m->pools)
                return -ENOMEM;
        for (uint32_t i = 0; i < b->now->n_pools; i++)
                if (b->now->pools[i].name[0])
                        make_pool(b, i, &m->pools[m->n_pools++]);
        return 0;
}

/* --- handlers --- */

static void make_handler(const Between *b, uint32_t place, TopHandler *h)
{
        const BoardHandler *now = &b->now->handlers[place], *base = base_handler(b, place);
        Histogram wait = histogram_since(&now->waiting, &base->waiting);
        Histogram run = histogram_since(&now->running, &base->running);

        memcpy(h->name, now->name, sizeof(h->name));
        (void)snprintf(h->pool, sizeof(h->pool), "%s", pool_name(b->now, now->pool));
        if (now->resting_until) {
                (void)snprintf(h->state, sizeof(h->state), "resting");
                h->rests = now->resting_until > b->now->at ? now->resting_until - b->now->at : 0;
        }
        h->succeeded = now->ended[SUCCEEDED];
        h->failed = failed(now);
        h->ended = ended(now);
        h->deaths = now->attempts[OUTCOME_DIED];
        h->submit_rate = rate(b, now->submitted, base->submitted);
        h->done_rate = rate(b, ended(now), ended(base));
        h->fail_rate = rate(b, failed(now), failed(base));
        h->wait = times_of(&wait);
        h->run = times_of(&run);
}

static int make_handlers(const Between *b, TopModel *m)
{
        m->handlers = calloc(b->now->n_handlers + 1, sizeof(*m->handlers));
        if (!m->handlers)
                return -ENOMEM;
        for (uint32_t i = 0; i < b->now->n_handlers; i++) {
                TopHandler *h = &m->handlers[m->n_handlers];

                if (!b->now->handlers[i].name[0])
                        continue;
                make_handler(b, i, h);
                m->submit_rate += h->submit_rate;
                m->done_rate += h->done_rate;
                m->fail_rate += h->fail_rate;
                m->n_handlers++;
        }
        return 0;
}

/* --- workers and jobs --- */

static int by_worker(const void *a, const void *b)
{
        const BoardWorker *v = a, *w = b;
        const BoardSlot *x = &v->first, *y = &w->first;

        if (x->pool != y->pool)
                return x->pool < y->pool ? -1 : 1;
        if (x->seat != y->seat)
                return x->seat < y->seat ? -1 : 1;
        return (x->generation > y->generation) - (x->generation < y->generation);
}

/* Since it started, if there is nothing to compare with. */
static double cpu_share(const Between *b, const BoardWorker *w)
{
        const BoardWorkers *then = b->base ? &b->base->workers : NULL;
        const BoardWorker *base = then ? bsearch(w, then->list, then->n, sizeof(*w), by_worker)
                                       : NULL;
        usec_t from = base ? b->base->at : w->first.started, used = w->figures.cpu_usec;

        if (base && base->figures.cpu_usec <= used)
                used -= base->figures.cpu_usec;
        return b->now->at > from ? 100.0 * (double)used / (double)(b->now->at - from) : 0;
}

static usec_t age_of(const TopSample *s, usec_t since)
{
        if (!since)
                return TOP_NO_TIME;
        return s->at > since ? s->at - since : 0;
}

static const char *handler_name(const TopSample *s, uint32_t i)
{
        return i < s->n_handlers ? s->handlers[i].name : "";
}

static void make_job(const TopSample *s, const BoardWorker *w, const BoardSlot *slot, TopJob *j)
{
        Uuid id;

        memcpy(id.bytes, slot->job, sizeof(id.bytes));
        (void)snprintf(j->id, sizeof(j->id), "%s", uuid_text(&id).text);
        (void)snprintf(j->handler, sizeof(j->handler), "%s", handler_name(s, slot->handler));
        memcpy(j->worker, w->name, sizeof(j->worker));
        memcpy(j->pool, w->pool, sizeof(j->pool));
        j->pid = (uint64_t)slot->pid;
        j->attempt = slot->attempt;
        j->uid = slot->uid;
        j->age = age_of(s, slot->since);
}

static void make_worker(const Between *b, const BoardWorker *w, const TopJob *jobs, TopWorker *to)
{
        memcpy(to->name, w->name, sizeof(to->name));
        memcpy(to->pool, w->pool, sizeof(to->pool));
        (void)snprintf(to->state, sizeof(to->state), "%s", board_worker_state(w));
        to->pid = (uint64_t)w->first.pid;
        to->generation = w->first.generation;
        to->slots = w->n_slots;
        to->jobs = w->n_jobs;
        to->done = w->first.done;
        to->memory = w->figures.memory_bytes;
        to->cpu = cpu_share(b, w);
        to->age = age_of(b->now, w->first.started);
        to->busy = TOP_NO_TIME;
        for (uint32_t i = 0; i < w->n_jobs; i++) {
                if (to->busy != TOP_NO_TIME && jobs[i].age <= to->busy)
                        continue;
                to->busy = jobs[i].age;
                memcpy(to->job, jobs[i].id, sizeof(to->job));
                memcpy(to->handler, jobs[i].handler, sizeof(to->handler));
        }
}

static int make_workers(const Between *b, TopModel *m)
{
        const BoardWorkers *all = &b->now->workers;

        m->workers = calloc(all->n + 1, sizeof(*m->workers));
        m->jobs = calloc(all->n_slots + 1, sizeof(*m->jobs));
        if (!m->workers || !m->jobs)
                return -ENOMEM;
        for (uint32_t i = 0; i < all->n; i++) {
                const BoardWorker *w = &all->list[i];
                const TopJob *own = m->jobs + m->n_jobs;

                for (uint32_t k = 0; k < w->n_jobs; k++)
                        make_job(b->now, w, &w->jobs[k], &m->jobs[m->n_jobs++]);
                make_worker(b, w, own, &m->workers[m->n_workers++]);
        }
        return 0;
}

/* --- all of it --- */

static void make_head(const Between *b, TopModel *m)
{
        const BoardHead *now = &b->now->head, *base = base_head(b);
        Histogram turns = histogram_since(&now->turns, &base->turns);
        Histogram commits = histogram_since(&now->commits, &base->commits);

        m->turn = times_of(&turns);
        m->commit = times_of(&commits);
}

int top_model_make(TopModel *ret, const TopSample *now, const TopSample *base)
{
        usec_t from = base ? base->at : now->head.started;
        Between b = { .now = now, .base = base };
        TopModel m = { .now = now, .since_start = !base };
        int r;

        m.span = now->at > from ? now->at - from : 0;
        b.seconds = (double)m.span / USEC_PER_SEC;
        make_head(&b, &m);
        r = make_pools(&b, &m);
        if (r == 0)
                r = make_handlers(&b, &m);
        if (r == 0)
                r = make_workers(&b, &m);
        if (r < 0)
                top_model_fini(&m);
        else
                *ret = m;
        return r;
}

void top_model_fini(TopModel *m)
{
        free(m->pools);
        free(m->handlers);
        free(m->workers);
        free(m->jobs);
        *m = (TopModel){ 0 };
}
