/* SPDX-License-Identifier: MIT */

/* What the breaker of a handler does to its jobs. (Its arithmetic: test_breaker.c.) */

#include "core_rig.h"

enum { LIMIT = 3 };

static Rig *fragile_rig(void)
{
        Rig *r = rig_new(RIG_LIMITS);

        r->pool->policy.breaker_deaths = LIMIT;
        r->pool->policy.max_attempts = 100;
        r->pool->policy.backoff = r->pool->policy.backoff_max = 0;
        return r;
}

static void die(Rig *r, Job *job)
{
        rig_end(r, job, OUTCOME_WORKER_DIED);
}

/* New jobs kill their workers until it opens; they have higher rank than what comes after. */
static void open_it(Rig *r, Job *killers[LIMIT])
{
        for (int i = 0; i < LIMIT; i++)
                killers[i] = rig_job(r);
        for (int i = 0; i < LIMIT; i++)
                rig_run(r, killers[i]);
        for (int i = 0; i < LIMIT; i++) {
                assert_int_equal(r->handler->breaker.broken, 0);
                die(r, killers[i]);
        }
        assert_int_equal(r->handler->breaker.broken, 1);
        assert_int_equal(r->handler->breaker.until, r->now + HANDLER_BREAK);
}

static void jobs_of_an_open_handler_are_held_and_others_run(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        JobSpec spec = rig_spec(r);
        Job *killers[LIMIT], *other;

        spec.handler = rig_handler(r, "crop", r->pool);
        open_it(r, killers);
        other = rig_admit(r, &spec);
        assert_ptr_equal(rig_claim(r), other);
        assert_null(rig_claim(r));
        assert_int_equal(r->handler->held.count, LIMIT);
        for (int i = 0; i < LIMIT; i++) {
                assert_int_equal(killers[i]->place, PLACE_HELD);
                assert_int_equal(killers[i]->state, JOB_QUEUED);
        }
}

static void an_arriving_job_of_an_open_handler_is_admitted_first(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        JobSpec spec = rig_spec(r);
        Job *killers[LIMIT], *job;

        open_it(r, killers);
        job = rig_submit(r, &spec);
        assert_null(core_claim(&r->core, r->pool, RIG_ROOM, r->now));
        rig_sound(r);
        rig_rest(r);
        assert_null(rig_claim(r));
        assert_int_equal(job->place, PLACE_HELD);
}

static void one_is_tried_when_the_time_is_over(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *killers[LIMIT];

        open_it(r, killers);
        assert_null(rig_claim(r));
        assert_int_equal(core_next_due(&r->core), r->now + HANDLER_BREAK);
        rig_wait(r, HANDLER_BREAK - 1);
        assert_null(rig_claim(r));
        rig_wait(r, 1);
        assert_ptr_equal(rig_claim(r), killers[0]); /* the best of them */
        assert_null(rig_claim(r));
        assert_int_equal(core_next_due(&r->core), USEC_INFINITY); /* until that one has ended */
}

static void when_it_survives_all_go_on_in_their_order(void **state UNUSED)
{
        static const struct {
                const char *name;
                Outcome outcome;
        } cases[] = { { "success", OUTCOME_SUCCEEDED },
                      { "an error", OUTCOME_ERROR },
                      { "a command failed", OUTCOME_COMMAND_FAILED } };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = fragile_rig();
                AttemptEnd end = { .outcome = cases[i].outcome };
                Job *killers[LIMIT], *later[3];

                open_it(r, killers);
                for (size_t k = 0; k < ELEMENTS(later); k++)
                        later[k] = rig_job(r);
                assert_null(rig_claim(r));
                rig_wait(r, HANDLER_BREAK);
                rig_run(r, killers[0]);
                assert_int_equal(core_settle(&r->core, killers[0], 2, &end, r->now, 0), 0);
                rig_sound(r);
                rig_rest(r);
                CHECK(r->handler->breaker.broken == 0, cases[i].name);
                CHECK(r->handler->held.count == 0, cases[i].name);
                rig_run(r, killers[1]);
                rig_run(r, killers[2]);
                for (size_t k = 0; k < ELEMENTS(later); k++)
                        rig_run(r, later[k]);
        }
}

