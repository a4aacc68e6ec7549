/* SPDX-License-Identifier: MIT */

/* What daemon/api asks of core, and what it does with what core tells. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "core/user.h"
#include "world.h"

enum { MAX_BATCH = 6 };

/* Somebody waits for the job: what is not NULL is enough for core. */
static char waiter;

/* --- specs --- */

static usec_t some_time(World *w, unsigned most_ms)
{
        return dice_below(&w->dice, most_ms) * USEC_PER_MSEC;
}

static bool one_in(World *w, unsigned n)
{
        return dice_below(&w->dice, n) == 0;
}

static void choose_times(World *w, SimSpec *s)
{
        if (one_in(w, 10)) {
                s->has |= JOB_HAS_RUN_AT;
                s->run_at = w->now - 2 * USEC_PER_SEC + some_time(w, 20000);
        } else if (one_in(w, 8)) {
                s->has |= JOB_HAS_DELAY;
                s->delay = some_time(w, 8000);
        }
        if (one_in(w, 6)) {
                s->has |= JOB_HAS_TTL;
                s->ttl = some_time(w, 10000);
        }
        if (one_in(w, 6)) {
                s->has |= JOB_HAS_KEEP;
                s->keep = some_time(w, 20000);
        }
        if (one_in(w, 4)) {
                s->has |= JOB_HAS_TIMEOUT;
                s->timeout = some_time(w, 3000);
        }
}

static void choose_units(World *w, SimSpec *s)
{
        unsigned n = one_in(w, 3) ? 1 + dice_below(&w->dice, 3) : 0;

        while (n--) {
                unsigned i = dice_below(&w->dice, SIM_SEMAPHORES);

                if (w->config.sizes[i])
                        s->units |= 1u << i;
        }
}

/* Jobs that are there, or that nobody knows, or one of the same batch. */
static void choose_after(World *w, SimSpec *s, SimJob *const *batch, unsigned n)
{
        unsigned wanted = one_in(w, 5) ? 1 + dice_below(&w->dice, SIM_AFTER) : 0;

        while (wanted--) {
                const SimJob *m = n && one_in(w, 2) ? batch[dice_below(&w->dice, n)]
                                                    : model_pick(w);
                bool there = m && m->life != LIFE_NONE && m->spec.uid == s->uid;

                if (m && (there || (n && m == batch[n - 1]) || one_in(w, 60)))
                        s->after[s->n_after++] = m->id;
        }
}

static void choose_spec(World *w, SimJob *m, SimJob *const *batch, unsigned n)
{
        static const unsigned lengths[] = { 2, 40, SIM_LARGE, SIM_LARGE + 1, 240 };
        SimSpec *s = &m->spec;
        uint32_t uid = s->uid;

        *s = (SimSpec){ .uid = uid, .handler = dice_below(&w->dice, SIM_HANDLERS) };
        s->has = one_in(w, 3) ? 0 : JOB_HAS_ID;
        s->args_len = lengths[one_in(w, 3) ? dice_below(&w->dice, ELEMENTS(lengths)) : 0];
        s->memory = one_in(w, 4);
        s->attached = one_in(w, 20);
        s->has |= s->attached ? JOB_HAS_ATTACHED : 0;
        s->tags = one_in(w, 5);
        if (one_in(w, 3)) {
                s->has |= JOB_HAS_PRIORITY;
                s->priority = (int)dice_below(&w->dice, 5) - 2;
        }
        if (one_in(w, 3)) {
                s->has |= JOB_HAS_MAX_ATTEMPTS;
                s->max_attempts = 1 + dice_below(&w->dice, 5);
        }
        if (one_in(w, 5)) {
                s->has |= JOB_HAS_UNIQUE_KEY;
                s->key = dice_below(&w->dice, SIM_KEYS);
        }
        choose_times(w, s);
        choose_units(w, s);
        choose_after(w, s, batch, n);
}

/* The texts and lists that a JobSpec points at. */
typedef struct Parts {
        char args[SIM_TEXT], key[8], semaphores[64], after[SIM_AFTER * 40 + 8];
        CoreSemaphore *units[SIM_SEMAPHORES];
} Parts;

