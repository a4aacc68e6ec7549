/* SPDX-License-Identifier: MIT */

/* Named semaphores: who waits for them, who gets them, and that their units come back. */

#include "core_rig.h"

static JobSpec spec_with(Rig *r, CoreSemaphore *const *units, unsigned n)
{
        JobSpec spec = rig_spec(r);

        spec.units = units;
        spec.n_units = n;
        return spec;
}

static Job *admit_with(Rig *r, CoreSemaphore *const *units, unsigned n)
{
        JobSpec spec = spec_with(r, units, n);

        return rig_admit(r, &spec);
}

static Job *claim_of(Rig *r, CorePool *pool)
{
        Job *job = core_claim(&r->core, pool, RIG_ROOM, r->now);

        rig_sound(r);
        rig_rest(r);
        return job;
}

static void as_many_run_as_there_are_units(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 2);
        Job *jobs[4], *free_one;

        for (int i = 0; i < 4; i++)
                jobs[i] = admit_with(r, &gpu, 1);
        free_one = rig_job(r);
        rig_run(r, jobs[0]);
        rig_run(r, jobs[1]);
        assert_int_equal(gpu->held, 2);
        rig_run(r, free_one); /* whom it does not concern does not wait */
        assert_null(rig_claim(r));
        assert_int_equal(jobs[2]->state, JOB_BLOCKED);
        assert_int_equal(jobs[3]->state, JOB_BLOCKED);
        assert_int_equal(r->pool->waiting, 2);
        rig_end(r, jobs[1], OUTCOME_SUCCEEDED);
        rig_run(r, jobs[2]);
        assert_null(rig_claim(r));
        rig_end(r, jobs[0], OUTCOME_SUCCEEDED);
        rig_run(r, jobs[3]);
        assert_int_equal(r->pool->waiting, 0);
}

static void who_waits_is_told_and_shown_as_blocked(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        Job *first = admit_with(r, &gpu, 1), *second = admit_with(r, &gpu, 1);

        rig_run(r, first);
        assert_int_equal(second->state, JOB_QUEUED); /* nobody has looked at it */
        assert_null(core_peek(&r->core, r->pool, r->now));
        assert_int_equal(second->state, JOB_BLOCKED);
        assert_ptr_equal(semaphores_missing(second), gpu);
        assert_int_equal(rig_events(r, second), EVENT_CHANGED);
        rig_end(r, first, OUTCOME_SUCCEEDED);
        assert_ptr_equal(core_peek(&r->core, r->pool, r->now), second);
        assert_int_equal(second->state, JOB_QUEUED);
        assert_int_equal(rig_events(r, second), EVENT_CHANGED);
}

static void units_are_taken_all_or_none(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *s[2] = { rig_semaphore(r, "a", 1), rig_semaphore(r, "b", 1) };
        Job *only_b = admit_with(r, &s[1], 1), *both = admit_with(r, s, 2);

        rig_run(r, only_b);
        assert_null(rig_claim(r));
        assert_int_equal(s[0]->held, 0);
        assert_int_equal(both->state, JOB_BLOCKED);
        assert_int_equal(r->pool->waiting, 2);
        rig_end(r, only_b, OUTCOME_SUCCEEDED);
        rig_run(r, both);
        assert_int_equal(s[0]->held, 1);
        assert_int_equal(s[1]->held, 1);
        assert_int_equal(r->pool->waiting, 0);
        rig_end(r, both, OUTCOME_SUCCEEDED);
        assert_int_equal(s[0]->held + s[1]->held, 0);
}

