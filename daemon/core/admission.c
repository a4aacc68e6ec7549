/* SPDX-License-Identifier: MIT */

/* Jobs of one call are made one after the other, so that each sees those before it (duplicates, and
 * predecessors with ids that the client made); if one is refused, those made before it are unmade.
 *
 * What can fail for want of memory later is reserved here: a place in the queue and in the timers.
 */

#include "core/inside.h"
#include "core/semaphore.h"
#include "core/user.h"

static bool args_are_large(const Core *core, const JobSpec *s)
{
        return !s->memory && core->limits.large && s->args.len > core->limits.large;
}

static size_t spec_size(const JobSpec *s)
{
        return sizeof(Job) + s->args.len + s->unique_key.len + s->tags.len + s->semaphores.len +
               s->after.len;
}

static int check_limits(const Core *core, const CoreUser *user, const JobSpec *s)
{
        const CoreLimits *l = &core->limits;
        const CorePool *pool = s->handler->pool;

        if (l->max_queued && core->open >= l->max_queued)
                return CORE_E_QUEUE_FULL;
        if (pool->policy.max_queued && pool->open >= pool->policy.max_queued)
                return CORE_E_POOL_FULL;
        if (l->max_bytes && core->bytes + spec_size(s) > l->max_bytes)
                return CORE_E_BYTES_FULL;
        return user_check(core, user, spec_size(s));
}

/* Names of a job's predecessors become edges; one that has failed dooms the job at once. */
static int tie(Core *core, Job *job, const JobSpec *s, Uuid *ret_missing)
{
        for (unsigned i = 0; i < s->n_blockers; i++) {
                Job *blocker = table_find(core, &s->blockers[i], s->uid);
                char reason[96];
                bool ended;

                if (!blocker || blocker == job) {
                        *ret_missing = s->blockers[i];
                        return CORE_E_NO_BLOCKER;
                }
                ended = blocker->listed && job_state_ended(blocker->state);
                if (!ended && dependency_add(job, blocker) < 0)
                        return -ENOMEM;
                if (!ended || blocker->state == JOB_SUCCEEDED)
                        continue;
                job->cancel_asked = true;
                (void)snprintf(reason, sizeof(reason),
                               "job %s, which had to succeed first, had ended: %s",
                               uuid_text(&blocker->id).text, job_state_name(blocker->state));
                job_set_reason(job, reason);
        }
        return 0;
}

static int reserve(Core *core, CorePool *pool)
{
        /* One place for each job that might need one: those that are there, and this one. */
        int r = heap_reserve(&pool->ready, (uint32_t)(pool->open - pool->ready.count + 1));

        if (r == 0)
                r = heap_reserve(&core->timers,
                                 (uint32_t)(core->open + core->kept - core->timers.count + 1));
        return r;
}

static uint16_t given_texts(const JobSpec *s)
{
        return (s->tags.len ? JOB_HAS_TAGS : 0) | (s->semaphores.len ? JOB_HAS_SEMAPHORES : 0) |
               (s->after.len ? JOB_HAS_AFTER : 0);
}

/* Those that it names, and the one of its user. */
static int name_semaphores(Core *core, Job *job, const JobSpec *s)
{
        CoreSemaphore *all[CORE_MAX_UNITS + 1], *of_user = NULL;
        CoreUser *user = user_get(core, job->uid);
        unsigned n = s->n_units;
        int r = user ? user_semaphore(core, user, &of_user) : -ENOMEM;

        if (r < 0 || n + (of_user != NULL) == 0)
                return r;
        if (n)
                memcpy(all, s->units, n * sizeof(CoreSemaphore *));
        if (of_user)
                all[n++] = of_user;
        return semaphores_name(job, all, n);
}

int admission_make(Core *core, const JobSpec *s, CorePool *pool, bool large_args, Job **ret)
{
        JobData data = { .has = s->has | given_texts(s),
                         .numbers = { s->run_at, s->delay, s->timeout, s->ttl, s->keep,
                                      s->max_attempts },
                         .args = s->args,
                         .args_elsewhere = large_args,
                         .texts = { s->unique_key, s->tags, s->semaphores, s->after } };
        Job *job;
        int r = reserve(core, pool);

        if (r < 0)
                return r;
        job = job_new(&data);
        if (!job)
                return -ENOMEM;
        job->id = s->id;
        job->handler = s->handler;
        job->pool = pool;
        job->uid = s->uid;
        job->gid = s->gid;
        job->memory = s->memory;
        job->attached = s->attached;
        r = name_semaphores(core, job, s);
        if (r == 0)
                r = table_add_id(core, job);
        if (r < 0) {
                semaphores_unname(job);
                job_free(job);
                return r;
        }
        *ret = job;
        return 0;
}