static Slice list_units(World *w, const SimSpec *s, Parts *parts, unsigned *ret_n)
{
        int n = 0;

        *ret_n = 0;
        for (unsigned i = 0; i < SIM_SEMAPHORES; i++) {
                if (!(s->units & 1u << i))
                        continue;
                n += snprintf(parts->semaphores + n, sizeof(parts->semaphores) - (size_t)n,
                              "%c\"s%u\"", *ret_n ? ',' : '[', i);
                parts->units[(*ret_n)++] = w->semaphores[i];
        }
        parts->semaphores[n++] = ']';
        return (Slice){ parts->semaphores, *ret_n ? (size_t)n : 0 };
}

static Slice list_after(const SimSpec *s, Parts *parts)
{
        int n = 0;

        for (unsigned i = 0; i < s->n_after; i++)
                n += snprintf(parts->after + n, sizeof(parts->after) - (size_t)n, "%c\"%s\"",
                              i ? ',' : '[', uuid_text(&s->after[i]).text);
        parts->after[n++] = ']';
        return (Slice){ parts->after, s->n_after ? (size_t)n : 0 };
}

static JobSpec make_spec(World *w, const SimJob *m, Parts *parts)
{
        const SimSpec *s = &m->spec;
        JobSpec spec = { .handler = w->handlers[s->handler], .id = m->id, .has = s->has,
                         .priority = s->priority, .max_attempts = s->max_attempts,
                         .run_at = s->run_at, .delay = s->delay, .timeout = s->timeout,
                         .ttl = s->ttl, .keep = s->keep, .args = model_args(m, parts->args),
                         .blockers = s->after, .n_blockers = s->n_after, .memory = s->memory,
                         .attached = s->attached, .uid = s->uid, .gid = s->uid };

        if (s->has & JOB_HAS_UNIQUE_KEY) {
                memset(parts->key, 'k', sizeof(parts->key));
                spec.unique_key = (Slice){ parts->key, s->key }; /* the first one is empty */
        }
        if (s->tags)
                spec.tags = SLICE("[\"red\",\"blue\"]");
        spec.semaphores = list_units(w, s, parts, &spec.n_units);
        spec.units = parts->units;
        spec.after = list_after(s, parts);
        return spec;
}

/* --- submitting --- */

static SimJob **key_of(World *w, const SimJob *m)
{
        return &w->keys[m->spec.handler][m->spec.key][m->spec.uid - 1000];
}

/* The model of the job that should be found instead of a new one; NULL: none. */
static SimJob *expected(World *w, SimJob *m)
{
        SimJob *owner = m->spec.has & JOB_HAS_UNIQUE_KEY ? *key_of(w, m) : NULL;

        if (m->spec.has & JOB_HAS_ID && m->life != LIFE_NONE)
                return m;
        return owner && model_is_open(owner) && owner->spec.has & JOB_HAS_UNIQUE_KEY &&
                               key_of(w, owner) == key_of(w, m)
                       ? owner
                       : NULL;
}

static void accepted(World *w, SimJob *m, Job *job, bool duplicate)
{
        SimJob *there = expected(w, m);

        CHECK(w, m, duplicate == (there != NULL));
        if (duplicate) {
                CHECK(w, m, job->uid == there->spec.uid && uuid_equal(&job->id, &there->id));
                world_note(w, there == m ? SIM_SAME_ID : SIM_SAME_KEY, m->index, there->index, 0);
                return;
        }
        if (m->spec.has & JOB_HAS_UNIQUE_KEY)
                *key_of(w, m) = m;
        oracle_submitted(w, m, job);
        job->calls = &waiter; /* until it is admitted, at least */
}

/* What a refused call must leave as it was. */
typedef struct Books {
        uint64_t open, bytes, ids, keys, kept_bytes, timers;
} Books;

static Books books_of(const Core *core)
{
        return (Books){ core->open, core->bytes, core->ids.count, core->keys.count,
                        core->kept_bytes, core->timers.count };
}

static void check_other_refusal(World *w, int e, uint32_t uid)
{
        const CoreUserLimits *l = &w->core.limits.user;
        const CoreUser *user = user_find(&w->core, uid);
        bool of_user = e == CORE_E_USER_QUEUED || e == CORE_E_USER_BYTES || e == CORE_E_USER_RATE;

        CHECK(w, NULL, of_user || e == CORE_E_POOL_FULL || e == CORE_E_BYTES_FULL);
        CHECK(w, NULL, !of_user || uid != w->core.limits.own_uid);
        if (e == CORE_E_USER_QUEUED)
                CHECK(w, NULL, l->max_queued && user->open + MAX_BATCH > l->max_queued);
        if (e == CORE_E_USER_BYTES)
                CHECK(w, NULL, l->max_bytes > 0);
        if (e == CORE_E_USER_RATE)
                CHECK(w, NULL, l->max_rate && (l->max_rate < MAX_BATCH ||
                                               user->rate_until > w->now));
        w->seen[SIM_QUOTA] += of_user;
}

