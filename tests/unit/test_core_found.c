/* SPDX-License-Identifier: MIT */

/* Faults that were found once, each in the moment in which it showed. */

#include "core_rig.h"

static void tick(Rig *r)
{
        core_tick(&r->core, r->now);
        rig_sound(r);
}

/* Each removal that was refused made room for the next one to be asked for; when the store worked
 * again, all of them went. */
static void a_store_that_is_down_for_long_costs_no_more_than_is_too_many(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 10 });
        Job *job;

        for (int i = 0; i < 11; i++) {
                JobSpec spec = rig_spec(r);

                (void)rig_ended_job(r, &spec, JOB_SUCCEEDED);
        }
        core_set_store_down(&r->core, true);
        for (int i = 0; i < 40; i++) {
                for (int k = 0; k < 100 && core_next_due(&r->core) <= r->now; k++) {
                        tick(r);
                        while ((job = core_next_removal(&r->core)))
                                rig_reply(r, job, false);
                }
                r->now += USEC_PER_SEC / 4;
        }
        core_set_store_down(&r->core, false);
        for (int i = 0; i < 40; i++)
                rig_wait(r, USEC_PER_SEC / 4);
        assert_int_equal(r->core.kept, 10);
}

/* While nobody has room for the one that is to be tried, the others came out one by one. */
static void of_held_jobs_one_is_released_to_be_tried(void **state UNUSED)
{
        enum { HELD = 50 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        int turns = 0;

        r->pool->policy.breaker_deaths = 1;
        rig_run(r, rig_job(r));
        rig_end(r, LIST_FIRST(&r->core.all, Job, all), OUTCOME_WORKER_DIED);
        for (int i = 1; i < HELD; i++)
                (void)rig_job(r);
        assert_null(rig_claim(r));
        assert_int_equal(r->handler->held.count, HELD);
        r->now += HANDLER_BREAK;
        while (core_next_due(&r->core) <= r->now && turns < 2 * HELD) {
                tick(r);
                turns++;
        }
        assert_int_equal(r->handler->held.count, HELD - 1);
        assert_in_range(turns, 1, 2); /* and nobody spins until there is room */
}

/* Its bytes were added to those of open jobs, and never taken off again. */
static void the_result_of_a_failed_attempt_is_not_counted_with_open_jobs(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobRecord record = { .spec = rig_spec(r), .pool = r->pool, .seq = 1, .state = JOB_QUEUED,
                             .attempt = 1, .budget = 3, .failures = 1, .result_shed = true,
                             .submitted = r->now - 10, .ready_at = r->now - 5,
                             .order = r->now - 10, .started = r->now - 9 };
        Attempt *a;
        Job *job;

        assert_int_equal(core_restore(&r->core, &record, &job), 0);
        a = job_add_attempt(job);
        a->number = 1;
        a->outcome = OUTCOME_ERROR;
        core_resume(&r->core, r->now);
        rig_sound(r);
        core_unshed(&r->core, job, NULL, 0, strdup("{\"error\":\"long\"}"), 16);
        rig_sound(r);
        rig_cancel(r, job);
        rig_rest(r);
        assert_int_equal(r->core.bytes, 0);
}

/* What their results need was taken off, and had never been added: the sum wrapped. */
static void what_has_ended_is_counted_with_its_result_after_a_restart(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 100,
                                                      .keep_bytes = 1 << 20 });
        JobRecord record = { .spec = rig_spec(r), .pool = r->pool, .seq = 1,
                             .state = JOB_CANCELLED, .budget = 3, .result = SLICE("{\"r\":1}"),
                             .submitted = r->now - 10, .ready_at = r->now - 5,
                             .order = r->now - 10, .ended = r->now - 8 };
        Job *job;

        assert_int_equal(core_restore(&r->core, &record, &job), 0);
        core_resume(&r->core, r->now);
        rig_sound(r);
        assert_int_equal(r->core.kept_bytes, job->bytes + 7);
        rig_wait(r, 1);
        assert_int_equal(r->core.kept, 1);
}

/* It was removed from the store while a call looked at it; its arguments were there. */
static void what_the_store_has_removed_with_its_arguments_is_not_retried(void **state UNUSED)
{
        CoreLimits limits = { .keep = 0, .keep_max = 100, .large = 1 };
        AUTO(rig_free) Rig *r = rig_new(limits);
        JobSpec spec = rig_spec(r);
        Job *job = rig_ended_job(r, &spec, JOB_CANCELLED);

        core_shed(&r->core, job);
        assert_true(job->args_shed);
        tick(r);
        assert_ptr_equal(rig_ask(r), job);
        job->calls = r;
        rig_reply(r, job, true);
        job->calls = NULL;
        assert_false(core_retry(&r->core, job, r->now));
        rig_sound(r);
}