static void who_waits_is_served_by_rank(void **state UNUSED)
{
        static const int priorities[] = { 0, 5, 0, -3, 5, 9 };
        static const unsigned order[] = { 5, 1, 4, 0, 2, 3 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        Job *jobs[ELEMENTS(priorities)], *running = admit_with(r, &gpu, 1);

        rig_run(r, running);
        for (size_t i = 0; i < ELEMENTS(priorities); i++) {
                JobSpec spec = spec_with(r, &gpu, 1);

                spec.has = JOB_HAS_PRIORITY;
                spec.priority = priorities[i];
                jobs[i] = rig_admit(r, &spec);
                if (i == 3)
                        assert_null(rig_claim(r)); /* some wait there, some are only queued */
        }
        for (size_t i = 0; i < ELEMENTS(order); i++) {
                rig_end(r, running, OUTCOME_SUCCEEDED);
                running = jobs[order[i]];
                rig_run(r, running);
        }
}

static void an_older_waiter_goes_before_a_younger_ready_job_and_not_before_a_better(
        void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        Job *first = admit_with(r, &gpu, 1), *waiter = admit_with(r, &gpu, 1), *young, *better;
        JobSpec spec;

        rig_run(r, first);
        assert_null(rig_claim(r));
        young = rig_job(r);
        spec = rig_spec(r);
        spec.has = JOB_HAS_PRIORITY;
        spec.priority = 1;
        better = rig_admit(r, &spec);
        rig_end(r, first, OUTCOME_SUCCEEDED);
        assert_ptr_equal(rig_claim(r), better);
        assert_ptr_equal(rig_claim(r), waiter);
        assert_ptr_equal(rig_claim(r), young);
}

/* Without that, jobs with one unit would pass it for ever. */
static void the_best_that_needs_several_is_not_starved(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *s[2] = { rig_semaphore(r, "a", 1), rig_semaphore(r, "b", 1) };
        Job *on_a = admit_with(r, &s[0], 1), *on_b = admit_with(r, &s[1], 1), *both, *later[2];

        rig_run(r, on_a);
        rig_run(r, on_b);
        both = admit_with(r, s, 2);
        assert_null(rig_claim(r));
        later[0] = admit_with(r, &s[0], 1);
        later[1] = admit_with(r, &s[1], 1);
        rig_end(r, on_a, OUTCOME_SUCCEEDED);
        assert_null(rig_claim(r)); /* the unit of a is kept for it */
        assert_int_equal(later[0]->state, JOB_BLOCKED);
        rig_end(r, on_b, OUTCOME_SUCCEEDED);
        rig_run(r, both);
        assert_null(rig_claim(r));
        rig_end(r, both, OUTCOME_SUCCEEDED);
        rig_run(r, later[0]);
        rig_run(r, later[1]);
}

static void a_unit_is_kept_for_nobody_who_could_not_run(void **state UNUSED)
{
        static const char *const cases[] = { "paused", "without room", "of lower rank", "neither" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                CoreSemaphore *s[2] = { rig_semaphore(r, "a", 1), rig_semaphore(r, "b", 1) };
                CorePool *other = rig_pool(r, "other");
                JobSpec spec = spec_with(r, s, 2);
                Job *on_b, *single;

                on_b = admit_with(r, &s[1], 1);
                rig_run(r, on_b);
                spec.handler = rig_handler(r, "render", other);
                spec.has = JOB_HAS_PRIORITY;
                spec.priority = i == 2 ? -1 : 0;
                (void)rig_admit(r, &spec);
                CHECK(!claim_of(r, other), cases[i]);
                other->paused = i == 0;
                other->busy = i == 1;
                single = admit_with(r, &s[0], 1);
                CHECK((rig_claim(r) == single) == (i < 3), cases[i]);
        }
}

static void several_free_units_are_not_all_kept(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *s[2] = { rig_semaphore(r, "a", 3), rig_semaphore(r, "b", 1) };
        Job *on_b = admit_with(r, &s[1], 1), *both, *singles[3];

        rig_run(r, on_b);
        both = admit_with(r, s, 2);
        for (int i = 0; i < 3; i++)
                singles[i] = admit_with(r, &s[0], 1);
        assert_ptr_equal(rig_claim(r), singles[0]);
        assert_ptr_equal(rig_claim(r), singles[1]);
        assert_null(rig_claim(r)); /* the last one is kept */
        rig_end(r, on_b, OUTCOME_SUCCEEDED);
        rig_run(r, both);
}

/* The first ones lack something else: one behind them can run. */
static void who_can_run_passes_those_that_lack_something_else(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *s[2] = { rig_semaphore(r, "a", 8), rig_semaphore(r, "b", 1) };
        Job *on_b = admit_with(r, &s[1], 1), *both[3], *single, *hog;

        rig_run(r, on_b);
        hog = admit_with(r, &s[0], 1);
        s[0]->size = 1;
        rig_run(r, hog);
        for (int i = 0; i < 3; i++)
                both[i] = admit_with(r, s, 2);
        single = admit_with(r, &s[0], 1);
        assert_null(rig_claim(r)); /* all wait */
        assert_int_equal(r->pool->waiting, 7);
        s[0]->size = 8;
        assert_ptr_equal(rig_claim(r), single);
        assert_null(rig_claim(r));
        rig_end(r, on_b, OUTCOME_SUCCEEDED);
        assert_ptr_equal(rig_claim(r), both[0]);
}

static void units_come_back_at_every_kind_of_end(void **state UNUSED)
{
        static const char *const cases[] = { "unclaim", "refused claim", "cancelled, unheard" };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);

        for (int outcome = 0; outcome < OUTCOME_NONE; outcome++) {
                Job *job = admit_with(r, &gpu, 1);

                rig_run(r, job);
                CHECK(gpu->held == 1, outcome_name((Outcome)outcome));
                rig_settle(r, job, (Outcome)outcome);
                CHECK(gpu->held == 0, outcome_name((Outcome)outcome)); /* before the store's word */
                rig_rest(r);
                rig_cancel(r, job); /* those that would be tried again */
                rig_rest(r);
        }
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Job *job = admit_with(r, &gpu, 1);

                assert_ptr_equal(core_claim(&r->core, r->pool, 1, r->now), job);
                CHECK(gpu->held == 1, cases[i]);
                if (i != 1)
                        rig_store(r);
                if (i == 0) {
                        rig_listen(r);
                        core_unclaim(&r->core, job, r->now);
                } else if (i == 1) {
                        (void)rig_answer(r, false);
                } else {
                        rig_cancel(r, job);
                }
                rig_sound(r);
                CHECK(gpu->held == 0, cases[i]);
                rig_rest(r);
                rig_cancel(r, job);
                rig_rest(r);
        }
}

