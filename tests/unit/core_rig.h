/* SPDX-License-Identifier: MIT */
#pragma once

/* A core with a pool and a handler, a store that answers when it is told to, and a checker that
 * recomputes from the jobs everything that the core counts. Each step of the rig ends with it. */

#include "core/core.h"
#include "core/dependency.h"
#include "core/table.h"

#include "unit.h"

/* --- the checker --- */

typedef struct CoreSums {
        uint64_t count[JOB_N_STATES];
        uint64_t open, bytes, kept, kept_bytes, listed, keys, ready, due, claiming;
} CoreSums;

/* Ended, and on its way back because of core_retry(). */
static inline bool job_is_returning(const Job *j)
{
        return j->listed && job_state_ended(j->state) && j->request == REQUEST_SETTLE;
}

static inline bool job_is_open(const Job *j)
{
        return !j->listed || !job_state_ended(j->state);
}

/* The sums of all jobs, or of those of one pool. */
static inline CoreSums core_sums(const Core *core, const CorePool *pool)
{
        CoreSums s = { 0 };

        for (size_t i = 0; i < core->ids.size; i++)
                for (const HashLink *l = core->ids.entries[i].link; l; l = NULL) {
                        const Job *j = CONTAINER_OF(l, Job, by_id);
                        bool open = job_is_open(j), back = job_is_returning(j);

                        if (pool && j->pool != pool)
                                continue;
                        s.listed += j->listed;
                        s.count[j->state] += j->listed;
                        s.open += open;
                        s.bytes += open || back ? j->bytes : 0;
                        s.kept += !open && !back;
                        s.kept_bytes += !open && !back ? j->bytes + j->result_len : 0;
                        s.keys += (open || back) && (j->has & JOB_HAS_UNIQUE_KEY);
                        s.ready += j->ready_index != HEAP_NONE;
                        s.due += j->timer_index != HEAP_NONE;
                        s.claiming += j->request == REQUEST_CLAIM;
                }
        return s;
}

#define FAULT_IF(wrong)                                                                            \
        do {                                                                                       \
                if (wrong)                                                                         \
                        return #wrong;                                                             \
        } while (0)

static inline const char *attempts_fault(const Job *j)
{
        FAULT_IF(j->attempt > j->budget);
        FAULT_IF(j->n_attempts > JOB_KEEP_ATTEMPTS || j->n_attempts > j->attempt);
        FAULT_IF(j->attempt && (!j->n_attempts || job_last_attempt(j)->number != j->attempt));
        for (uint32_t i = 0; i < j->n_attempts; i++) {
                const Attempt *a = &j->attempts[i];
                bool runs = j->state == JOB_RUNNING && j->request == REQUEST_NONE &&
                            i + 1 == j->n_attempts;

                FAULT_IF(i && a->number <= a[-1].number);
                FAULT_IF((a->outcome == OUTCOME_NONE) != runs);
        }
        return NULL;
}

/* Where a job that waits, runs or is kept has to be found. Whoever is given a job marks its slot.
 */
static inline const char *place_fault(Core *core, Job *j)
{
        bool ready = j->ready_index != HEAP_NONE, still = j->listed && j->request == REQUEST_NONE;

        FAULT_IF(ready && (!still || j->state != JOB_QUEUED || j->slot));
        FAULT_IF(ready && j->pool->ready.items[j->ready_index] != j);
        FAULT_IF((j->due != 0) != (j->timer_index != HEAP_NONE));
        FAULT_IF(j->due && core->timers.items[j->timer_index] != j);
        FAULT_IF(j->request != REQUEST_NONE && (ready || j->due || !list_empty(&j->finished)));
        FAULT_IF(table_find(core, &j->id, j->uid) != j);
        FAULT_IF(j->listed == list_empty(&j->all));
        FAULT_IF((j->events != 0) == list_empty(&j->event_link));
        if (!still)
                return NULL;
        FAULT_IF(j->cancel_asked && !job_state_ended(j->state) && j->state != JOB_RUNNING &&
                 !j->slot && !(j->events & EVENT_CLAIMED));
        FAULT_IF(j->state == JOB_QUEUED && ready + (j->slot || j->events & EVENT_CLAIMED) != 1);
        FAULT_IF(j->state == JOB_SCHEDULED && (!j->due || j->due > j->ready_at));
        FAULT_IF((j->state == JOB_BLOCKED) != !list_empty(&j->blockers));
        FAULT_IF(job_state_ended(j->state) && !j->due && list_empty(&j->finished));
        FAULT_IF(job_state_ended(j->state) && !(j->has & JOB_HAS_KEEP) && j->due &&
                 !list_empty(&j->finished));
        FAULT_IF(job_state_ended(j->state) && (j->slot || !list_empty(&j->dependents)));
        return NULL;
}