static void check_refusal(World *w, int e, const Uuid *missing, uint32_t uid, const Books *before)
{
        const CoreLimits *l = &w->core.limits;
        Books after = books_of(&w->core);

        CHECK(w, NULL, memcmp(before, &after, sizeof(after)) == 0);
        world_note(w, e == CORE_E_NO_BLOCKER ? SIM_NO_BLOCKER : SIM_FULL, SIM_NOBODY, e, 0);
        if (e == CORE_E_NO_BLOCKER)
                CHECK(w, NULL, !table_find(&w->core, missing, uid));
        else if (e == CORE_E_QUEUE_FULL)
                CHECK(w, NULL, l->max_queued && w->core.open + MAX_BATCH > l->max_queued);
        else
                check_other_refusal(w, e, uid);
}

static void submit(World *w, SimJob **models, unsigned n)
{
        bool duplicate[MAX_BATCH];
        JobSpec specs[MAX_BATCH] = { 0 };
        Parts parts[MAX_BATCH];
        Job *jobs[MAX_BATCH];
        Books before = books_of(&w->core);
        Uuid missing;
        int e;

        for (unsigned i = 0; i < n; i++) {
                if (!w->handlers[models[i]->spec.handler]->pool)
                        return;
                specs[i] = make_spec(w, models[i], &parts[i]);
        }
        e = core_submit(&w->core, specs, n, w->now, jobs, duplicate, &missing);
        if (e) {
                check_refusal(w, e, &missing, specs[0].uid, &before);
                return;
        }
        for (unsigned i = 0; i < n; i++)
                accepted(w, models[i], jobs[i], duplicate[i]);
        oracle_listen(w);
}

/* A new job, or one of an id that is there, or was. */
static SimJob *choose(World *w, uint32_t uid, SimJob *const *batch, unsigned n)
{
        SimJob *m = one_in(w, 12) ? model_pick(w) : NULL;

        if (m && m->spec.uid != uid)
                m = model_twin(w, m);
        if (!m)
                m = model_new(w, uid);
        model_sync(w, m);
        for (unsigned i = 0; i < n; i++)
                if (batch[i] == m) {
                        m->spec.has |= JOB_HAS_ID;
                        return m;
                }
        if (m->life == LIFE_NONE) {
                choose_spec(w, m, batch, n);
                if (m->twin)
                        m->spec.has |= JOB_HAS_ID;
                if (m->twin && m->twin->life != LIFE_NONE)
                        world_note(w, SIM_TWIN, m->index, m->twin->index, 0);
        }
        m->spec.has |= m->life != LIFE_NONE ? JOB_HAS_ID : 0;
        return m;
}

void clients_submit(World *w, unsigned n)
{
        uint32_t uid = 1000 + dice_below(&w->dice, SIM_USERS);
        SimJob *models[MAX_BATCH];

        n = MIN(n, (unsigned)MAX_BATCH);
        for (unsigned i = 0; i < n; i++)
                models[i] = choose(w, uid, models, i);
        world_note(w, n == 1 ? SIM_SUBMIT : SIM_BATCH, models[0]->index, n, 0);
        submit(w, models, n);
}

/* Whoever got no answer before the daemon died asks again. */
void clients_repeat(World *w)
{
        SimJob *m = model_pick(w);

        if (!m || !m->unknown)
                return;
        m->unknown = false;
        m->spec.has |= JOB_HAS_ID;
        world_note(w, SIM_REPEAT, m->index, m->life, 0);
        submit(w, &m, 1);
}

/* --- calls for jobs that are there --- */

static Job *find(World *w, SimJob **ret)
{
        SimJob *m = model_pick(w);
        Job *job = m && m->life != LIFE_NONE ? core_find(&w->core, &m->id, m->spec.uid, false)
                                             : NULL;

        *ret = m;
        return job;
}

