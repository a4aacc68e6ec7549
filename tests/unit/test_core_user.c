/* SPDX-License-Identifier: MIT */

/* Limits of a user: what is refused, what waits, and whom it does not concern. */

#include "core_rig.h"

enum { ALICE = 1000, BOB = 1001, DAEMON = 200 };

static CoreLimits limits_of(CoreUserLimits user)
{
        CoreLimits limits = RIG_LIMITS;

        limits.user = user;
        limits.own_uid = DAEMON;
        return limits;
}

static JobSpec spec_of(Rig *r, uint32_t uid)
{
        JobSpec spec = rig_spec(r);

        spec.uid = uid;
        return spec;
}

static Job *admit_of(Rig *r, uint32_t uid)
{
        JobSpec spec = spec_of(r, uid);

        return rig_admit(r, &spec);
}

static int error_of(Rig *r, uint32_t uid)
{
        JobSpec spec = spec_of(r, uid);

        return rig_submit_error(r, &spec);
}

static int submit_many(Rig *r, uint32_t uid, unsigned n)
{
        JobSpec specs[16];
        bool duplicate[16];
        Job *jobs[16];
        Uuid missing;
        int e;

        for (unsigned i = 0; i < n; i++)
                specs[i] = spec_of(r, uid);
        e = core_submit(&r->core, specs, n, r->now, jobs, duplicate, &missing);
        rig_sound(r);
        return e;
}

static void who_has_too_many_is_refused_and_nobody_else(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(limits_of((CoreUserLimits){ .max_queued = 2 }));
        Job *first = admit_of(r, ALICE);

        (void)admit_of(r, ALICE);
        assert_int_equal(error_of(r, ALICE), CORE_E_USER_QUEUED);
        assert_int_equal(submit_many(r, BOB, 3), CORE_E_USER_QUEUED);
        assert_int_equal(submit_many(r, BOB, 2), 0);
        assert_int_equal(submit_many(r, 0, 5), 0);
        assert_int_equal(submit_many(r, DAEMON, 5), 0);
        rig_run(r, first);
        assert_int_equal(error_of(r, ALICE), CORE_E_USER_QUEUED); /* it runs: it has not ended */
        rig_end(r, first, OUTCOME_SUCCEEDED);
        (void)admit_of(r, ALICE);
        assert_int_equal(error_of(r, ALICE), CORE_E_USER_QUEUED);
}

static void memory_is_counted_by_user(void **state UNUSED)
{
        static char args[4000] = "{}";
        AUTO(rig_free) Rig *r = rig_new(limits_of((CoreUserLimits){ .max_bytes = 10000 }));
        JobSpec spec = spec_of(r, ALICE);
        Job *first, *last;

        spec.args = (Slice){ args, sizeof(args) };
        first = rig_admit(r, &spec);
        spec.id = uuid_of(++r->ids);
        last = rig_admit(r, &spec);
        spec.id = uuid_of(++r->ids);
        assert_int_equal(rig_submit_error(r, &spec), CORE_E_USER_BYTES);
        spec.uid = BOB;
        (void)rig_admit(r, &spec);
        core_cancel(&r->core, first, "because", r->now);
        rig_rest(r);
        spec.uid = ALICE;
        spec.id = uuid_of(++r->ids);
        (void)rig_admit(r, &spec);
        assert_int_equal(last->state, JOB_QUEUED);
}

static void a_second_has_so_many(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(limits_of((CoreUserLimits){ .max_rate = 4 }));
        uint64_t open;

        assert_int_equal(submit_many(r, ALICE, 3), 0);
        assert_int_equal(submit_many(r, ALICE, 1), 0);
        open = r->core.open;
        assert_int_equal(submit_many(r, ALICE, 1), CORE_E_USER_RATE);
        assert_int_equal(r->core.open, open);
        assert_int_equal(submit_many(r, BOB, 4), 0);
        assert_int_equal(submit_many(r, 0, 16), 0);
        r->now += 250000 - 1;
        assert_int_equal(submit_many(r, ALICE, 1), CORE_E_USER_RATE);
        r->now += 1;
        assert_int_equal(submit_many(r, ALICE, 1), 0);
        assert_int_equal(submit_many(r, ALICE, 1), CORE_E_USER_RATE);
        r->now += 10 * USEC_PER_SEC; /* a rest is not saved up */
        assert_int_equal(submit_many(r, ALICE, 5), CORE_E_USER_RATE);
        assert_int_equal(submit_many(r, ALICE, 4), 0);
        assert_int_equal(submit_many(r, ALICE, 1), CORE_E_USER_RATE);
}