static inline const char *job_fault(Core *core, Job *j)
{
        const char *fault = attempts_fault(j);

        if (!fault)
                fault = place_fault(core, j);
        if (fault)
                return fault;
        if ((j->has & JOB_HAS_UNIQUE_KEY) && (job_is_open(j) || job_is_returning(j)))
                FAULT_IF(table_find_key(core, j->handler, job_key(j), j->uid) != j);
        return NULL;
}

static inline const char *pool_fault(const Core *core, const CorePool *pool)
{
        CoreSums s = core_sums(core, pool);

        FAULT_IF(memcmp(s.count, pool->count, sizeof(s.count)) != 0);
        FAULT_IF(pool->open != s.open);
        FAULT_IF(pool->ready.count != s.ready);
        FAULT_IF(pool->claiming != s.claiming);
        return NULL;
}

/* What is wrong with the core's books; NULL: nothing. */
static inline const char *core_fault(Core *core)
{
        CoreSums s = core_sums(core, NULL);
        const char *fault = NULL;
        CorePool *pool;
        uint64_t n = 0;
        Job *j;

        LIST_FOREACH(&core->all, j, all) {
                FAULT_IF(!j->listed);
                n++;
        }
        FAULT_IF(n != s.listed);
        FAULT_IF(memcmp(s.count, core->count, sizeof(s.count)) != 0);
        FAULT_IF(core->open != s.open);
        FAULT_IF(core->bytes != s.bytes);
        FAULT_IF(core->kept != s.kept);
        FAULT_IF(core->kept_bytes != s.kept_bytes);
        FAULT_IF(core->keys.count != s.keys);
        FAULT_IF(core->timers.count != s.due);
        LIST_FOREACH(&core->pools, pool, link)
                if (!fault)
                        fault = pool_fault(core, pool);
        for (size_t i = 0; i < core->ids.size; i++)
                for (HashLink *l = core->ids.entries[i].link; l && !fault; l = NULL)
                        fault = job_fault(core, CONTAINER_OF(l, Job, by_id));
        return fault;
}

/* --- the rig --- */

enum { RIG_NOTES = 4096 };

typedef struct Rig {
        Core core;
        CorePool *pool;
        CoreHandler *handler;
        usec_t now;
        uint64_t ids;
        struct {
                const Job *job;
                unsigned events;
        } notes[RIG_NOTES]; /* what became of whom */
        unsigned n_notes;
} Rig;

#define RIG_LIMITS ((CoreLimits){ .keep = 3600 * USEC_PER_SEC, .keep_max = 100000 })
#define RIG_POLICY                                                                                 \
        ((JobPolicy){                                                                              \
                .backoff = USEC_PER_SEC, .backoff_max = 60 * USEC_PER_SEC, .max_attempts = 3 })

static inline void rig_sound(Rig *r)
{
        const char *fault = core_fault(&r->core);

        if (fault)
                fail_msg("the core's books are wrong: %s", fault);
}

static inline Rig *rig_new(CoreLimits limits)
{
        Rig *r = calloc(1, sizeof(*r));

        assert_non_null(r);
        core_init(&r->core, &limits);
        r->now = 1768472430000000;
        r->pool = core_pool(&r->core, "images");
        r->handler = core_handler(&r->core, "resize");
        assert_non_null(r->pool);
        assert_non_null(r->handler);
        r->pool->policy = RIG_POLICY;
        core_bind_handler(&r->core, r->handler, r->pool);
        return r;
}

static inline void rig_free(Rig *r)
{
        core_fini(&r->core);
        free(r);
}

DEFINE_CLEANUP(Rig, rig_free);

static inline Uuid uuid_of(uint64_t number)
{
        Uuid u = { { 0 } };

        for (int i = 0; i < 8; i++)
                u.bytes[15 - i] = (uint8_t)(number >> (8 * i));
        return u;
}

/* A plain job with an id of its own. */
static inline JobSpec rig_spec(Rig *r)
{
        return (JobSpec){ .handler = r->handler,
                          .id = uuid_of(++r->ids),
                          .args = SLICE("{}"),
                          .uid = 1000,
                          .gid = 1000 };
}

/* Submits one; the store has not answered yet. */
static inline Job *rig_submit(Rig *r, const JobSpec *spec)
{
        bool duplicate = true;
        Uuid missing;
        Job *job = NULL;

        assert_int_equal(core_submit(&r->core, spec, 1, r->now, &job, &duplicate, &missing), 0);
        assert_false(duplicate);
        rig_sound(r);
        return job;
}

static inline int rig_submit_error(Rig *r, const JobSpec *spec)
{
        bool duplicate;
        Uuid missing;
        Job *job;
        int e = core_submit(&r->core, spec, 1, r->now, &job, &duplicate, &missing);

        rig_sound(r);
        return e;
}

