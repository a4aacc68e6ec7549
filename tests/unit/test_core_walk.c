/* SPDX-License-Identifier: MIT */

/* A random walk over the core: clients, workers, time, and a store that answers late, refuses now
 * and then, and dies with the daemon: then a new core is made from what had been committed. All by
 * one seed; BROOD_SEED=… repeats a walk; what it was is told on failure. */

#include "core/rank.h"
#include "core_rig.h"

enum {
        STEPS = 200000,
        CHECK_EVERY = 1000,
        MODEL = 4096,
        USERS = 3,
        POOLS = 2,
        HANDLERS = 3,
        SEMAPHORES = 2,
        KEYS = 6,
        LARGE = 100,
        MOST_BLOCKERS = 2
};

static const char *const pool_names[] = { "one", "two" };
static const char *const handler_names[] = { "a", "b", "c" };
static const char *const semaphore_names[] = { "s", "t" };
static char large_args[2 * LARGE];

/* A job as the store has it: a row. */
typedef struct Row {
        bool used, no_ttl, cancel_asked, large;
        JobRecord record; /* but for pointers into a core */
        unsigned handler, pool;
        char key;
        unsigned units; /* a set */
        Uuid blockers[MOST_BLOCKERS];
        unsigned n_blockers;
        Attempt attempts[JOB_KEEP_ATTEMPTS]; /* but for pointers */
        uint32_t n_attempts;
        JobState seen; /* in core, when this was asked for */
} Row;

/* What is on its way to the store, and what its row would be. */
typedef struct Sent {
        Job *job;
        bool mark;
        uint64_t number; /* of the job: it may be gone when the row is written */
        Row row;
} Sent;

/* What the walk knows of a job without asking the core. */
typedef struct Known {
        Uuid id;
        Job *job; /* NULL: forgotten, or never admitted */
        uint32_t uid, begun, budget, untouched;
        JobState final;    /* as its end was told */
        unsigned ends;     /* EVENT_ENDED seen since the budget was set */
        bool memory;
        bool lives;        /* admitted, and its end not seen */
        bool held;         /* claimed, on its way to a slot or on it */
} Known;

typedef struct Walk {
        uint64_t seed, random;
        int step;
        Core core;
        CorePool *pools[POOLS];
        CoreHandler *handlers[HANDLERS];
        CoreSemaphore *semaphores[SEMAPHORES];
        unsigned bound[HANDLERS]; /* pools */
        usec_t now;
        uint64_t ids;
        Known known[MODEL]; /* by number of the id, modulo MODEL */
        Row rows[MODEL];    /* committed */
        Sent sent[MODEL];   /* requests on their way in the store */
        unsigned n_sent;
        Job *held[MODEL];   /* claimed or running */
        unsigned n_held;
        unsigned claims, ends, refusals, crashes, restored; /* that the walk gets about */
} Walk;

