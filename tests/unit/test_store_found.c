/* SPDX-License-Identifier: MIT */

/* Faults of the store that were found once, each in the moment in which it showed. */

#include "store_rig.h"

#define LIMITS ((CoreLimits){ .keep = 3600 * USEC_PER_SEC, .keep_max = 100000 })

static World *open_world(void)
{
        World *w = world_new(LIMITS);

        world_open(w);
        return w;
}

static void until(World *w, bool down)
{
        while (!store_error(w->store) == down)
                if (!world_work(w))
                        world_turn(w);
}

/* Jobs that were to be written when that works again stayed in a list of the store. */
static void a_store_that_fails_can_be_closed_before_its_jobs(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *job = world_job(w);

        world_run(w, job);
        world_break(w);
        rig_settle(w->r, job, OUTCOME_SUCCEEDED);
        until(w, true);
        world_close(w);
        core_fini(&w->r->core);
        rig_init(w->r, &LIMITS);
        world_mend(w);
        world_open(w);
}

/* That a job in memory had succeeded went with a batch that failed, and was not said again. */
static void what_a_memory_job_has_met_is_not_lost_with_a_batch(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r), after = rig_spec(w->r);
        Job *first, *second;

        spec.memory = true;
        first = world_submit(w, &spec);
        after.blockers = &first->id;
        after.n_blockers = 1;
        after.after = SLICE("[\"x\"]");
        second = world_submit(w, &after);
        world_run(w, first);
        world_break(w);
        rig_settle(w->r, first, OUTCOME_SUCCEEDED);
        until(w, true);
        assert_int_equal(second->state, JOB_QUEUED);
        world_mend(w);
        until(w, false);
        world_rest(w);
        assert_int_equal(world_number(w, "SELECT count(*) FROM dependency"), 0);
        world_restart(w);
        world_rest(w);
        assert_int_equal(world_find(w, 2)->state, JOB_QUEUED);
}

/* It was noted as ready, and aged, when those before it had succeeded. */
static void a_delayed_job_is_not_ready_because_it_waits_for_nobody(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *first = world_job(w), *second;
        JobSpec spec = rig_spec(w->r);

        spec.has = JOB_HAS_DELAY;
        spec.delay = 10 * USEC_PER_SEC;
        spec.blockers = &first->id;
        spec.n_blockers = 1;
        spec.after = SLICE("[\"x\"]");
        second = world_submit(w, &spec);
        world_run(w, first);
        world_end(w, first, OUTCOME_SUCCEEDED);
        assert_int_equal(second->state, JOB_SCHEDULED);
        assert_int_equal(second->order, 0);
        assert_int_equal(world_number(w, "SELECT state FROM job WHERE seq = 2"), JOB_SCHEDULED);
        world_restart(w);
        assert_int_equal(world_find(w, 2)->order, 0);
}

/* The thread reads what stands in the same word. (For the thread sanitizer.) */
static void a_job_can_be_cancelled_while_its_admission_is_written(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *jobs[50];

        for (size_t i = 0; i < ELEMENTS(jobs); i++) {
                JobSpec spec = rig_spec(w->r);

                spec.tags = SLICE("[\"t\"]");
                jobs[i] = rig_submit(w->r, &spec);
        }
        (void)store_work(w->store, w->r->now); /* now they are with the thread */
        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                core_cancel(&w->r->core, jobs[i], "because", w->r->now);
        world_rest(w);
        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                assert_int_equal(jobs[i]->state, JOB_CANCELLED);
}

/* Its details are large, and in the store; its end took them for gone. */
static void the_details_of_a_failed_attempt_stay_when_it_is_cancelled_later(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        AttemptEnd end = { .outcome = OUTCOME_ERROR, .may_retry = true,
                           .result = SLICE("{\"why\":\"many words\"}") };
        Job *job = world_job(w);

        w->r->core.limits.large = 5;
        world_run(w, job);
        world_settle(w, job, &end);
        world_rest(w);
        world_restart(w);
        job = world_find(w, 1);
        assert_true(job->result_shed);
        rig_cancel(w->r, job);
        world_rest(w);
        assert_int_equal(world_number(w, "SELECT large FROM job"), 2);
        assert_int_equal(world_number(w, "SELECT count(*) FROM large"), 1);
        world_restart(w);
        assert_true(world_find(w, 1)->result_shed);
}

/* Its arguments are not in the store any more: it was claimed and given back for ever. */
static void a_job_whose_arguments_are_lost_does_not_spin(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r);
        int claims = 0;
        Job *job;

        w->r->core.limits.large = 5;
        spec.args = SLICE("{\"a\":\"lost\"}");
        job = world_submit(w, &spec);
        core_shed(&w->r->core, job);
        world_sql(w, "DELETE FROM large");
        while (claims < 20 && core_claim(&w->r->core, w->r->pool, RIG_ROOM, w->r->now) == job) {
                world_rest(w);
                claims++;
        }
        assert_in_range(claims, 1, 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_store_that_fails_can_be_closed_before_its_jobs),
                cmocka_unit_test(what_a_memory_job_has_met_is_not_lost_with_a_batch),
                cmocka_unit_test(a_delayed_job_is_not_ready_because_it_waits_for_nobody),
                cmocka_unit_test(a_job_can_be_cancelled_while_its_admission_is_written),
                cmocka_unit_test(the_details_of_a_failed_attempt_stay_when_it_is_cancelled_later),
                cmocka_unit_test(a_job_whose_arguments_are_lost_does_not_spin),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
