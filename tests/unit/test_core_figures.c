/* SPDX-License-Identifier: MIT */

/* What core counts of each handler for those who look: core/figures.h. */

#include "core_rig.h"

static const HandlerFigures *figures(const Rig *r)
{
        return &r->handler->figures;
}

static void a_job_counts_as_submitted_when_the_store_has_it(void **state)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job = rig_submit(r, &spec);

        assert_int_equal(figures(r)->submitted, 0);
        rig_rest(r);
        assert_int_equal(figures(r)->submitted, 1);
        (void)rig_submit_duplicate(r, &(JobSpec){ .handler = r->handler, .id = job->id,
                                                  .has = JOB_HAS_ID, .uid = 1000 });
        rig_rest(r);
        assert_int_equal(figures(r)->submitted, 1);
        spec = rig_spec(r);
        job = rig_submit(r, &spec);
        rig_answer(r, false);
        assert_int_equal(figures(r)->submitted, 1);
        rig_rest(r);
        core_forget(&r->core, job);
}

static void waiting_and_running_are_measured_apart(void **state)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        r->now += 3000;
        rig_run(r, job);
        assert_int_equal(histogram_count(&figures(r)->waiting), 1);
        assert_int_equal(figures(r)->waiting.sum, 3000);
        assert_int_equal(histogram_count(&figures(r)->running), 0);
        r->now += 500;
        rig_settle(r, job, OUTCOME_SUCCEEDED);
        assert_int_equal(histogram_count(&figures(r)->running), 1);
        assert_int_equal(figures(r)->running.sum, 500);
}

static void a_delay_is_no_waiting(void **state)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.has = JOB_HAS_DELAY;
        spec.delay = 10 * USEC_PER_SEC;
        job = rig_admit(r, &spec);
        rig_wait(r, 10 * USEC_PER_SEC);
        r->now += 70;
        rig_run(r, job);
        assert_int_equal(figures(r)->waiting.sum, 70);
}

static void time_behind_another_job_is_no_waiting(void **state)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *first = rig_job(r), *second;
        JobSpec spec = rig_spec(r);

        spec.after = SLICE("[]");
        spec.blockers = &first->id;
        spec.n_blockers = 1;
        second = rig_admit(r, &spec);
        rig_run(r, first);
        r->now += 5000;
        rig_end(r, first, OUTCOME_SUCCEEDED);
        r->now += 20;
        rig_run(r, second);
        assert_int_equal(figures(r)->waiting.sum, 20);
}

static void each_attempt_counts_by_its_outcome_and_each_job_by_its_end(void **state)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);

        (void)rig_ended_job(r, &spec, JOB_FAILED);
        spec = rig_spec(r);
        (void)rig_ended_job(r, &spec, JOB_SUCCEEDED);
        spec = rig_spec(r);
        (void)rig_ended_job(r, &spec, JOB_CANCELLED);
        assert_int_equal(figures(r)->attempts[OUTCOME_ERROR], 3);
        assert_int_equal(figures(r)->attempts[OUTCOME_SUCCEEDED], 1);
        assert_int_equal(figures(r)->ended[JOB_FAILED], 1);
        assert_int_equal(figures(r)->ended[JOB_SUCCEEDED], 1);
        assert_int_equal(figures(r)->ended[JOB_CANCELLED], 1);
        assert_int_equal(histogram_count(&figures(r)->running), 4);
}

static void an_answer_that_comes_too_late_counts_nowhere_but_as_stale(void **state)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED };
        Job *job = rig_job(r);

        rig_run(r, job);
        assert_int_equal(core_settle(&r->core, job, job->attempt + 1, &end, r->now, 0),
                         CORE_E_STALE);
        assert_int_equal(figures(r)->attempts[OUTCOME_SUCCEEDED], 0);
        assert_int_equal(r->core.stale, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_job_counts_as_submitted_when_the_store_has_it),
                cmocka_unit_test(waiting_and_running_are_measured_apart),
                cmocka_unit_test(a_delay_is_no_waiting),
                cmocka_unit_test(time_behind_another_job_is_no_waiting),
                cmocka_unit_test(each_attempt_counts_by_its_outcome_and_each_job_by_its_end),
                cmocka_unit_test(an_answer_that_comes_too_late_counts_nowhere_but_as_stale),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