#define WALK_CHECK(w, claim)                                                                       \
        do {                                                                                       \
                if (!(claim))                                                                      \
                        fail_msg("BROOD_SEED=%llu, step %d: not so: %s",                           \
                                 (unsigned long long)(w)->seed, (w)->step, #claim);                \
        } while (0)

/* splitmix64 */
static uint64_t draw(Walk *w, uint64_t below)
{
        uint64_t z = (w->random += 0x9e3779b97f4a7c15ULL);

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
        return (z ^ z >> 31) % below;
}

static bool chance(Walk *w, unsigned percent)
{
        return draw(w, 100) < percent;
}

static uint64_t number_of(const Uuid *id)
{
        uint64_t n = 0;

        for (int i = 8; i < 16; i++)
                n = n << 8 | id->bytes[i];
        return n;
}

static Known *known_of(Walk *w, const Job *job)
{
        Known *k = &w->known[number_of(&job->id) % MODEL];

        WALK_CHECK(w, k->job == job);
        return k;
}

/* One that is shown, or NULL. */
static Job *any_job(Walk *w)
{
        for (int i = 0; i < 20; i++) {
                Known *k = &w->known[draw(w, MODEL)];

                if (k->job && k->job->listed)
                        return k->job;
        }
        return NULL;
}

static void hear_all(Walk *w);

/* --- clients --- */

/* What else stands in a spec and has to outlive it. */
typedef struct Extra {
        Uuid blockers[MOST_BLOCKERS];
        CoreSemaphore *units[SEMAPHORES];
        char key;
} Extra;

static void fill_units(Walk *w, JobSpec *s, Extra *e, unsigned set)
{
        for (unsigned i = 0; i < SEMAPHORES; i++)
                if (set & (1u << i))
                        e->units[s->n_units++] = w->semaphores[i];
        s->units = e->units;
}

static void fill_spec(Walk *w, JobSpec *s, uint32_t uid, Extra *e)
{
        Job *before;

        *s = (JobSpec){ .handler = w->handlers[draw(w, HANDLERS)], .id = uuid_of(++w->ids),
                        .args = SLICE("{}"), .uid = uid,
                        .memory = chance(w, 20) };
        if (chance(w, 20))
                fill_units(w, s, e, 1 + (unsigned)draw(w, 3));
        if (chance(w, 15))
                s->args = (Slice){ large_args, sizeof(large_args) };
        if (chance(w, 30)) {
                s->has |= JOB_HAS_PRIORITY;
                s->priority = (int)draw(w, 3) - 1;
        }
        if (chance(w, 20)) {
                s->has |= JOB_HAS_DELAY;
                s->delay = draw(w, 3 * USEC_PER_SEC);
        }
        if (chance(w, 10)) {
                s->has |= JOB_HAS_TTL;
                s->ttl = draw(w, 2 * USEC_PER_SEC);
        }
        if (chance(w, 10)) {
                s->has |= JOB_HAS_KEEP;
                s->keep = draw(w, 5 * USEC_PER_SEC);
        }
        if (chance(w, 20)) {
                e->key = (char)('a' + draw(w, KEYS));
                s->has |= JOB_HAS_UNIQUE_KEY;
                s->unique_key = (Slice){ &e->key, 1 };
        }
        s->has |= JOB_HAS_MAX_ATTEMPTS;
        s->max_attempts = 1 + (uint32_t)draw(w, 4);
        s->blockers = e->blockers;
        for (unsigned i = 0; i < MOST_BLOCKERS && chance(w, 20); i++)
                if ((before = any_job(w)) && before->uid == s->uid && !before->memory)
                        e->blockers[s->n_blockers++] = before->id;
}

static void submit(Walk *w)
{
        enum { MOST = 4 };
        unsigned n = 1 + (unsigned)draw(w, MOST);
        uint32_t uid = 1000 + (uint32_t)draw(w, USERS);
        uint64_t open = w->core.open;
        bool duplicate[MOST];
        Uuid missing;
        JobSpec specs[MOST];
        Extra extra[MOST];
        Job *jobs[MOST];

        for (unsigned i = 0; i < n; i++) {
                fill_spec(w, &specs[i], uid, &extra[i]);
                if (w->known[w->ids % MODEL].job || w->rows[w->ids % MODEL].used)
                        return; /* as many as the walk can know */
        }
        if (core_submit(&w->core, specs, n, w->now, jobs, duplicate, &missing) != 0) {
                WALK_CHECK(w, w->core.open == open);
                w->refusals++;
                return;
        }
        for (unsigned i = 0; i < n; i++) {
                if (duplicate[i]) {
                        WALK_CHECK(w, slice_equal(job_key(jobs[i]), specs[i].unique_key));
                        continue;
                }
                w->known[number_of(&jobs[i]->id) % MODEL] = (Known){ .id = jobs[i]->id,
                                                                     .job = jobs[i],
                                                                     .uid = jobs[i]->uid,
                                                                     .memory = jobs[i]->memory,
                                                                     .budget = jobs[i]->budget };
        }
}

static void cancel(Walk *w)
{
        Job *job = any_job(w);

        if (job)
                core_cancel(&w->core, job, "because", w->now);
}

static void retry(Walk *w)
{
        Known *k;
        Job *job;

        hear_all(w); /* as the supervisor does: its turn ends with it */
        job = any_job(w);
        if (!job || !core_retry(&w->core, job, w->now))
                return;
        k = known_of(w, job);
        WALK_CHECK(w, !k->lives && k->ends == 1);
        k->lives = true;
        k->ends = 0;
        k->untouched = 0;
        k->budget = k->begun + (uint32_t)job_number(job, JOB_HAS_MAX_ATTEMPTS, 0);
        WALK_CHECK(w, job->budget == k->budget);
}

static void pin(Walk *w)
{
        Job *job = any_job(w);

        if (job)
                job->calls = job->calls ? NULL : w;
}

/* What the core forgets, the walk has to have seen the end of. */
static void see_whether_forgotten(Walk *w, Known *k)
{
        if (table_find(&w->core, &k->id, k->uid))
                return;
        WALK_CHECK(w, !k->lives && !k->held && k->ends == 1);
        k->job = NULL;
}

/* --- the store --- */

static unsigned index_of_handler(const Walk *w, const CoreHandler *h)
{
        unsigned i = 0;

        while (w->handlers[i] != h)
                i++;
        return i;
}

static unsigned units_of(const Walk *w, const Job *job)
{
        unsigned set = 0;

        for (unsigned i = 0; i < job_units(job); i++)
                for (unsigned k = 0; k < SEMAPHORES; k++)
                        if (job->ties->units[i].semaphore == w->semaphores[k])
                                set |= 1u << k;
        return set;
}

/* All of a row that its admission says. */
static void note_spec(Walk *w, Row *row, const Job *job)
{
        JobRecord *r = &row->record;
        const Dependency *d;

        *row = (Row){ .used = true, .handler = index_of_handler(w, job->handler),
                      .large = job->args_elsewhere, .units = units_of(w, job) };
        r->seq = job->seq;
        r->submitted = job->submitted;
        r->spec = (JobSpec){ .id = job->id, .has = job->has, .priority = job->priority,
                             .uid = job->uid, .gid = job->gid,
                             .delay = job_number(job, JOB_HAS_DELAY, 0),
                             .ttl = job_number(job, JOB_HAS_TTL, 0),
                             .keep = job_number(job, JOB_HAS_KEEP, 0),
                             .max_attempts =
                                     (uint32_t)job_number(job, JOB_HAS_MAX_ATTEMPTS, 0) };
        if (job->has & JOB_HAS_UNIQUE_KEY)
                row->key = job_key(job).data[0];
        if (job->ties)
                LIST_FOREACH(&job->ties->blockers, d, in_waiting)
                        row->blockers[row->n_blockers++] = d->blocker->id;
}

static void note_history(Row *row, const Job *job)
{
        const JobHistory *h = job->history;
        JobRecord *r = &row->record;

        r->failures = h->failures;
        r->deaths = h->deaths;
        r->untouched = h->untouched;
        r->started = h->started;
        r->ended = job_state_ended(r->state) ? job->ended : 0;
        r->reason = h->reason ? SLICE("because") : (Slice){ NULL, 0 };
        r->result = h->result_len ? SLICE("{\"r\":1}") : (Slice){ NULL, 0 };
        row->n_attempts = h->n_attempts;
        for (uint32_t i = 0; i < h->n_attempts; i++) {
                row->attempts[i] = h->attempts[i];
                row->attempts[i].certificate = NULL;
        }
}

static JobState state_asked(const Walk *w, const Job *job)
{
        if (job->request == REQUEST_CLAIM || job->claim)
                return JOB_RUNNING;
        if (job->request == REQUEST_SETTLE)
                return (JobState)job->next_state;
        if (job_first_blocker(job))
                return JOB_BLOCKED;
        return job->ready_at > w->now ? JOB_SCHEDULED : JOB_QUEUED;
}

/* The row that this request would leave; the last one that was asked for is in `row`. */
static void note(Walk *w, Row *row, const Job *job)
{
        JobRecord *r = &row->record;
        bool begins = job->request == REQUEST_CLAIM || job->claim;

        if (job->request == REQUEST_FORGET) {
                row->used = false;
                return;
        }
        if (job->request == REQUEST_ADMIT)
                note_spec(w, row, job);
        r->state = state_asked(w, job);
        r->attempt = job->attempt + begins;
        r->budget = job->budget;
        r->order = job->order;
        r->ready_at = job->ready_at;
        row->no_ttl = job->no_ttl;
        row->pool = job->pool == w->pools[1];
        if (begins)
                r->claimed = w->now;
        if (job->request == REQUEST_CLAIM)
                return;
        row->cancel_asked = job->cancel_asked && !job_state_ended(r->state);
        if (job_state_ended(r->state))
                row->n_blockers = 0;
        note_history(row, job);
}

static void note_mark(Row *row, const Job *job)
{
        if (job->state == JOB_RUNNING) {
                row->cancel_asked = true;
        } else {
                row->record.state = JOB_QUEUED;
                row->record.attempt = job->attempt;
        }
}

/* As it is, or as the last request on its way will leave it. */
static const Row *last_row(const Walk *w, uint64_t number)
{
        for (unsigned i = w->n_sent; i-- > 0;)
                if (w->sent[i].number == number)
                        return &w->sent[i].row;
        return &w->rows[number % MODEL];
}

static void send(Walk *w, Job *job, bool mark)
{
        Sent *s = &w->sent[w->n_sent];

        s->job = job;
        s->mark = mark;
        s->number = number_of(&job->id);
        s->row = *last_row(w, s->number);
        if (mark)
                note_mark(&s->row, job);
        else
                note(w, &s->row, job);
        w->n_sent++;
}

static void ask_store(Walk *w)
{
        Job *job;

        while ((job = core_next_instant(&w->core)))
                core_complete(&w->core, job, true, w->now);
        while (w->n_sent < MODEL && chance(w, 80) && (job = core_next_request(&w->core)))
                send(w, job, false);
        while (w->n_sent < MODEL && chance(w, 60) && (job = core_next_removal(&w->core)))
                send(w, job, false);
        while (w->n_sent < MODEL && chance(w, 60) && (job = core_next_mark(&w->core)))
                send(w, job, true);
}

/* Those that wait for a job that has succeeded do so no more. */
static void drop_edges(Row *row, const Uuid *blocker)
{
        for (unsigned i = 0; i < row->n_blockers;)
                if (uuid_equal(&row->blockers[i], blocker))
                        row->blockers[i] = row->blockers[--row->n_blockers];
                else
                        i++;
}

static void commit(Walk *w, unsigned at)
{
        const Sent *s = &w->sent[at];
        const Row *row = &s->row;

        w->rows[s->number % MODEL] = *row;
        if (!row->used || row->record.state != JOB_SUCCEEDED)
                return;
        for (unsigned i = 0; i < MODEL; i++)
                drop_edges(&w->rows[i], &row->record.spec.id);
        for (unsigned i = at + 1; i < w->n_sent; i++)
                drop_edges(&w->sent[i].row, &row->record.spec.id);
}

/* Requests of one batch go together: all of them are written, or none. */
static void answer_batch(Walk *w, unsigned n, bool durable)
{
        if (durable)
                for (unsigned i = 0; i < n; i++)
                        commit(w, i);
        core_set_store_down(&w->core, !durable && n);
        for (unsigned i = 0; i < n; i++) {
                Sent *s = &w->sent[i];

                if (s->mark) {
                        core_marked(&w->core, s->job, durable);
                        continue;
                }
                if (durable && s->job->request == REQUEST_CLAIM && s->job->args_shed)
                        core_unshed(&w->core, s->job, strndup(large_args, sizeof(large_args)),
                                    sizeof(large_args), NULL, 0);
                core_complete(&w->core, s->job, durable, w->now);
                see_whether_forgotten(w, &w->known[s->number % MODEL]);
        }
        memmove(w->sent, w->sent + n, (w->n_sent - n) * sizeof(w->sent[0]));
        w->n_sent -= n;
}

/* One that fails takes all with it that was foreseen after it. */
static void answer(Walk *w)
{
        unsigned n = (unsigned)draw(w, w->n_sent + 1);

        if (n && chance(w, 5))
                answer_batch(w, w->n_sent, false);
        else
                answer_batch(w, n, true);
}

/* --- events --- */

static void hear(Walk *w, Job *job, unsigned events)
{
        Known *k = known_of(w, job);

        if (events & EVENT_ADMITTED)
                k->lives = true;
        if (events & EVENT_CLAIMED) {
                WALK_CHECK(w, !k->held && job->state == JOB_QUEUED && !job->cancel_asked);
                WALK_CHECK(w, !job->args_shed);
                k->held = true;
                job->slot = w;
                w->held[w->n_held++] = job;
        }
        if (events & EVENT_REFUSED) {
                WALK_CHECK(w, events == EVENT_REFUSED && !job->listed);
                core_forget(&w->core, job);
                k->job = NULL;
                return;
        }
        k->final = (JobState)job->state;
        if (events & EVENT_ENDED && job_state_ended(job->state)) {
                WALK_CHECK(w, k->lives || job->request == REQUEST_SETTLE);
                WALK_CHECK(w, ++k->ends == 1);
                k->lives = false;
                w->ends++;
        }
}

static void hear_all(Walk *w)
{
        unsigned events;
        Job *job;

        while ((job = core_next_event(&w->core, &events))) {
                const Known *k = known_of(w, job);

                hear(w, job, events);
                if (k->job)
                        core_shed(&w->core, job);
        }
}

/* --- workers --- */

/* While the store is down only these are given; and those that cannot run stay where they are. */
static bool is_passed_over(const Walk *w, const Job *job)
{
        return w->core.store_down &&
               (!job->memory || semaphores_missing(job) ||
                !handler_breaker_allows(&job->handler->breaker, w->now));
}

/* No job that is ready is older, or more important, than the one that is given. */
static void check_order(Walk *w, const CorePool *pool, const Job *given)
{
        for (uint32_t i = 0; i < pool->ready.count; i++) {
                const Job *j = pool->ready.items[i];

                WALK_CHECK(w, is_passed_over(w, j) || rank_before(given, j));
        }
}

static void claim(Walk *w)
{
        CorePool *pool = w->pools[draw(w, POOLS)];
        const Job *seen = core_peek(&w->core, pool, w->now);
        Job *job = core_claim(&w->core, pool, RIG_ROOM, w->now);

        WALK_CHECK(w, !seen == !job && (job == seen || rank_before(job, seen)));
        if (!job)
                return;
        w->claims++;
        check_order(w, pool, job);
}

static void let_go(Walk *w, unsigned i)
{
        known_of(w, w->held[i])->held = false;
        w->held[i] = w->held[--w->n_held];
}

static void begin(Walk *w, Job *job)
{
        AttemptBegin b = { 1, 2, 3 };
        Known *k = known_of(w, job);

        WALK_CHECK(w, core_begin(&w->core, job, &b, w->now) == 0);
        WALK_CHECK(w, job->attempt == ++k->begun);
        WALK_CHECK(w, k->begun <= k->budget);
        WALK_CHECK(w, k->lives);
}

static void end(Walk *w, unsigned i)
{
        static const Outcome outcomes[] = { OUTCOME_SUCCEEDED,   OUTCOME_SUCCEEDED,
                                            OUTCOME_ERROR,       OUTCOME_TIMEOUT,
                                            OUTCOME_WORKER_DIED, OUTCOME_WORKER_DIED,
                                            OUTCOME_SHUTDOWN };
        Job *job = w->held[i];
        Known *k = known_of(w, job);
        AttemptEnd e = { .outcome = outcomes[draw(w, ELEMENTS(outcomes))],
                         .may_retry = chance(w, 80),
                         .result = chance(w, 50) ? SLICE("{\"r\":1}") : (Slice){ NULL, 0 },
                         .certificate = chance(w, 20) ? certificate_new("words") : NULL };

        e.untouched = e.outcome == OUTCOME_WORKER_DIED && chance(w, 20);
        k->budget += e.untouched && k->untouched < 5;
        k->untouched = e.untouched ? k->untouched + 1 : 0;
        if (chance(w, 5)) {
                AttemptEnd old = { .outcome = OUTCOME_SUCCEEDED };

                WALK_CHECK(w, core_settle(&w->core, job, job->attempt - 1, &old, w->now, 0) ==
                                      CORE_E_STALE);
        }
        WALK_CHECK(w, core_settle(&w->core, job, job->attempt, &e, w->now,
                                  draw(w, UINT64_MAX)) == 0);
        let_go(w, i);
}

static void work(Walk *w)
{
        unsigned i;
        Job *job;

        if (!w->n_held)
                return;
        i = (unsigned)draw(w, w->n_held);
        job = w->held[i];
        if (job->state == JOB_RUNNING) {
                if (chance(w, 20))
                        core_progress(&w->core, job, 0.5);
                else
                        end(w, i);
        } else if (chance(w, 80)) {
                begin(w, job);
        } else {
                let_go(w, i);
                core_unclaim(&w->core, job, w->now);
        }
}

/* --- the rest of the world --- */

static void tick(Walk *w)
{
        w->now += draw(w, 100 * USEC_PER_MSEC);
        for (int i = 0; i < 100 && core_next_due(&w->core) <= w->now; i++)
                core_tick(&w->core, w->now);
        for (unsigned i = 0; i < MODEL; i++)
                if (w->known[i].job)
                        see_whether_forgotten(w, &w->known[i]);
}

static void bind(Walk *w, unsigned handler, unsigned to)
{
        w->bound[handler] = to;
        core_bind_handler(&w->core, w->handlers[handler], w->pools[to]);
}

static void rebind(Walk *w)
{
        unsigned to = (unsigned)draw(w, POOLS);

        bind(w, (unsigned)draw(w, HANDLERS), to);
        w->pools[to]->paused = chance(w, 20);
        w->pools[to]->busy = chance(w, 20);
        w->semaphores[draw(w, SEMAPHORES)]->size = draw(w, 4);
}

static void check(Walk *w)
{
        const char *fault = core_fault(&w->core);
        uint64_t lives = 0;

        if (fault)
                fail_msg("BROOD_SEED=%llu, step %d: %s", (unsigned long long)w->seed, w->step,
                         fault);
        for (unsigned i = 0; i < MODEL; i++) {
                const Known *k = &w->known[i];

                WALK_CHECK(w, !k->lives || (k->job &&
                                            core_find(&w->core, &k->id, k->uid, false) == k->job));
                lives += k->lives && !job_is_returning(k->job) && job_is_open(k->job);
        }
        WALK_CHECK(w, lives <= w->core.open);
}

/* --- a crash --- */

static void make_core(Walk *w)
{
        CoreLimits limits = { .max_queued = 600, .keep = 3 * USEC_PER_SEC, .keep_max = 200,
                              .large = LARGE };

        core_init(&w->core, &limits);
        for (int i = 0; i < POOLS; i++) {
                w->pools[i] = core_pool(&w->core, pool_names[i]);
                w->pools[i]->policy = RIG_POLICY;
                w->pools[i]->policy.poison_deaths = i ? 3 : 0;
                w->pools[i]->policy.breaker_deaths = i ? 0 : 40;
                w->pools[i]->policy.max_queued = i ? 400 : 0;
        }
        for (unsigned i = 0; i < HANDLERS; i++) {
                w->handlers[i] = core_handler(&w->core, handler_names[i]);
                bind(w, i, w->bound[i]);
        }
        for (unsigned i = 0; i < SEMAPHORES; i++) {
                w->semaphores[i] = core_semaphore(&w->core, semaphore_names[i]);
                w->semaphores[i]->size = 1 + i;
        }
}

static Job *restore_row(Walk *w, Row *row)
{
        JobRecord record = row->record;
        Extra extra;
        Job *job;

        record.spec.handler = w->handlers[row->handler];
        record.spec.args = row->large ? (Slice){ NULL, 0 } : SLICE("{}");
        record.spec.unique_key = (Slice){ &row->key, record.spec.has & JOB_HAS_UNIQUE_KEY ? 1 : 0 };
        fill_units(w, &record.spec, &extra, row->units);
        record.args_shed = row->large;
        record.pool = w->pools[row->pool];
        WALK_CHECK(w, core_restore(&w->core, &record, &job) == 0);
        job->no_ttl = row->no_ttl;
        job->cancel_asked |= row->cancel_asked;
        for (uint32_t i = 0; i < row->n_attempts; i++) {
                Attempt *a = job_add_attempt(job);

                *a = row->attempts[i];
                a->pool = record.pool;
        }
        return job;
}

/* Before it is taken as what is known from now on. */
static void check_restored(Walk *w, const Known *k, const Row *row, const Job *job)
{
        WALK_CHECK(w, job->attempt >= k->begun);     /* no number is given twice */
        WALK_CHECK(w, job->attempt <= k->begun + 1); /* it was begun, or claimed */
        WALK_CHECK(w, job->attempt <= job->budget);
        WALK_CHECK(w, job->budget <= k->budget);
        if (k->ends == 1 && !k->lives) { /* its end was told */
                WALK_CHECK(w, job->state == k->final);
                WALK_CHECK(w, job->attempt == k->begun);
        }
        WALK_CHECK(w, !row->record.order || job->order == row->record.order);
        WALK_CHECK(w, job->seq == row->record.seq);
}

static int by_seq(const void *a, const void *b)
{
        const Row *x = *(Row *const *)a, *y = *(Row *const *)b;

        return x->record.seq < y->record.seq ? -1 : 1;
}

static unsigned restore_all(Walk *w, Row *sorted[MODEL])
{
        unsigned n = 0;

        for (unsigned i = 0; i < MODEL; i++)
                if (w->rows[i].used)
                        sorted[n++] = &w->rows[i];
        qsort(sorted, n, sizeof(sorted[0]), by_seq);
        for (unsigned i = 0; i < n; i++)
                (void)restore_row(w, sorted[i]);
        for (unsigned i = 0; i < n; i++)
                for (unsigned k = 0; k < sorted[i]->n_blockers; k++) {
                        const JobSpec *s = &sorted[i]->record.spec;
                        Job *job = table_find(&w->core, &s->id, s->uid);

                        if (!job_state_ended(job->state))
                                WALK_CHECK(w, core_restore_blocker(&w->core, job,
                                                                   &sorted[i]->blockers[k]) == 0);
                }
        return n;
}

/* Who was told that a job is there, or how it ended, was told the truth. */
static void know_again(Walk *w)
{
        for (unsigned i = 0; i < MODEL; i++) {
                Known *k = &w->known[i];
                Row *row = &w->rows[i];
                Job *job = row->used ? table_find(&w->core, &row->record.spec.id,
                                                  row->record.spec.uid)
                                     : NULL;

                if (!job) {
                        WALK_CHECK(w, !k->job || !k->lives || k->memory);
                        *k = (Known){ 0 };
                        continue;
                }
                WALK_CHECK(w, k->job && uuid_equal(&k->id, &job->id));
                check_restored(w, k, row, job);
                *k = (Known){ .id = job->id, .job = job, .uid = job->uid, .begun = job->attempt,
                              .budget = job->budget, .untouched = job->history->untouched,
                              .final = (JobState)job->state, .lives = !job_state_ended(job->state),
                              .ends = job_state_ended(job->state) };
                if (job->request == REQUEST_SETTLE) /* the end of its attempt has set that */
                        k->untouched = 0;
        }
}

/* What is on its way may have been written, all of it or nothing. */
static void crash(Walk *w)
{
        Row *sorted[MODEL];

        if (chance(w, 50))
                for (unsigned i = 0; i < w->n_sent; i++)
                        commit(w, i);
        core_fini(&w->core);
        w->n_sent = w->n_held = 0;
        make_core(w);
        w->now += draw(w, USEC_PER_SEC);
        w->restored += restore_all(w, sorted);
        core_resume(&w->core, w->now);
        know_again(w);
        check(w);
        w->crashes++;
}

static void walk_init(Walk *w, uint64_t seed)
{
        w->seed = w->random = seed;
        w->now = 1768472430000000;
        memset(large_args, 'a', sizeof(large_args));
        for (unsigned i = 0; i < HANDLERS; i++)
                w->bound[i] = i % POOLS;
        make_core(w);
}

/* Everything that is open comes to an end: nobody is lost or waits for ever. */
static void walk_home(Walk *w)
{
        for (int i = 0; i < POOLS; i++)
                w->pools[i]->paused = w->pools[i]->busy = false;
        for (int i = 0; i < SEMAPHORES; i++)
                w->semaphores[i]->size = 2;
        for (int turn = 0; turn < 100000 && (w->core.open || !list_empty(&w->core.requests));
             turn++) {
                for (int i = 0; i < POOLS; i++)
                        (void)core_claim(&w->core, w->pools[i], RIG_ROOM, w->now);
                ask_store(w);
                answer(w);
                hear_all(w);
                for (int i = 0; i < 4; i++)
                        work(w);
                if (turn % 16 == 0)
                        tick(w);
        }
        while (w->n_sent)
                answer(w);
        hear_all(w);
        check(w);
        for (unsigned i = 0; i < MODEL; i++)
                WALK_CHECK(w, !w->known[i].lives && !w->known[i].held);
        WALK_CHECK(w, w->core.open == 0 && w->core.keys.count == 0 && w->core.bytes == 0);
}

static void walk(Walk *w)
{
        for (w->step = 0; w->step < STEPS; w->step++) {
                uint64_t what = draw(w, 1000);

                if (what < 120)
                        submit(w);
                else if (what < 150)
                        cancel(w);
                else if (what < 160)
                        retry(w);
                else if (what < 165)
                        pin(w);
                else if (what < 350)
                        claim(w);
                else if (what < 500)
                        ask_store(w);
                else if (what < 600)
                        answer(w);
                else if (what < 700)
                        hear_all(w);
                else if (what < 998)
                        work(w);
                else if (what < 999)
                        rebind(w);
                else if (w->step % 4 == 0)
                        crash(w);
                if (w->step % 16 == 0)
                        tick(w);
                if (w->step % CHECK_EVERY == 0)
                        check(w);
        }
}

static void a_random_walk_breaks_no_invariant(void **state UNUSED)
{
        const char *given = getenv("BROOD_SEED");
        uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
        Walk *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        print_message("BROOD_SEED=%llu\n", (unsigned long long)seed);
        walk_init(w, seed);
        walk(w);
        check(w);
        WALK_CHECK(w, w->claims > 1000 && w->ends > 1000); /* it went somewhere */
        WALK_CHECK(w, w->crashes > 10 && w->restored > 1000);
        walk_home(w);
        core_fini(&w->core);
        free(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_random_walk_breaks_no_invariant),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