void clients_cancel(World *w)
{
        SimJob *m;
        Job *job = find(w, &m);

        if (!job || job_state_ended(job->state))
                return;
        m->cancel_asked = true;
        world_note(w, job->state == JOB_RUNNING ? SIM_CANCEL_BEGUN : SIM_CANCEL, m->index,
                   job->request, 0);
        core_cancel(&w->core, job, "cancelled on request", w->now);
        CHECK(w, m, job->cancel_asked || (job->request == REQUEST_SETTLE &&
                                          job_state_ended(job->next_state)));
        labour_cancel(w, job);
        m->cancel_waits = !job->memory && !w->core.store_down;
        oracle_listen(w);
}

void clients_retry(World *w)
{
        SimJob *m;
        Job *job = find(w, &m);
        const JobPolicy *policy;
        bool may;

        if (!job || !job_state_ended(job->state))
                return;
        may = job->state != JOB_SUCCEEDED && job->request == REQUEST_NONE && !job->gone;
        if (may && m->spec.has & JOB_HAS_UNIQUE_KEY)
                may = *key_of(w, m) == m || !*key_of(w, m) || !model_is_open(*key_of(w, m));
        CHECK(w, m, core_retry(&w->core, job, w->now) == may);
        world_note(w, may ? SIM_RETRY : SIM_NO_RETRY, m->index, job->state, 0);
        if (!may)
                return;
        if (m->spec.has & JOB_HAS_UNIQUE_KEY)
                *key_of(w, m) = m;
        m->retrying = m->retried = m->settling = true;
        m->doomed = false;
        m->next = JOB_QUEUED;
        m->cancel_asked = m->cancel_waits = m->cancel_told = false;
        m->deaths = m->failures = m->untouched = m->result_len = 0;
        policy = job->handler->pool ? &job->handler->pool->policy : &job->pool->policy;
        m->budget = m->attempt + MAX((uint32_t)job_number(job, JOB_HAS_MAX_ATTEMPTS,
                                                          policy->max_attempts), 1u);
        m->not_before = w->now;
        CHECK(w, m, job->budget == m->budget && job->next_state == JOB_QUEUED);
        oracle_listen(w);
}

void clients_pin(World *w)
{
        SimJob *m;
        Job *job = find(w, &m);

        if (!job || job->calls)
                return;
        job->calls = &waiter;
        world_note(w, SIM_PIN, m->index, 0, 0);
}

static void unpin(World *w, SimJob *m, Job *job)
{
        job->calls = NULL;
        core_shed(&w->core, job);
        world_note(w, SIM_UNPIN, m->index, job->args_shed, job->result_shed);
}

void clients_unpin(World *w)
{
        SimJob *m;
        Job *job = find(w, &m);

        if (job && job->calls && !job->fetching)
                unpin(w, m, job);
}

void clients_fetch(World *w)
{
        SimJob *m;
        Job *job = find(w, &m);

        if (!job || !core_is_shed(job))
                return;
        job->calls = &waiter;
        storage_fetch(w, job);
}

/* --- what they hear --- */

static void hear(World *w, SimJob *m, Job *job, unsigned events)
{
        if (events & EVENT_ENDED && core_is_shed(job) && one_in(w, 2)) {
                storage_fetch(w, job);
                return;
        }
        if (events & EVENT_FETCHED || (events & (EVENT_ADMITTED | EVENT_ENDED) && !one_in(w, 3)))
                unpin(w, m, job);
}

void clients_event(World *w, Job *job, unsigned events)
{
        SimJob *m = model_of(w, job);

        oracle_told(w, m, job, events);
        if (m->cancel_waits && events & (EVENT_MARKED | EVENT_ENDED)) {
                m->cancel_waits = false;
                m->cancel_told = true;
                world_note(w, SIM_CANCEL_TOLD, m->index, events, 0);
        }
        if (events & EVENT_REFUSED) {
                world_note(w, SIM_REFUSED, m->index, 0, 0);
                job->calls = NULL;
                m->bad_once = true;
                model_set_life(w, m, LIFE_NONE);
                core_forget(&w->core, job);
                return;
        }
        if (job->calls)
                hear(w, m, job, events);
        if (events & EVENT_FETCHED)
                world_note(w, SIM_FETCHED, m->index, job->args_shed, job->result_shed);
        if (events & (EVENT_ENDED | EVENT_FETCHED))
                core_shed(&w->core, job);
}