static void a_size_that_changes_is_heeded_at_once(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 0);
        Job *jobs[5];

        for (int i = 0; i < 5; i++)
                jobs[i] = admit_with(r, &gpu, 1);
        assert_null(rig_claim(r)); /* the config does not have it */
        gpu->size = 3;
        for (int i = 0; i < 3; i++)
                rig_run(r, jobs[i]);
        assert_null(rig_claim(r));
        gpu->size = 1; /* those that run go on */
        rig_end(r, jobs[0], OUTCOME_SUCCEEDED);
        assert_null(rig_claim(r));
        rig_end(r, jobs[1], OUTCOME_SUCCEEDED);
        assert_null(rig_claim(r));
        rig_end(r, jobs[2], OUTCOME_SUCCEEDED);
        rig_run(r, jobs[3]);
        gpu->size = 2;
        rig_run(r, jobs[4]);
}

static void jobs_of_several_pools_share_a_semaphore(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        CorePool *other = rig_pool(r, "other");
        JobSpec spec = spec_with(r, &gpu, 1);
        Job *mine, *theirs;

        mine = admit_with(r, &gpu, 1);
        spec.handler = rig_handler(r, "render", other);
        theirs = rig_admit(r, &spec);
        rig_run(r, mine);
        assert_null(claim_of(r, other));
        assert_int_equal(other->waiting, 1);
        assert_int_equal(r->pool->waiting, 0);
        rig_end(r, mine, OUTCOME_SUCCEEDED);
        assert_null(rig_claim(r));
        assert_ptr_equal(claim_of(r, other), theirs);
}

static void who_waits_goes_along_with_its_handler(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        CorePool *to = rig_pool(r, "to");
        Job *first = admit_with(r, &gpu, 1), *waiting = admit_with(r, &gpu, 1), *queued;

        rig_run(r, first);
        assert_null(rig_claim(r));
        queued = admit_with(r, &gpu, 1);
        core_bind_handler(&r->core, r->handler, to);
        rig_sound(r);
        assert_int_equal(to->waiting, 1);
        assert_int_equal(r->pool->waiting, 0);
        rig_end(r, first, OUTCOME_WORKER_DIED); /* it follows when it waits again */
        assert_null(rig_claim(r));
        assert_ptr_equal(claim_of(r, to), first);
        rig_begin(r, first);
        rig_end(r, first, OUTCOME_SUCCEEDED);
        assert_ptr_equal(claim_of(r, to), waiting);
        rig_begin(r, waiting);
        rig_end(r, waiting, OUTCOME_SUCCEEDED);
        assert_ptr_equal(claim_of(r, to), queued);
}

