/* SPDX-License-Identifier: MIT */

/* What mutants of the core got away with (tests/mutants). */

#include "core_rig.h"

static void what_the_core_itself_does_not_look_at_is_kept(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job = rig_admit(r, &spec);

        assert_false(job->memory);
        assert_false(job->attached);
        spec = rig_spec(r);
        spec.gid = 1007;
        spec.memory = spec.attached = true;
        job = rig_admit(r, &spec);
        assert_int_equal(job->gid, 1007);
        assert_true(job->memory);
        assert_true(job->attached);
}

static void each_failure_in_a_row_waits_longer_than_the_one_before(void **state UNUSED)
{
        static const Outcome failures[] = { OUTCOME_ERROR, OUTCOME_TIMEOUT, OUTCOME_WORKER_DIED,
                                            OUTCOME_COMMAND_FAILED };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        usec_t wait = USEC_PER_SEC;
        JobSpec spec = rig_spec(r);
        Job *job, *victim;

        spec.has = JOB_HAS_MAX_ATTEMPTS;
        spec.max_attempts = 20;
        job = rig_admit(r, &spec);
        rig_run(r, job);
        rig_end(r, job, OUTCOME_WORKER_DIED); /* at once, but it counts */
        for (size_t i = 0; i < ELEMENTS(failures); i++) {
                rig_run(r, job);
                rig_end(r, job, failures[i]);
                wait *= 2;
                assert_int_equal(job->state, JOB_SCHEDULED);
                assert_int_equal(job->ready_at, r->now + wait);
                rig_wait(r, wait - 1);
                assert_null(rig_claim(r));
                rig_wait(r, 1);
        }
        victim = rig_job(r); /* nobody else's failures */
        assert_ptr_equal(rig_claim(r), job);
        rig_run(r, victim);
        rig_end(r, victim, OUTCOME_ERROR);
        assert_int_equal(victim->ready_at, r->now + USEC_PER_SEC);
}

/* Ids that clients made say nothing of age. */
static void those_due_together_come_in_the_order_of_their_submission(void **state UNUSED)
{
        enum { N = 20 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec specs[N];
        Job *jobs[N];

        for (int i = N - 1; i >= 0; i--)
                specs[i] = rig_spec(r);
        for (int i = 0; i < N; i++) {
                specs[i].has = JOB_HAS_DELAY;
                specs[i].delay = (usec_t)(N - i) * USEC_PER_SEC;
                jobs[i] = rig_admit(r, &specs[i]);
                rig_wait(r, USEC_PER_SEC);
        }
        for (int i = 0; i < N; i++)
                assert_ptr_equal(rig_claim(r), jobs[i]);
}

static void as_many_bytes_as_are_allowed_are_kept(void **state UNUSED)
{
        for (uint64_t less = 0; less < 2; less++) {
                AUTO(rig_free)
                Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 100 });

                for (int i = 0; i < 3; i++) {
                        JobSpec spec = rig_spec(r);

                        (void)rig_ended_job(r, &spec, JOB_SUCCEEDED);
                }
                r->core.limits.keep_bytes = r->core.kept_bytes - less;
                rig_wait(r, 1);
                assert_int_equal(r->core.kept, 3 - less);
        }
}

/* A worker that died before it looked at the job has not started it. */
static void a_ttl_counts_until_somebody_has_really_begun(void **state UNUSED)
{
        for (int touched = 0; touched < 2; touched++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *job;

                spec.has = JOB_HAS_TTL;
                spec.ttl = 10 * USEC_PER_SEC;
                job = rig_admit(r, &spec);
                rig_run(r, job);
                if (touched) {
                        rig_end(r, job, OUTCOME_WORKER_DIED);
                        rig_run(r, job);
                }
                rig_end_untouched(r, job);
                rig_wait(r, 10 * USEC_PER_SEC);
                assert_int_equal(job->state, touched ? JOB_QUEUED : JOB_EXPIRED);
        }
}

static void a_certificate_goes_with_all_of_its_words(void **state UNUSED)
{
        Certificate *c = certificate_new("it fell"); /* what leaks, the sanitizer tells */

        assert_non_null(c);
        c->stderr_tail = strdup("Segmentation fault\n");
        certificate_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_the_core_itself_does_not_look_at_is_kept),
                cmocka_unit_test(each_failure_in_a_row_waits_longer_than_the_one_before),
                cmocka_unit_test(those_due_together_come_in_the_order_of_their_submission),
                cmocka_unit_test(as_many_bytes_as_are_allowed_are_kept),
                cmocka_unit_test(a_ttl_counts_until_somebody_has_really_begun),
                cmocka_unit_test(a_certificate_goes_with_all_of_its_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
