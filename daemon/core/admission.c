/* SPDX-License-Identifier: MIT */

/* Jobs of one call are made one after the other, so that each sees those before it (duplicates, and
 * predecessors with ids that the client made); if one is refused, those made before it are unmade.
 *
 * What can fail for want of memory later is reserved here: a place in the queue and in the timers.
 */

#include "core/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "core/dependency.h"
#include "core/table.h"

static size_t spec_size(const JobSpec *s)
{
        return sizeof(Job) + s->args.len + s->unique_key.len + s->tags.len + s->semaphores.len +
               s->after.len;
}

static int check_limits(const Core *core, const JobSpec *s)
{
        const CoreLimits *l = &core->limits;
        const CorePool *pool = s->handler->pool;

        if (l->max_queued && core->open >= l->max_queued)
                return CORE_E_QUEUE_FULL;
        if (pool->policy.max_queued && pool->open >= pool->policy.max_queued)
                return CORE_E_POOL_FULL;
        if (l->max_bytes && core->bytes + spec_size(s) > l->max_bytes)
                return CORE_E_BYTES_FULL;
        return 0;
}

static char *put(char *to, uint32_t *len, Slice from)
{
        *len = (uint32_t)from.len;
        if (from.len)
                memcpy(to, from.data, from.len);
        return to + from.len;
}

static void init_links(Job *job)
{
        List *links[] = { &job->all,     &job->finished, &job->request_link, &job->event_link,
                          &job->waiters, &job->blockers, &job->dependents,   &job->attached_link };

        for (size_t i = 0; i < ELEMENTS(links); i++)
                list_init(links[i]);
        job->ready_index = job->timer_index = HEAP_NONE;
}

static void fill(Job *job, const JobSpec *s, usec_t now)
{
        const JobPolicy *policy = &s->handler->pool->policy;
        char *to = job->data;

        job->id = s->id;
        job->handler = s->handler;
        job->pool = s->handler->pool;
        job->uid = s->uid;
        job->gid = s->gid;
        job->has = s->has;
        job->memory = s->memory;
        job->attached = s->attached;
        job->priority = (int16_t)(s->has & JOB_HAS_PRIORITY ? s->priority : policy->priority);
        job->max_attempts = s->has & JOB_HAS_MAX_ATTEMPTS ? s->max_attempts : policy->max_attempts;
        job->budget = job->max_attempts;
        job->timeout = s->has & JOB_HAS_TIMEOUT ? s->timeout : policy->timeout;
        job->submitted = now;
        job->run_at = s->run_at;
        job->delay = s->delay;
        job->ttl = s->ttl;
        job->keep = s->keep;
        job->ready_at = s->has & JOB_HAS_RUN_AT ? s->run_at : usec_add(now, s->delay);
        job->progress = -1;
        for (int i = 0; i < 3; i++)
                job->fds[i] = -1;
        to = put(to, &job->args_len, s->args);
        to = put(to, &job->key_len, s->unique_key);
        to = put(to, &job->tags_len, s->tags);
        to = put(to, &job->semaphores_len, s->semaphores);
        (void)put(to, &job->after_len, s->after);
}

/* Names of a job's predecessors become edges; one that has failed dooms the job at once. */
static int tie(Core *core, Job *job, const JobSpec *s, Uuid *ret_missing)
{
        for (unsigned i = 0; i < s->n_blockers; i++) {
                Job *blocker = table_find(core, &s->blockers[i], s->uid);
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
                if (!job->reason &&
                    asprintf(&job->reason, "job %s, which had to succeed first, had ended: %s",
                             uuid_text(&blocker->id).text, job_state_name(blocker->state)) < 0)
                        job->reason = NULL;
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

static int make(Core *core, const JobSpec *s, usec_t now, Job **ret, Uuid *ret_missing)
{
        size_t size = spec_size(s);
        Job *job;
        int r = check_limits(core, s);

        if (r == 0)
                r = reserve(core, s->handler->pool);
        if (r)
                return r;
        job = malloc(size);
        if (!job)
                return -ENOMEM;
        memset(job, 0, sizeof(*job));
        init_links(job);
        fill(job, s, now);
        job->bytes = size;
        r = table_add(core, job);
        if (r < 0) {
                job_free(job);
                return r;
        }
        core->open++; /* counted from now on, shown when the store has it */
        job->pool->open++;
        core->bytes += size;
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

int core_submit(Core *core, const JobSpec *specs, unsigned n, usec_t now, Job **jobs,
                bool *duplicate, Uuid *ret_missing)
{
        int r = 0;

        for (unsigned i = 0; i < n; i++) {
                ASSERT(specs[i].handler->pool);
                jobs[i] = existing(core, &specs[i]);
                duplicate[i] = jobs[i] != NULL;
                if (!jobs[i])
                        r = make(core, &specs[i], now, &jobs[i], ret_missing);
                if (!r)
                        continue;
                while (i--)
                        if (!duplicate[i])
                                core_forget(core, jobs[i]);
                return r;
        }
        for (unsigned i = 0; i < n; i++)
                if (!duplicate[i])
                        core_request(core, jobs[i], REQUEST_ADMIT);
        return 0;
}