static void who_waits_can_be_cancelled_and_can_expire(void **state UNUSED)
{
        for (int expires = 0; expires < 2; expires++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                CoreSemaphore *s[2] = { rig_semaphore(r, "a", 1), rig_semaphore(r, "b", 1) };
                Job *first = admit_with(r, s, 2), *job;
                JobSpec spec = spec_with(r, s, 2);

                rig_run(r, first);
                spec.has = JOB_HAS_TTL;
                spec.ttl = USEC_PER_SEC;
                job = rig_admit(r, &spec);
                assert_null(rig_claim(r));
                assert_int_equal(job->state, JOB_BLOCKED);
                if (expires) {
                        assert_int_equal(core_next_due(&r->core), r->now + USEC_PER_SEC);
                        rig_wait(r, USEC_PER_SEC);
                } else {
                        rig_cancel(r, job);
                        assert_int_equal(r->pool->waiting, 0);
                        rig_rest(r);
                }
                assert_int_equal(job->state, expires ? JOB_EXPIRED : JOB_CANCELLED);
                rig_end(r, first, OUTCOME_SUCCEEDED);
                assert_null(rig_claim(r));
        }
}

static void who_has_waited_for_others_then_waits_for_its_semaphore(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        Job *hog = admit_with(r, &gpu, 1), *before = rig_job(r), *job;
        JobSpec spec = spec_with(r, &gpu, 1);

        spec.blockers = &before->id;
        spec.n_blockers = 1;
        job = rig_admit(r, &spec);
        rig_run(r, hog);
        rig_run(r, before);
        assert_int_equal(job->state, JOB_BLOCKED);
        assert_int_equal(r->pool->waiting, 0); /* not there yet */
        rig_end(r, before, OUTCOME_SUCCEEDED);
        assert_int_equal(job->state, JOB_QUEUED);
        assert_null(rig_claim(r));
        assert_int_equal(job->state, JOB_BLOCKED);
        assert_int_equal(r->pool->waiting, 1);
        rig_end(r, hog, OUTCOME_SUCCEEDED);
        rig_run(r, job);
}

static void an_arriving_job_is_claimed_only_with_its_units(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        JobSpec one = spec_with(r, &gpu, 1), two = spec_with(r, &gpu, 1), plain = rig_spec(r);
        Job *first = rig_submit(r, &one), *second = rig_submit(r, &two), *third;

        assert_ptr_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), first);
        rig_sound(r);
        third = rig_submit(r, &plain);
        assert_ptr_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), third);
        rig_sound(r);
        assert_int_equal(second->place, PLACE_NONE); /* it is admitted first, and then seen to */
        rig_rest(r);
        assert_null(rig_claim(r));
        assert_int_equal(second->state, JOB_BLOCKED);
}

static void semaphores_are_made_once(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = core_semaphore(&r->core, "gpu");

        assert_int_equal(gpu->size, 0);
        assert_ptr_equal(core_semaphore(&r->core, "gpu"), gpu);
        assert_ptr_equal(core_find_semaphore(&r->core, SLICE("gpu")), gpu);
        assert_null(core_find_semaphore(&r->core, SLICE("gp")));
        assert_null(core_find_semaphore(&r->core, SLICE("")));
        assert_ptr_not_equal(core_semaphore(&r->core, "gpus"), gpu);
}

/* --- a walk of their own --- */

typedef struct Crowd {
        Rig *r;
        uint64_t random;
        CoreSemaphore *s[3];
        CorePool *pools[2];
        Job *running[64];
        unsigned n;
} Crowd;

static uint64_t draw(Crowd *c, uint64_t below)
{
        uint64_t z = (c->random += 0x9e3779b97f4a7c15ULL);

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
        return (z ^ z >> 31) % below;
}