/* The best one waits for the store; those behind it need none. */
static void while_the_store_is_down_a_durable_job_keeps_no_memory_job_back(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *durable = rig_job(r), *memory;
        JobSpec spec = rig_spec(r);

        spec.memory = true;
        memory = rig_admit(r, &spec);
        core_set_store_down(&r->core, true);
        assert_ptr_equal(rig_claim(r), memory);
        assert_null(rig_claim(r));
        core_set_store_down(&r->core, false);
        assert_ptr_equal(rig_claim(r), durable);
}

/* A pool that a reload took away: its jobs wait, and nobody looks at them. */
static void a_unit_is_not_kept_for_a_pool_that_nobody_runs(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *s[2] = { rig_semaphore(r, "a", 1), rig_semaphore(r, "b", 1) };
        CorePool *gone = rig_pool(r, "gone");
        JobSpec spec = rig_spec(r), hog = rig_spec(r), single = rig_spec(r);
        Job *first, *second;

        spec.handler = rig_handler(r, "render", gone);
        spec.units = s;
        spec.n_units = 2;
        hog.units = &s[1];
        single.units = &s[0];
        hog.n_units = single.n_units = 1;
        first = rig_admit(r, &hog);
        rig_run(r, first);
        (void)rig_admit(r, &spec);
        assert_null(core_claim(&r->core, gone, RIG_ROOM, r->now)); /* it waits for b, and keeps a */
        gone->owner = NULL;
        second = rig_admit(r, &single);
        assert_ptr_equal(rig_claim(r), second);
}

/* One that had begun before it opened gives its claim back while another is tried. */
static void what_comes_back_from_before_does_not_end_the_trial(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *killer, *early, *more;

        r->pool->policy.breaker_deaths = 1;
        killer = rig_job(r);
        early = rig_job(r);
        more = rig_job(r);
        rig_run(r, killer);
        assert_ptr_equal(rig_claim(r), early); /* in line, not begun */
        rig_end(r, killer, OUTCOME_WORKER_DIED);
        assert_null(rig_claim(r));
        rig_wait(r, HANDLER_BREAK);
        assert_ptr_equal(rig_claim(r), killer); /* tried */
        rig_unclaim(r, early);
        rig_wait(r, 0);
        assert_null(rig_claim(r)); /* one at a time */
        (void)more;
}

/* It was given back, and its arguments left memory; the new claim, of which the store knew, did not
 * bring them back. */
static void what_was_given_back_gets_its_arguments_again(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep_max = 100, .large = 1 });
        JobSpec spec = rig_spec(r);
        Job *job = rig_admit(r, &spec);

        core_shed(&r->core, job);
        assert_ptr_equal(core_claim(&r->core, r->pool, 1, r->now), job);
        assert_ptr_equal(core_next_request(&r->core), job);
        core_unshed(&r->core, job, strdup("{}"), 2, NULL, 0);
        rig_reply(r, job, true);
        rig_listen(r);
        core_unclaim(&r->core, job, r->now);
        rig_sound(r);
        assert_ptr_equal(core_claim(&r->core, r->pool, 1, r->now), job);
        assert_true(!job->args_shed || core_next_request(&r->core) == job);
}

/* The first waiter's handler has its rest: the next one was not looked at. */
static void a_waiter_behind_a_held_one_is_not_overtaken(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        JobSpec spec = rig_spec(r), fragile = rig_spec(r), next = rig_spec(r);
        Job *hog, *waiter, *young;

        fragile.handler = rig_handler(r, "fragile", r->pool);
        spec.units = fragile.units = next.units = &gpu;
        spec.n_units = fragile.n_units = next.n_units = 1;
        hog = rig_admit(r, &spec);
        rig_run(r, hog);
        (void)rig_admit(r, &fragile);
        waiter = rig_admit(r, &next);
        assert_null(rig_claim(r)); /* both wait */
        fragile.handler->breaker = (HandlerBreaker){ .broken = 1, .until = r->now + USEC_PER_SEC };
        young = rig_job(r);
        rig_end(r, hog, OUTCOME_SUCCEEDED);
        assert_ptr_equal(rig_claim(r), waiter);
        assert_ptr_equal(rig_claim(r), young);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_store_that_is_down_for_long_costs_no_more_than_is_too_many),
                cmocka_unit_test(of_held_jobs_one_is_released_to_be_tried),
                cmocka_unit_test(the_result_of_a_failed_attempt_is_not_counted_with_open_jobs),
                cmocka_unit_test(what_has_ended_is_counted_with_its_result_after_a_restart),
                cmocka_unit_test(what_the_store_has_removed_with_its_arguments_is_not_retried),
                cmocka_unit_test(while_the_store_is_down_a_durable_job_keeps_no_memory_job_back),
                cmocka_unit_test(a_unit_is_not_kept_for_a_pool_that_nobody_runs),
                cmocka_unit_test(what_comes_back_from_before_does_not_end_the_trial),
                cmocka_unit_test(what_was_given_back_gets_its_arguments_again),
                cmocka_unit_test(a_waiter_behind_a_held_one_is_not_overtaken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
