/* SPDX-License-Identifier: MIT */

/* What mutants of the finished core got away with (tests/mutants). */

#include "core_rig.h"

static void each_text_of_a_job_counts_against_max_bytes(void **state UNUSED)
{
        for (uint64_t less = 0; less < 2; less++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);

                spec.has = JOB_HAS_UNIQUE_KEY;
                spec.unique_key = SLICE("a key");
                spec.tags = SLICE("[\"a tag\"]");
                spec.semaphores = SLICE("[\"a semaphore\"]");
                spec.after = SLICE("[\"one that went before it\"]");
                r->core.limits.max_bytes = sizeof(Job) + spec.args.len + spec.unique_key.len +
                                           spec.tags.len + spec.semaphores.len + spec.after.len -
                                           less;
                assert_int_equal(rig_submit_error(r, &spec), less ? CORE_E_BYTES_FULL : 0);
        }
}

static void who_is_asked_for_while_the_store_lets_it_go_goes_later(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.has = JOB_HAS_KEEP;
        spec.keep = USEC_PER_SEC;
        job = rig_ended_job(r, &spec, JOB_SUCCEEDED);
        r->now += USEC_PER_SEC;
        core_tick(&r->core, r->now);
        assert_ptr_equal(rig_ask(r), job);
        job->calls = r;
        rig_reply(r, job, true);
        assert_true(job->gone);
        rig_wait(r, USEC_PER_SEC);
        assert_ptr_equal(core_find(&r->core, &spec.id, spec.uid, false), job);
        job->calls = NULL;
        rig_wait(r, USEC_PER_SEC);
        assert_null(core_find(&r->core, &spec.id, spec.uid, false));
}

/* A queued job, back from the store, that so many workers in a row died of without a look at it. */
static Job *restored_after(Rig *r, uint32_t untouched)
{
        JobRecord record = { .spec = rig_spec(r),
                             .pool = r->pool,
                             .seq = 1,
                             .state = JOB_QUEUED,
                             .attempt = untouched,
                             .budget = untouched + 3,
                             .untouched = untouched,
                             .submitted = r->now,
                             .ready_at = r->now,
                             .order = 1 };
        Attempt *a;
        Job *job;

        assert_int_equal(core_restore(&r->core, &record, &job), 0);
        a = job_add_attempt(job);
        assert_non_null(a);
        a->number = untouched;
        a->outcome = OUTCOME_WORKER_DIED;
        core_resume(&r->core, r->now);
        rig_rest(r);
        return job;
}

static void whose_workers_died_unseen_before_a_restart_is_to_blame_as_soon(void **state UNUSED)
{
        for (uint32_t untouched = 4; untouched <= 5; untouched++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *job = restored_after(r, untouched);

                rig_run(r, job);
                rig_end_untouched(r, job);
                assert_int_equal(job->history->deaths, untouched - 4);
        }
}

static void a_job_with_ties_has_no_descriptors_yet(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *semaphore = rig_semaphore(r, "gpu", 1);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.units = &semaphore;
        spec.n_units = 1;
        job = rig_admit(r, &spec);
        for (size_t i = 0; i < ELEMENTS(job->ties->fds); i++)
                assert_int_equal(job->ties->fds[i], -1);
}

/* The config has a semaphore no more: who names it waits for the next config, with no unit of the
 * others. */
static void who_can_not_run_at_all_keeps_no_unit_from_those_behind(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *units[] = { rig_semaphore(r, "gpu", 1), rig_semaphore(r, "disk", 0) };
        JobSpec both = rig_spec(r), one = rig_spec(r);
        Job *waiting, *job;

        both.units = one.units = units;
        both.n_units = 2;
        one.n_units = 1;
        waiting = rig_admit(r, &both);
        assert_null(rig_claim(r));
        job = rig_admit(r, &one);
        assert_ptr_equal(rig_claim(r), job);
        assert_int_equal(waiting->state, JOB_BLOCKED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_text_of_a_job_counts_against_max_bytes),
                cmocka_unit_test(who_is_asked_for_while_the_store_lets_it_go_goes_later),
                cmocka_unit_test(whose_workers_died_unseen_before_a_restart_is_to_blame_as_soon),
                cmocka_unit_test(a_job_with_ties_has_no_descriptors_yet),
                cmocka_unit_test(who_can_not_run_at_all_keeps_no_unit_from_those_behind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