static void crowd_submit(Crowd *c)
{
        CoreSemaphore *some[3];
        JobSpec spec = rig_spec(c->r);
        unsigned n = 0;

        for (unsigned i = 0; i < 3; i++)
                if (draw(c, 2))
                        some[n++] = c->s[i];
        spec.units = some;
        spec.n_units = n;
        spec.has = JOB_HAS_PRIORITY;
        spec.priority = (int)draw(c, 3);
        if (draw(c, 2))
                spec.handler = core_find_handler(&c->r->core, SLICE("render"));
        (void)rig_submit(c->r, &spec);
}

static void crowd_claim(Crowd *c)
{
        CorePool *pool = c->pools[draw(c, 2)];
        Job *job;

        if (c->n == ELEMENTS(c->running))
                return;
        job = core_claim(&c->r->core, pool, RIG_ROOM, c->r->now);
        rig_sound(c->r);
        rig_rest(c->r);
        if (!job)
                return;
        rig_begin(c->r, job);
        c->running[c->n++] = job;
}

static void crowd_end(Crowd *c)
{
        unsigned i;

        if (!c->n)
                return;
        i = (unsigned)draw(c, c->n);
        rig_end(c->r, c->running[i], draw(c, 3) ? OUTCOME_SUCCEEDED : OUTCOME_WORKER_DIED);
        c->running[i] = c->running[--c->n];
}

static void in_a_random_crowd_no_size_is_exceeded_and_all_run_at_last(void **state UNUSED)
{
        const char *given = getenv("BROOD_SEED");
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep_max = 20 });
        Crowd c = { .r = r, .random = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) };

        print_message("BROOD_SEED=%llu\n", (unsigned long long)c.random);
        c.pools[0] = r->pool;
        c.pools[1] = rig_pool(r, "other");
        (void)rig_handler(r, "render", c.pools[1]);
        for (unsigned i = 0; i < 3; i++)
                c.s[i] = rig_semaphore(r, (const char *[]){ "a", "b", "c" }[i], i + 1);
        for (int step = 0; step < 3000; step++) {
                if (r->core.open < 40 && draw(&c, 3) == 0)
                        crowd_submit(&c);
                else if (draw(&c, 2))
                        crowd_claim(&c);
                else
                        crowd_end(&c);
                for (unsigned i = 0; i < 3; i++)
                        assert_true(c.s[i]->held <= c.s[i]->size);
                if (step % 64 == 0)
                        rig_wait(r, USEC_PER_SEC);
        }
        for (int step = 0; step < 3000 && r->core.open; step++) {
                crowd_claim(&c);
                crowd_end(&c);
                rig_wait(r, USEC_PER_SEC);
        }
        assert_int_equal(r->core.open, 0);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(c.s[i]->held, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(as_many_run_as_there_are_units),
                cmocka_unit_test(who_waits_is_told_and_shown_as_blocked),
                cmocka_unit_test(units_are_taken_all_or_none),
                cmocka_unit_test(who_waits_is_served_by_rank),
                cmocka_unit_test(
                        an_older_waiter_goes_before_a_younger_ready_job_and_not_before_a_better),
                cmocka_unit_test(the_best_that_needs_several_is_not_starved),
                cmocka_unit_test(a_unit_is_kept_for_nobody_who_could_not_run),
                cmocka_unit_test(several_free_units_are_not_all_kept),
                cmocka_unit_test(who_can_run_passes_those_that_lack_something_else),
                cmocka_unit_test(units_come_back_at_every_kind_of_end),
                cmocka_unit_test(a_size_that_changes_is_heeded_at_once),
                cmocka_unit_test(jobs_of_several_pools_share_a_semaphore),
                cmocka_unit_test(who_waits_goes_along_with_its_handler),
                cmocka_unit_test(who_waits_can_be_cancelled_and_can_expire),
                cmocka_unit_test(who_has_waited_for_others_then_waits_for_its_semaphore),
                cmocka_unit_test(an_arriving_job_is_claimed_only_with_its_units),
                cmocka_unit_test(semaphores_are_made_once),
                cmocka_unit_test(in_a_random_crowd_no_size_is_exceeded_and_all_run_at_last),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
