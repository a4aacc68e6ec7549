/* SPDX-License-Identifier: MIT */

/* A random walk over the core: clients, workers, a store that refuses now and then, and time, all
 * by one seed. BROOD_SEED=… repeats a walk; what it was is told on failure. */

#include "core_rig.h"

enum {
        STEPS = 200000,
        CHECK_EVERY = 1000,
        MODEL = 4096,
        USERS = 3,
        POOLS = 2,
        HANDLERS = 3,
        KEYS = 6
};

/* What the walk knows of a job without asking the core. */
typedef struct Known {
        Uuid id;
        Job *job; /* NULL: forgotten, or never admitted */
        uint32_t uid, begun, budget, untouched;
        unsigned ends;     /* EVENT_ENDED seen since the budget was set */
        bool lives;        /* admitted, and its end not seen */
        bool held;         /* claimed, on its way to a slot or on it */
} Known;

typedef struct Walk {
        uint64_t seed, random;
        int step;
        Core core;
        CorePool *pools[POOLS];
        CoreHandler *handlers[HANDLERS];
        usec_t now;
        uint64_t ids;
        Known known[MODEL]; /* by number of the id, modulo MODEL */
        Job *sent[MODEL];   /* requests on their way in the store */
        unsigned n_sent;
        Job *held[MODEL];   /* claimed or running */
        unsigned n_held;
        unsigned claims, ends, refusals; /* that the walk gets about */
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

static void fill_spec(Walk *w, JobSpec *s, Uuid *blockers, char *key)
{
        Job *before;

        *s = (JobSpec){ .handler = w->handlers[draw(w, HANDLERS)], .id = uuid_of(++w->ids),
                        .args = SLICE("{}"), .uid = 1000 + (uint32_t)draw(w, USERS) };
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
                key[0] = (char)('a' + draw(w, KEYS));
                s->has |= JOB_HAS_UNIQUE_KEY;
                s->unique_key = (Slice){ key, 1 };
        }
        s->has |= JOB_HAS_MAX_ATTEMPTS;
        s->max_attempts = 1 + (uint32_t)draw(w, 4);
        for (unsigned i = 0; i < 2 && chance(w, 20); i++)
                if ((before = any_job(w)) && before->uid == s->uid) {
                        blockers[s->n_blockers++] = before->id;
                        s->blockers = blockers;
                }
}

static void submit(Walk *w)
{
        enum { MOST = 4 };
        unsigned n = 1 + (unsigned)draw(w, MOST);
        uint64_t open = w->core.open;
        bool duplicate[MOST];
        Uuid blockers[MOST][2], missing;
        JobSpec specs[MOST];
        char keys[MOST];
        Job *jobs[MOST];

        for (unsigned i = 0; i < n; i++) {
                fill_spec(w, &specs[i], blockers[i], &keys[i]);
                if (w->known[w->ids % MODEL].job)
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
        k->budget = k->begun + job->max_attempts;
        WALK_CHECK(w, job->budget == k->budget);
}

static void pin(Walk *w)
{
        Job *job = any_job(w);

        if (job)
                job->pins = !job->pins;
}

/* --- the store --- */

static void ask_store(Walk *w)
{
        while (w->n_sent < MODEL && chance(w, 80)) {
                Job *job = core_next_request(&w->core);

                if (!job)
                        return;
                w->sent[w->n_sent++] = job;
        }
}

/* Answers in their order, as a store does; some are refused. */
static void answer(Walk *w)
{
        unsigned n = (unsigned)draw(w, w->n_sent + 1);

        for (unsigned i = 0; i < n; i++)
                core_complete(&w->core, w->sent[i], !chance(w, 5), w->now);
        memmove(w->sent, w->sent + n, (w->n_sent - n) * sizeof(w->sent[0]));
        w->n_sent -= n;
}

/* --- events --- */

static void hear(Walk *w, Job *job, unsigned events)
{
        Known *k = known_of(w, job);

        if (events & EVENT_ADMITTED)
                k->lives = true;
        if (events & EVENT_CLAIMED) {
                WALK_CHECK(w, !k->held && job->state == JOB_QUEUED && !job->cancel_asked);
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

        while ((job = core_next_event(&w->core, &events)))
                hear(w, job, events);
}

/* --- workers --- */

/* No job that is ready is older, or more important, than the one that is given. */
static void check_order(Walk *w, const CorePool *pool, const Job *given)
{
        for (uint32_t i = 0; i < pool->ready.count; i++) {
                const Job *j = pool->ready.items[i];

                WALK_CHECK(w, j->priority < given->priority ||
                                      (j->priority == given->priority && j->order > given->order));
        }
}

static void claim(Walk *w)
{
        CorePool *pool = w->pools[draw(w, POOLS)];
        Job *job = core_peek(&w->core, pool);

        WALK_CHECK(w, core_claim(&w->core, pool) == job);
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
        core_settle(&w->core, job, &e, w->now, draw(w, UINT64_MAX));
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

/* What the core forgets, the walk has to have seen the end of. */
static void tick(Walk *w)
{
        w->now += draw(w, 100 * USEC_PER_MSEC);
        for (int i = 0; i < 100 && core_next_due(&w->core) <= w->now; i++)
                core_tick(&w->core, w->now);
        for (unsigned i = 0; i < MODEL; i++) {
                Known *k = &w->known[i];

                if (!k->job || table_find(&w->core, &k->id, k->uid))
                        continue;
                WALK_CHECK(w, !k->lives && !k->held && k->ends == 1);
                k->job = NULL;
        }
}

static void rebind(Walk *w)
{
        uint64_t to = draw(w, POOLS);

        core_bind_handler(&w->core, w->handlers[draw(w, HANDLERS)], w->pools[to]);
        w->pools[to]->paused = chance(w, 20);
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

static void walk_init(Walk *w, uint64_t seed)
{
        static const char *const pools[] = { "one", "two" }, *const handlers[] = { "a", "b", "c" };
        CoreLimits limits = { .max_queued = 600, .keep = 3 * USEC_PER_SEC, .keep_max = 200 };

        w->seed = w->random = seed;
        w->now = 1768472430000000;
        core_init(&w->core, &limits);
        for (int i = 0; i < POOLS; i++) {
                w->pools[i] = core_pool(&w->core, pools[i]);
                w->pools[i]->policy = RIG_POLICY;
                w->pools[i]->policy.poison_deaths = i ? 3 : 0;
                w->pools[i]->policy.max_queued = i ? 400 : 0;
        }
        for (int i = 0; i < HANDLERS; i++) {
                w->handlers[i] = core_handler(&w->core, handlers[i]);
                core_bind_handler(&w->core, w->handlers[i], w->pools[i % POOLS]);
        }
}

/* Everything that is open comes to an end: nobody is lost or waits for ever. */
static void walk_home(Walk *w)
{
        for (int i = 0; i < POOLS; i++)
                w->pools[i]->paused = false;
        for (int turn = 0; turn < 100000 && (w->core.open || !list_empty(&w->core.requests));
             turn++) {
                for (int i = 0; i < POOLS; i++)
                        (void)core_claim(&w->core, w->pools[i]);
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
        WALK_CHECK(w,
                   w->claims > 1000 && w->ends > 1000 && w->refusals > 10); /* it went somewhere */
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