/* The job that is there already. */
static inline Job *rig_submit_duplicate(Rig *r, const JobSpec *spec)
{
        bool duplicate = false;
        Uuid missing;
        Job *job = NULL;

        assert_int_equal(core_submit(&r->core, spec, 1, r->now, &job, &duplicate, &missing), 0);
        assert_true(duplicate);
        rig_sound(r);
        return job;
}

/* The store answers the oldest request. */
static inline Job *rig_answer(Rig *r, bool durable)
{
        Job *job = core_next_request(&r->core);

        assert_non_null(job);
        core_complete(&r->core, job, durable, r->now);
        rig_sound(r);
        return job;
}

/* … and all others. */
static inline void rig_store(Rig *r)
{
        while (!list_empty(&r->core.requests))
                (void)rig_answer(r, true);
}

/* Hears what has become of jobs; one that is claimed gets a slot. */
static inline void rig_listen(Rig *r)
{
        unsigned events;
        Job *job;

        while ((job = core_next_event(&r->core, &events))) {
                assert_int_not_equal(events, 0);
                assert_true(r->n_notes < RIG_NOTES);
                r->notes[r->n_notes].job = job;
                r->notes[r->n_notes++].events = events;
                if (events & EVENT_CLAIMED)
                        job->slot = r;
                rig_sound(r);
        }
}

/* What became of this job since somebody last asked. */
static inline unsigned rig_events(Rig *r, const Job *job)
{
        unsigned events = 0;

        rig_listen(r);
        for (unsigned i = 0; i < r->n_notes; i++)
                if (r->notes[i].job == job) {
                        events |= r->notes[i].events;
                        r->notes[i].job = NULL;
                }
        return events;
}

/* Both, until all is quiet. */
static inline void rig_rest(Rig *r)
{
        rig_store(r);
        rig_listen(r);
        r->n_notes = 0;
}

static inline Job *rig_admit(Rig *r, const JobSpec *spec)
{
        Job *job = rig_submit(r, spec);

        rig_rest(r);
        assert_true(job->listed);
        return job;
}

/* A plain job that is queued. */
static inline Job *rig_job(Rig *r)
{
        JobSpec spec = rig_spec(r);

        return rig_admit(r, &spec);
}

/* Claims the best of the pool, and has the store's word for it; NULL: there was none. */
static inline Job *rig_claim(Rig *r)
{
        Job *job = core_claim(&r->core, r->pool);

        rig_sound(r);
        rig_rest(r);
        return job;
}

static inline void rig_begin(Rig *r, Job *job)
{
        AttemptBegin begin = { 3, 18, 4711 };

        assert_int_equal(core_begin(&r->core, job, &begin, r->now), 0);
        rig_sound(r);
}

/* Claims and begins this job, which has to be the best. */
static inline void rig_run(Rig *r, Job *job)
{
        assert_ptr_equal(rig_claim(r), job);
        rig_begin(r, job);
}

/* Its attempt ends; the store has not answered yet. */
static inline void rig_settle(Rig *r, Job *job, Outcome outcome)
{
        AttemptEnd end = { .outcome = outcome, .may_retry = true };

        core_settle(&r->core, job, &end, r->now, 0);
        rig_sound(r);
}

static inline void rig_end(Rig *r, Job *job, Outcome outcome)
{
        rig_settle(r, job, outcome);
        rig_rest(r);
}

/* Its worker died before it looked at it. */
static inline void rig_end_untouched(Rig *r, Job *job)
{
        AttemptEnd end = { .outcome = OUTCOME_WORKER_DIED, .may_retry = true, .untouched = true };

        core_settle(&r->core, job, &end, r->now, 0);
        rig_sound(r);
        rig_rest(r);
}

static inline void rig_cancel(Rig *r, Job *job)
{
        core_cancel(&r->core, job, "cancelled on request", r->now);
        rig_sound(r);
}

/* Time goes by, to the last consequence. */
static inline void rig_wait(Rig *r, usec_t usec)
{
        r->now += usec;
        core_tick(&r->core, r->now);
        rig_sound(r);
        rig_rest(r);
}

/* A new job that has ended so. */
static inline Job *rig_ended_job(Rig *r, const JobSpec *spec, JobState state)
{
        Job *job = rig_admit(r, spec);

        if (state == JOB_CANCELLED) {
                rig_cancel(r, job);
                rig_rest(r);
                return job;
        }
        while (!job_state_ended(job->state)) {
                rig_run(r, job);
                rig_end(r, job, state == JOB_SUCCEEDED ? OUTCOME_SUCCEEDED : OUTCOME_ERROR);
                if (job->state == JOB_SCHEDULED)
                        rig_wait(r, 60 * USEC_PER_SEC);
        }
        assert_int_equal(job->state, state);
        return job;
}
