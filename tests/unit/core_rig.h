/* SPDX-License-Identifier: MIT */
#pragma once

/* A core with a pool and a handler, a store that answers when it is told to, and a checker that
 * recomputes from the jobs everything that the core counts. Each step of the rig ends with it. */

#include "core/core.h"
#include "core/semaphore.h"
#include "core/table.h"
#include "core/ties.h"
#include "core/user.h"

#include "unit.h"

/* --- the checker --- */

typedef struct CoreSums {
        uint64_t count[JOB_N_STATES];
        uint64_t open, bytes, kept, kept_bytes, listed, keys, due, in_events, in_finished, marked;
        uint64_t ready, arriving, claiming, admitting, returning, waiting;
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

/* Shown as ended, and counted so: not on its way back, nor on its way out. */
static inline bool job_is_kept(const Job *j)
{
        return !job_is_open(j) && !job_is_returning(j) && j->request != REQUEST_FORGET;
}

/* The store has been asked for a claim of it. */
static inline bool job_is_claiming(const Job *j)
{
        return j->request == REQUEST_CLAIM || (j->request == REQUEST_ADMIT && j->claim);
}

/* Claimed, and with the store's word for it: somebody is to run it, or does. */
static inline bool job_is_claimed(const Job *j)
{
        return j->listed && j->request == REQUEST_NONE &&
               (j->state == JOB_RUNNING || (j->state == JOB_QUEUED && j->place == PLACE_NONE));
}

static inline unsigned job_units(const Job *j)
{
        return j->ties ? j->ties->n_units : 0;
}

/* At how many of its semaphores it waits. */
static inline unsigned job_waits_at(const Job *j)
{
        unsigned n = 0;

        for (unsigned i = 0; i < job_units(j); i++)
                n += j->ties->units[i].index != HEAP_NONE;
        return n;
}

static inline void sums_add(CoreSums *s, const Job *j)
{
        bool back = job_is_returning(j), open = job_is_open(j);

        s->listed += j->listed;
        s->count[j->state] += j->listed;
        s->open += open;
        s->bytes += open || back ? j->bytes : 0;
        s->kept += job_is_kept(j);
        s->kept_bytes += job_is_kept(j) ? j->bytes + j->history->result_len : 0;
        s->keys += j->has_key;
        s->due += j->timer_index != HEAP_NONE;
        s->in_events += j->in_events;
        s->in_finished += j->request == REQUEST_NONE && !list_empty(&j->link) && !open;
        s->marked += j->request == REQUEST_NONE && !list_empty(&j->link) && open;
        s->ready += j->place == PLACE_READY;
        s->arriving += j->place == PLACE_ARRIVING;
        s->claiming += job_is_claiming(j);
        s->admitting += j->request == REQUEST_ADMIT && !j->claim && j->order;
        s->returning += j->request == REQUEST_SETTLE && j->next_state == JOB_QUEUED;
        s->waiting += job_waits_at(j);
}

#define FOREACH_JOB(core, j)                                                                       \
        for (size_t at_ = 0; at_ < (core)->ids.size; at_++)                                        \
                if ((j = (core)->ids.entries[at_].link                                             \
                                 ? CONTAINER_OF((core)->ids.entries[at_].link, Job, by_id)         \
                                 : NULL))

/* The sums of all jobs, or of those of one pool. */
static inline CoreSums core_sums(const Core *core, const CorePool *pool)
{
        CoreSums s = { 0 };
        const Job *j;

        FOREACH_JOB(core, j)
                if (!pool || j->pool == pool)
                        sums_add(&s, j);
        return s;
}

#define FAULT_IF(wrong)                                                                            \
        do {                                                                                       \
                if (wrong)                                                                         \
                        return #wrong;                                                             \
        } while (0)

static inline const char *attempts_fault(const Job *j)
{
        const JobHistory *h = j->history;

        FAULT_IF(j->attempt > j->budget);
        FAULT_IF(h->n_attempts > JOB_KEEP_ATTEMPTS || h->n_attempts > j->attempt);
        FAULT_IF(j->attempt && (!h->n_attempts || job_last_attempt(j)->number != j->attempt));
        for (uint32_t i = 0; i < h->n_attempts; i++) {
                const Attempt *a = &h->attempts[i];
                bool runs = j->state == JOB_RUNNING && j->request == REQUEST_NONE &&
                            i + 1 == h->n_attempts;

                FAULT_IF(i && a->number <= a[-1].number);
                FAULT_IF((a->outcome == OUTCOME_NONE) != runs);
        }
        return NULL;
}

static inline const Heap *place_heap(const Job *j)
{
        if (j->place == PLACE_READY)
                return &j->pool->ready;
        return j->place == PLACE_ARRIVING ? &j->pool->arriving : &j->handler->held;
}

/* In which heap it stands, and whether it may. */
static inline const char *heap_fault(const Job *j)
{
        bool still = j->listed && j->request == REQUEST_NONE;

        FAULT_IF((j->place == PLACE_NONE) != (j->ready_index == HEAP_NONE));
        if (j->place == PLACE_NONE)
                return NULL;
        FAULT_IF(j->ready_index >= place_heap(j)->count ||
                 place_heap(j)->items[j->ready_index] != j);
        FAULT_IF(job_waits_at(j));
        if (j->place == PLACE_ARRIVING)
                FAULT_IF(j->request != REQUEST_ADMIT || j->claim || list_empty(&j->link));
        else
                FAULT_IF(!still || j->state != JOB_QUEUED || j->slot);
        return NULL;
}

/* Its semaphores: waits at all or none, holds all or none. */
static inline const char *units_fault(const Job *j)
{
        unsigned waits = job_waits_at(j);
        bool still = j->listed && j->request == REQUEST_NONE;

        for (unsigned i = 0; i < job_units(j); i++) {
                const JobUnit *u = &j->ties->units[i];

                FAULT_IF(u->job != j || u->queue->pool != j->pool);
                FAULT_IF(u->index != HEAP_NONE && u->queue->waiters.items[u->index] != u);
        }
        FAULT_IF(waits && waits != job_units(j));
        FAULT_IF(waits && (!still || j->state != JOB_BLOCKED || job_first_blocker(j)));
        FAULT_IF(j->holds != (job_units(j) && (job_is_claiming(j) || job_is_claimed(j))));
        return NULL;
}

/* Where a job that waits, runs or is kept has to be found. Whoever is given a job marks its slot.
 */
static inline const char *still_fault(const Job *j)
{
        bool ended = job_state_ended(j->state), told = j->events & EVENT_CLAIMED;

        FAULT_IF(j->cancel_asked && !ended && j->state != JOB_RUNNING && !j->slot && !told);
        FAULT_IF(j->state == JOB_QUEUED && (j->place != PLACE_NONE) + (j->slot || told) != 1);
        FAULT_IF(j->state == JOB_QUEUED && j->place == PLACE_NONE && !j->claim_kept && !j->memory);
        FAULT_IF(j->memory && j->claim_kept);
        FAULT_IF(j->state == JOB_SCHEDULED && j->ready_at != USEC_INFINITY &&
                 (!j->due || j->due > j->ready_at));
        FAULT_IF(j->state == JOB_BLOCKED && !job_first_blocker(j) == !job_waits_at(j));
        FAULT_IF(j->state != JOB_BLOCKED && job_first_blocker(j));
        FAULT_IF(ended && !j->due && list_empty(&j->link));
        FAULT_IF(ended && !(j->has & JOB_HAS_KEEP) && j->due && !list_empty(&j->link));
        FAULT_IF(ended && (j->slot || job_first_dependent(j) || j->claim_kept || j->has_key));
        return NULL;
}

static inline const char *place_fault(Core *core, Job *j)
{
        FAULT_IF(!j->history);
        FAULT_IF((j->due != 0) != (j->timer_index != HEAP_NONE));
        FAULT_IF(j->due && core->timers.items[j->timer_index] != j);
        FAULT_IF(j->request != REQUEST_NONE && j->due);
        FAULT_IF(j->claim && j->request != REQUEST_ADMIT);
        FAULT_IF(table_find(core, &j->id, j->uid) != j);
        FAULT_IF(j->listed == list_empty(&j->all));
        FAULT_IF(j->events && !j->in_events);
        FAULT_IF(j->order > core->last_order || j->seq > core->last_seq);
        FAULT_IF(j->args_shed && (!j->args_elsewhere || j->args_len));
        FAULT_IF(j->result_shed && j->history->result);
        return j->listed && j->request == REQUEST_NONE ? still_fault(j) : NULL;
}

static inline const char *key_fault(Core *core, Job *j)
{
        bool wants = j->has & JOB_HAS_UNIQUE_KEY && (job_is_open(j) || job_is_returning(j));

        if (wants && !(!j->listed && j->request == REQUEST_NONE)) /* refused ones are to go */
                FAULT_IF(!j->has_key);
        FAULT_IF(j->has_key && !wants);
        FAULT_IF(j->has_key && table_find_key(core, j->handler, job_key(j), j->uid) != j);
        return NULL;
}

static inline const char *job_fault(Core *core, Job *j)
{
        const char *fault = attempts_fault(j);

        if (!fault)
                fault = place_fault(core, j);
        if (!fault)
                fault = heap_fault(j);
        if (!fault)
                fault = units_fault(j);
        return fault ? fault : key_fault(core, j);
}

static inline const char *pool_fault(const Core *core, const CorePool *pool)
{
        CoreSums s = core_sums(core, pool);

        FAULT_IF(memcmp(s.count, pool->count, sizeof(s.count)) != 0);
        FAULT_IF(pool->open != s.open);
        FAULT_IF(pool->ready.count != s.ready);
        FAULT_IF(pool->arriving.count != s.arriving);
        FAULT_IF(pool->claiming != s.claiming);
        FAULT_IF(pool->admitting != s.admitting);
        FAULT_IF(pool->returning != s.returning);
        FAULT_IF(pool->waiting != s.waiting);
        return NULL;
}

static inline const char *queue_fault(const Core *core, const CoreSemaphore *sem,
                                      const SemaphoreQueue *q, uint64_t *held)
{
        uint64_t named = 0, waiting = 0;
        const Job *j;

        FOREACH_JOB(core, j)
                for (unsigned i = 0; i < job_units(j); i++) {
                        const JobUnit *u = &j->ties->units[i];

                        if (u->semaphore != sem || u->queue != q)
                                continue;
                        named++;
                        waiting += u->index != HEAP_NONE;
                        *held += j->holds;
                }
        FAULT_IF(q->named != named);
        FAULT_IF(q->waiters.count != waiting);
        return NULL;
}

static inline const char *semaphore_fault(const Core *core, const CoreSemaphore *sem)
{
        const SemaphoreQueue *q;
        const char *fault = NULL;
        uint64_t held = 0;

        LIST_FOREACH(&sem->queues, q, link)
                if (!fault)
                        fault = queue_fault(core, sem, q, &held);
        if (fault)
                return fault;
        FAULT_IF(sem->held != held);
        return NULL;
}

static inline const char *handler_fault(const Core *core, const CoreHandler *handler)
{
        uint64_t held = 0;
        const Job *j;

        FOREACH_JOB(core, j)
                held += j->handler == handler && j->place == PLACE_HELD;
        FAULT_IF(handler->held.count != held);
        return NULL;
}

/* Of a user is counted what is there; that of all users is all. */
static inline const char *users_fault(const Core *core)
{
        uint64_t open = 0, bytes = 0;

        for (size_t at = 0; at < core->users.size; at++) {
                const HashLink *link = core->users.entries[at].link;
                const CoreUser *user = link ? CONTAINER_OF(link, CoreUser, link) : NULL;
                CoreSums s = { 0 };
                const Job *j;

                if (!user)
                        continue;
                FOREACH_JOB(core, j)
                        if (j->uid == user->uid)
                                sums_add(&s, j);
                FAULT_IF(user->open != s.open);
                FAULT_IF(user->bytes != s.bytes);
                open += user->open;
                bytes += user->bytes;
        }
        FAULT_IF(open != core->open || bytes != core->bytes);
        return NULL;
}

static inline const char *parts_fault(const Core *core)
{
        const CoreSemaphore *sem;
        const CoreHandler *handler;
        const CorePool *pool;
        const char *fault = NULL;

        LIST_FOREACH(&core->pools, pool, link)
                if (!fault)
                        fault = pool_fault(core, pool);
        LIST_FOREACH(&core->handlers, handler, link)
                if (!fault)
                        fault = handler_fault(core, handler);
        LIST_FOREACH(&core->semaphores, sem, link)
                if (!fault)
                        fault = semaphore_fault(core, sem);
        return fault ? fault : users_fault(core);
}

static inline const char *marks_fault(const Core *core, uint64_t *ret_n)
{
        const Job *j;

        *ret_n = 0;
        LIST_FOREACH(&core->marks, j, link) {
                FAULT_IF(j->memory || j->request != REQUEST_NONE);
                FAULT_IF(j->state == JOB_RUNNING ? !j->cancel_asked : !j->claim_kept);
                FAULT_IF(j->state == JOB_QUEUED && j->place == PLACE_NONE); /* it may yet begin */
                ++*ret_n;
        }
        return NULL;
}

/* Each list holds what belongs there; *ret_ended counts those that have ended. */
static inline const char *lists_fault(const Core *core, uint64_t *ret_ended)
{
        const Job *j;

        LIST_FOREACH(&core->requests, j, link)
                FAULT_IF(j->memory || j->request == REQUEST_NONE || j->request == REQUEST_FORGET);
        LIST_FOREACH(&core->instant, j, link)
                FAULT_IF(!j->memory && !(j->request == REQUEST_CLAIM && j->claim_kept));
        LIST_FOREACH(&core->removals, j, link)
                FAULT_IF(j->memory || j->request != REQUEST_FORGET);
        *ret_ended = 0;
        LIST_FOREACH(&core->finished, j, link) {
                FAULT_IF(!job_is_kept(j) || j->request != REQUEST_NONE || j->has & JOB_HAS_KEEP);
                ++*ret_ended;
        }
        LIST_FOREACH(&core->finished_own, j, link) {
                FAULT_IF(!job_is_kept(j) || j->request != REQUEST_NONE || !(j->has & JOB_HAS_KEEP));
                ++*ret_ended;
        }
        return NULL;
}

/* What is wrong with the core's books; NULL: nothing. */
static inline const char *core_fault(Core *core)
{
        CoreSums s = core_sums(core, NULL);
        uint64_t n = 0, events = 0, ended, marks;
        const char *fault;
        Job *j;

        LIST_FOREACH(&core->all, j, all) {
                FAULT_IF(!j->listed);
                n++;
        }
        for (j = core->first_event; j; j = j->next_event) {
                FAULT_IF(!j->in_events);
                events++;
        }
        fault = lists_fault(core, &ended);
        if (!fault)
                fault = marks_fault(core, &marks);
        if (fault)
                return fault;
        FAULT_IF(n != s.listed);
        FAULT_IF(events != s.in_events);
        FAULT_IF(ended != s.in_finished);
        FAULT_IF(marks != s.marked);
        FAULT_IF(memcmp(s.count, core->count, sizeof(s.count)) != 0);
        FAULT_IF(core->open != s.open);
        FAULT_IF(core->bytes != s.bytes);
        FAULT_IF(core->kept != s.kept);
        FAULT_IF(core->kept_bytes != s.kept_bytes);
        FAULT_IF(core->keys.count != s.keys);
        FAULT_IF(core->timers.count != s.due);
        fault = parts_fault(core);
        FOREACH_JOB(core, j)
                if (!fault)
                        fault = job_fault(core, j);
        return fault;
}

/* --- the rig --- */

enum { RIG_NOTES = 4096, RIG_ROOM = 1000000 };

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

/* The same world in a core that is empty. */
static inline void rig_init(Rig *r, const CoreLimits *limits)
{
        core_init(&r->core, limits);
        r->pool = core_pool(&r->core, "images");
        r->handler = core_handler(&r->core, "resize");
        assert_non_null(r->pool);
        assert_non_null(r->handler);
        r->pool->policy = RIG_POLICY;
        r->pool->owner = r;
        core_bind_handler(&r->core, r->handler, r->pool);
        r->n_notes = 0;
}

static inline Rig *rig_new(CoreLimits limits)
{
        Rig *r = calloc(1, sizeof(*r));

        assert_non_null(r);
        r->now = 1768472430000000;
        rig_init(r, &limits);
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

static inline CoreSemaphore *rig_semaphore(Rig *r, const char *name, uint64_t size)
{
        CoreSemaphore *s = core_semaphore(&r->core, name);

        assert_non_null(s);
        s->size = size;
        return s;
}

static inline CorePool *rig_pool(Rig *r, const char *name)
{
        CorePool *pool = core_pool(&r->core, name);

        assert_non_null(pool);
        pool->policy = RIG_POLICY;
        pool->owner = r;
        return pool;
}

static inline CoreHandler *rig_handler(Rig *r, const char *name, CorePool *pool)
{
        CoreHandler *h = core_handler(&r->core, name);

        assert_non_null(h);
        core_bind_handler(&r->core, h, pool);
        return h;
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

/* The oldest request, of the most urgent list; it is on its way to the store. NULL: none. */
static inline Job *rig_ask(Rig *r)
{
        Job *job = core_next_instant(&r->core);

        if (!job)
                job = core_next_request(&r->core);
        if (!job)
                job = core_next_removal(&r->core);
        rig_sound(r);
        return job;
}

/* The store answers one that was on its way. */
static inline void rig_reply(Rig *r, Job *job, bool durable)
{
        core_complete(&r->core, job, durable, r->now);
        rig_sound(r);
}

/* The store answers the oldest request. */
static inline Job *rig_answer(Rig *r, bool durable)
{
        Job *job = rig_ask(r);

        assert_non_null(job);
        rig_reply(r, job, durable);
        return job;
}

/* … and all others. */
static inline void rig_store(Rig *r)
{
        Job *job;

        while ((job = rig_ask(r)))
                rig_reply(r, job, true);
        while ((job = core_next_mark(&r->core))) {
                core_marked(&r->core, job, true);
                rig_sound(r);
        }
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
        Job *job = core_claim(&r->core, r->pool, RIG_ROOM, r->now);

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

        assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
        rig_sound(r);
}

static inline void rig_end(Rig *r, Job *job, Outcome outcome)
{
        rig_settle(r, job, outcome);
        rig_rest(r);
}

/* Another job killed its worker. */
static inline void rig_end_bystander(Rig *r, Job *job)
{
        AttemptEnd end = { .outcome = OUTCOME_WORKER_DIED, .may_retry = true, .bystander = true };

        assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
        rig_sound(r);
        rig_rest(r);
}

/* Its worker died before it looked at it. */
static inline void rig_end_untouched(Rig *r, Job *job)
{
        AttemptEnd end = { .outcome = OUTCOME_WORKER_DIED, .may_retry = true, .untouched = true };

        assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
        rig_sound(r);
        rig_rest(r);
}

/* It was taken back before its worker looked at it. */
static inline void rig_recall(Rig *r, Job *job)
{
        AttemptEnd end = { .outcome = OUTCOME_SHUTDOWN, .may_retry = true, .untouched = true };

        assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
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

/* Back to its place, with the store's word for it. */
static inline void rig_unclaim(Rig *r, Job *job)
{
        core_unclaim(&r->core, job, r->now);
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