/* What the spec leaves open the pool says. */
static void fill(Job *job, const JobSpec *s, usec_t now)
{
        const JobPolicy *policy = &job->pool->policy;

        job->priority = (int16_t)(s->has & JOB_HAS_PRIORITY ? s->priority : policy->priority);
        job->budget = (uint32_t)job_number(job, JOB_HAS_MAX_ATTEMPTS, policy->max_attempts);
        job->submitted = now;
        job->ready_at = s->has & JOB_HAS_RUN_AT ? s->run_at : usec_add(now, s->delay);
}

static int make(Core *core, const JobSpec *s, usec_t now, Job **ret, Uuid *ret_missing)
{
        const CoreUser *user = user_get(core, s->uid);
        Job *job;
        int r = user ? check_limits(core, user, s) : -ENOMEM;

        if (r == 0)
                r = admission_make(core, s, s->handler->pool, args_are_large(core, s), &job);
        if (r)
                return r;
        fill(job, s, now);
        count_open(core, job, 1); /* from now on, shown when the store has it */
        count_bytes(core, job, job->bytes);
        if (!table_take_key(core, job))
                r = -ENOMEM; /* the caller has seen that it is free */
        if (!r)
                r = tie(core, job, s, ret_missing);
        if (r) {
                core_forget(core, job);
                return r;
        }
        *ret = job;
        return 0;
}

static Job *existing(Core *core, const JobSpec *s)
{
        Job *job = s->has & JOB_HAS_ID ? table_find(core, &s->id, s->uid) : NULL;

        if (!job && s->has & JOB_HAS_UNIQUE_KEY)
                job = table_find_key(core, s->handler, s->unique_key, s->uid);
        return job;
}

/* The store is to be asked; a job that will be ready at once may be claimed along with that. */
static void ask(Core *core, Job *job, usec_t now)
{
        job->seq = ++core->last_seq;
        core_request(core, job, REQUEST_ADMIT);
        if (job_first_blocker(job) || job->cancel_asked || job->ready_at > now)
                return;
        core_give_order(core, job, now);
        job->pool->admitting++;
        if (place_arriving(job) < 0)
                return; /* then it is claimed after its admission */
}

static void unmake(Core *core, unsigned n, Job **jobs, const bool *duplicate)
{
        while (n--)
                if (!duplicate[n])
                        core_forget(core, jobs[n]);
}

int core_submit(Core *core, const JobSpec *specs, unsigned n, usec_t now, Job **jobs,
                bool *duplicate, Uuid *ret_missing)
{
        unsigned fresh = 0;
        int r = 0;

        for (unsigned i = 0; i < n; i++) {
                ASSERT(specs[i].handler->pool && specs[i].uid == specs[0].uid);
                jobs[i] = existing(core, &specs[i]);
                duplicate[i] = jobs[i] != NULL;
                if (!jobs[i])
                        r = make(core, &specs[i], now, &jobs[i], ret_missing);
                if (r) {
                        unmake(core, i, jobs, duplicate);
                        return r;
                }
                fresh += !duplicate[i];
        }
        if (fresh)
                r = user_take_rate(core, user_find(core, specs[0].uid), fresh, now);
        if (r) {
                unmake(core, n, jobs, duplicate);
                return r;
        }
        for (unsigned i = 0; i < n; i++)
                if (!duplicate[i])
                        ask(core, jobs[i], now);
        return 0;
}

/* --- the store's answer --- */

static void refused(Core *core, Job *job, usec_t now)
{
        Dependency *d;
        char reason[96];

        if (job->claim)
                claim_drop(job);
        (void)snprintf(reason, sizeof(reason),
                       "job %s, which had to succeed first, was not admitted",
                       uuid_text(&job->id).text);
        while ((d = job_first_dependent(job))) {
                Job *waiting = d->waiting; /* of the same refused batch, or admitted after it */

                dependency_free(d);
                core_cancel(core, waiting, reason, now);
        }
        core_event(core, job, EVENT_REFUSED);
}

static void admitted(Core *core, Job *job, usec_t now)
{
        job->handler->figures.submitted++;
        core_place(core, job, now);
        core_event(core, job, EVENT_ADMITTED);
        if (job->claim && !job->cancel_asked) {
                core_event(core, job, EVENT_CLAIMED);
                return;
        }
        if (job->claim)
                claim_drop(job);
        claim_return(core, job, now);
}

void admission_completed(Core *core, Job *job, bool durable, usec_t now)
{
        if (job->claim)
                job->pool->claiming--;
        else if (job->order)
                job->pool->admitting--;
        job->claim_kept = durable && job->claim && !job->memory;
        if (durable)
                admitted(core, job, now);
        else
                refused(core, job, now);
        job->claim = false;
}