static void when_it_kills_too_the_rest_is_longer(void **state UNUSED)
{
        static const usec_t seconds[] = { 10, 20, 40, 80, 160, 300, 300 };
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *killers[LIMIT], *job;

        open_it(r, killers);
        assert_null(rig_claim(r));
        rig_wait(r, HANDLER_BREAK);
        for (size_t i = 0; i < ELEMENTS(seconds); i++) {
                job = rig_claim(r);
                assert_non_null(job);
                rig_begin(r, job);
                die(r, job);
                assert_int_equal(r->handler->breaker.until, r->now + seconds[i] * USEC_PER_SEC);
                assert_null(rig_claim(r));
                rig_wait(r, seconds[i] * USEC_PER_SEC - 1);
                assert_null(rig_claim(r));
                rig_wait(r, 1);
        }
}

static void a_trial_that_says_nothing_is_followed_by_another(void **state UNUSED)
{
        static const char *const cases[] = { "unclaimed", "refused claim", "cancelled unheard",
                                             "timeout", "shutdown", "untouched" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = fragile_rig();
                Job *killers[LIMIT], *next;

                open_it(r, killers);
                assert_null(rig_claim(r));
                rig_wait(r, HANDLER_BREAK);
                assert_ptr_equal(core_claim(&r->core, r->pool, 1, r->now), killers[0]);
                if (i == 1)
                        (void)rig_answer(r, false);
                rig_store(r);
                if (i == 2)
                        rig_cancel(r, killers[0]);
                rig_rest(r);
                if (i == 0)
                        rig_unclaim(r, killers[0]);
                if (i > 2)
                        rig_begin(r, killers[0]);
                if (i == 3 || i == 4)
                        rig_end(r, killers[0], i == 3 ? OUTCOME_TIMEOUT : OUTCOME_SHUTDOWN);
                if (i == 5)
                        rig_end_untouched(r, killers[0]);
                CHECK(r->handler->breaker.broken == 1, cases[i]);
                rig_wait(r, 0);
                next = rig_claim(r);
                CHECK(next == killers[i == 2], cases[i]);
                CHECK(!rig_claim(r), cases[i]);
        }
}

static void held_jobs_can_be_cancelled_and_can_expire(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        JobSpec spec = rig_spec(r);
        Job *killers[LIMIT], *brief;

        spec.has = JOB_HAS_TTL;
        spec.ttl = USEC_PER_SEC;
        open_it(r, killers);
        spec.id = uuid_of(++r->ids);
        brief = rig_admit(r, &spec);
        assert_null(rig_claim(r));
        assert_int_equal(brief->place, PLACE_HELD);
        rig_cancel(r, killers[1]);
        rig_rest(r);
        assert_int_equal(killers[1]->state, JOB_CANCELLED);
        assert_int_equal(core_next_due(&r->core), brief->submitted + USEC_PER_SEC);
        rig_wait(r, USEC_PER_SEC);
        assert_int_equal(brief->state, JOB_EXPIRED);
        assert_int_equal(r->handler->held.count, LIMIT - 1);
}

static void held_jobs_go_along_with_their_handler(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        CorePool *to = rig_pool(r, "to");
        Job *killers[LIMIT], *job;

        open_it(r, killers);
        assert_null(rig_claim(r));
        core_bind_handler(&r->core, r->handler, to);
        rig_sound(r);
        assert_int_equal(to->open, LIMIT);
        rig_wait(r, HANDLER_BREAK);
        assert_null(rig_claim(r));
        job = core_claim(&r->core, to, RIG_ROOM, r->now);
        rig_sound(r);
        assert_ptr_equal(job, killers[0]);
        rig_rest(r);
}

static void one_job_that_kills_is_not_the_handlers_fault(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *job = rig_job(r);

        for (int i = 0; i < 2 * LIMIT; i++) {
                rig_run(r, job);
                die(r, job);
        }
        assert_int_equal(r->handler->breaker.broken, 0);
        assert_int_equal(r->handler->breaker.killers, 1);
}