static void what_is_refused_for_another_reason_takes_nothing_of_the_rate(void **state UNUSED)
{
        AUTO(rig_free) Rig *r =
                rig_new(limits_of((CoreUserLimits){ .max_rate = 2, .max_queued = 2 }));
        JobSpec spec = spec_of(r, ALICE);
        Job *job;

        spec.has = JOB_HAS_UNIQUE_KEY;
        spec.unique_key = SLICE("key");
        job = rig_admit(r, &spec);
        for (int i = 0; i < 5; i++) {
                spec.id = uuid_of(++r->ids);
                assert_ptr_equal(rig_submit_duplicate(r, &spec), job);
        }
        assert_int_equal(submit_many(r, ALICE, 2), CORE_E_USER_QUEUED);
        assert_int_equal(submit_many(r, ALICE, 1), 0);
}

static void so_many_of_a_user_run_and_the_others_wait(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(limits_of((CoreUserLimits){ .max_running = 2 }));
        Job *a[4], *b, *root;

        for (int i = 0; i < 4; i++)
                a[i] = admit_of(r, ALICE);
        b = admit_of(r, BOB);
        root = admit_of(r, 0);
        rig_run(r, a[0]);
        rig_run(r, a[1]);
        rig_run(r, b);
        rig_run(r, root);
        assert_null(rig_claim(r));
        assert_int_equal(a[2]->state, JOB_BLOCKED);
        assert_true(semaphores_missing(a[2])->of_user);
        assert_string_equal(semaphores_missing(a[2])->name, "uid 1000");
        rig_end(r, b, OUTCOME_SUCCEEDED);
        assert_null(rig_claim(r));
        rig_end(r, a[1], OUTCOME_SUCCEEDED);
        rig_run(r, a[2]);
        assert_null(rig_claim(r));
        rig_end(r, a[0], OUTCOME_SUCCEEDED);
        rig_run(r, a[3]);
        assert_null(root->ties); /* who has no limit names nothing */
}

static void the_limit_can_change(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(limits_of((CoreUserLimits){ .max_running = 1 }));
        CoreLimits two = limits_of((CoreUserLimits){ .max_running = 2 });
        CoreLimits none = limits_of((CoreUserLimits){ 0 });
        Job *a[4];

        for (int i = 0; i < 4; i++)
                a[i] = admit_of(r, ALICE);
        rig_run(r, a[0]);
        assert_null(rig_claim(r));
        core_set_limits(&r->core, &two);
        rig_run(r, a[1]);
        assert_null(rig_claim(r));
        core_set_limits(&r->core, &none);
        rig_run(r, a[2]);
        rig_run(r, a[3]);
}

/* One that its own user's limit holds back does not keep a unit from others. */
static void a_limit_of_one_is_no_limit_of_another(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(limits_of((CoreUserLimits){ .max_running = 1 }));
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        JobSpec spec;
        Job *runs = admit_of(r, ALICE), *waits, *other;

        rig_run(r, runs);
        spec = spec_of(r, ALICE);
        spec.units = &gpu;
        spec.n_units = 1;
        waits = rig_admit(r, &spec);
        assert_null(rig_claim(r));
        assert_int_equal(waits->state, JOB_BLOCKED);
        spec.uid = BOB;
        spec.id = uuid_of(++r->ids);
        other = rig_admit(r, &spec);
        rig_run(r, other);
        rig_end(r, runs, OUTCOME_SUCCEEDED);
        assert_null(rig_claim(r));
        rig_end(r, other, OUTCOME_SUCCEEDED);
        rig_run(r, waits);
}

static void no_job_can_name_it(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(limits_of((CoreUserLimits){ .max_running = 1 }));

        (void)admit_of(r, ALICE);
        assert_null(core_find_semaphore(&r->core, SLICE("uid 1000")));
        assert_false(core_semaphore(&r->core, "uid 1000")->of_user);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_has_too_many_is_refused_and_nobody_else),
                cmocka_unit_test(memory_is_counted_by_user),
                cmocka_unit_test(a_second_has_so_many),
                cmocka_unit_test(what_is_refused_for_another_reason_takes_nothing_of_the_rate),
                cmocka_unit_test(so_many_of_a_user_run_and_the_others_wait),
                cmocka_unit_test(the_limit_can_change),
                cmocka_unit_test(a_limit_of_one_is_no_limit_of_another),
                cmocka_unit_test(no_job_can_name_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