static void a_worker_that_dies_before_it_looked_blames_no_handler(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *jobs[5];

        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                jobs[i] = rig_job(r);
        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                rig_run(r, jobs[i]);
        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                rig_end_untouched(r, jobs[i]);
        assert_int_equal(r->handler->breaker.killers, 0);
}

static void without_a_limit_nobody_is_held(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *jobs[20];

        r->pool->policy.breaker_deaths = 0;
        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                jobs[i] = rig_job(r);
        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                rig_run(r, jobs[i]);
        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                die(r, jobs[i]);
        assert_ptr_equal(rig_claim(r), jobs[0]);
}

static void a_crowd_is_put_aside_in_turns(void **state UNUSED)
{
        enum { CROWD = 2500 };
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *killers[LIMIT], *other;
        JobSpec spec;
        int looks = 0;

        open_it(r, killers);
        for (int i = 0; i < CROWD; i++) {
                bool duplicate;
                Uuid missing;
                Job *job;

                spec = rig_spec(r);
                assert_int_equal(
                        core_submit(&r->core, &spec, 1, r->now, &job, &duplicate, &missing), 0);
                core_complete(&r->core, core_next_request(&r->core), true, r->now);
        }
        rig_listen(r);
        spec = rig_spec(r);
        spec.handler = rig_handler(r, "crop", r->pool);
        other = rig_admit(r, &spec);
        while (!core_peek(&r->core, r->pool, r->now)) {
                assert_true(r->core.unfinished);
                assert_int_equal(core_next_due(&r->core), 0); /* somebody is to look again */
                core_tick(&r->core, r->now);
                looks++;
        }
        assert_in_range(looks, 2, 5);
        assert_ptr_equal(rig_claim(r), other);
}

/* Those that fell with the worker of another job have killed none, and blame no handler. */
static void who_fell_with_anothers_worker_counts_for_nothing(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *job = rig_job(r);

        r->pool->policy.poison_deaths = 1;
        for (uint32_t i = 1; i <= 2 * LIMIT; i++) {
                rig_run(r, job);
                rig_end_bystander(r, job);
                assert_int_equal(job->state, JOB_QUEUED);
                assert_int_equal(job->attempt, i); /* it ran */
                assert_int_equal(job->history->deaths, 0);
        }
        assert_int_equal(r->handler->breaker.broken, 0);
        assert_int_equal(r->handler->breaker.killers, 0);
        rig_run(r, job);
        die(r, job);
        assert_int_equal(job->state, JOB_QUARANTINED);
}

/* The one that is tried falls with another's worker: another one is tried. */
static void a_trial_that_fell_with_another_is_followed_by_another(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = fragile_rig();
        Job *killers[LIMIT];

        open_it(r, killers);
        rig_wait(r, HANDLER_BREAK);
        rig_run(r, killers[0]);
        rig_end_bystander(r, killers[0]);
        assert_int_equal(r->handler->breaker.broken, 1);
        assert_false(r->handler->breaker.trying);
        assert_ptr_equal(rig_claim(r), killers[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(jobs_of_an_open_handler_are_held_and_others_run),
                cmocka_unit_test(an_arriving_job_of_an_open_handler_is_admitted_first),
                cmocka_unit_test(one_is_tried_when_the_time_is_over),
                cmocka_unit_test(when_it_survives_all_go_on_in_their_order),
                cmocka_unit_test(when_it_kills_too_the_rest_is_longer),
                cmocka_unit_test(a_trial_that_says_nothing_is_followed_by_another),
                cmocka_unit_test(held_jobs_can_be_cancelled_and_can_expire),
                cmocka_unit_test(held_jobs_go_along_with_their_handler),
                cmocka_unit_test(one_job_that_kills_is_not_the_handlers_fault),
                cmocka_unit_test(a_worker_that_dies_before_it_looked_blames_no_handler),
                cmocka_unit_test(without_a_limit_nobody_is_held),
                cmocka_unit_test(who_fell_with_anothers_worker_counts_for_nothing),
                cmocka_unit_test(a_trial_that_fell_with_another_is_followed_by_another),
                cmocka_unit_test(a_crowd_is_put_aside_in_turns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
