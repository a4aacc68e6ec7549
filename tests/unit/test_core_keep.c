/* SPDX-License-Identifier: MIT */

/* How what the store has is removed, and how large payloads leave memory and come back. (When a job
 * is to be forgotten: test_core_end.c.) */

#include "core_rig.h"

enum { LARGE = 100 };

static char large_args[4 * LARGE], large_result[3 * LARGE];

static int make_payloads(void **state UNUSED)
{
        memset(large_args, 'a', sizeof(large_args));
        memset(large_result, 'r', sizeof(large_result));
        return 0;
}

#define LARGE_ARGS   ((Slice){ large_args, sizeof(large_args) })
#define LARGE_RESULT ((Slice){ large_result, sizeof(large_result) })

static Job *succeed(Rig *r, bool memory)
{
        JobSpec spec = rig_spec(r);

        spec.memory = memory;
        return rig_ended_job(r, &spec, JOB_SUCCEEDED);
}

static bool there(Rig *r, uint64_t number)
{
        Uuid id = uuid_of(number);

        return core_find(&r->core, &id, 1000, false) != NULL;
}

static void tick(Rig *r)
{
        core_tick(&r->core, r->now);
        rig_sound(r);
}

/* --- removals --- */

static void what_the_store_has_is_forgotten_when_it_has_removed_it(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 0 });
        Job *job = succeed(r, false);

        tick(r);
        assert_int_equal(job->request, REQUEST_FORGET);
        assert_int_equal(r->core.kept, 0);
        assert_int_equal(core_next_due(&r->core), USEC_INFINITY); /* nobody spins meanwhile */
        assert_true(there(r, 1)); /* still shown */
        assert_null(core_next_request(&r->core));
        assert_ptr_equal(core_next_removal(&r->core), job); /* less urgent than others */
        rig_reply(r, job, true);
        assert_int_equal(r->core.ids.count, 0);
}

static void a_memory_job_is_forgotten_at_once(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 0 });

        (void)succeed(r, true);
        tick(r);
        assert_int_equal(r->core.ids.count, 0);
        assert_null(rig_ask(r));
}

static void a_refused_removal_is_asked_for_again(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 0, .keep_max = 100 });
        Job *job = succeed(r, false);

        for (int i = 0; i < 5; i++) {
                tick(r);
                core_set_store_down(&r->core, true);
                assert_ptr_equal(rig_answer(r, false), job);
                assert_int_equal(r->core.kept, 1);
                assert_true(there(r, 1));
                assert_true(core_next_due(&r->core) > r->now); /* nobody spins meanwhile */
                tick(r);
                assert_null(rig_ask(r)); /* not while it fails */
                r->now += USEC_PER_SEC;
                core_set_store_down(&r->core, false);
        }
        tick(r);
        assert_ptr_equal(rig_answer(r, true), job);
        assert_false(there(r, 1));
        assert_int_equal(r->core.kept_bytes, 0);
}

static void nobody_is_removed_who_is_still_needed(void **state UNUSED)
{
        static const char *const cases[] = { "a call waits for it", "its payloads are fetched",
                                             "an event is not heard" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 0, .keep_max = 100 });
                Job *job = rig_job(r);

                rig_run(r, job);
                rig_settle(r, job, OUTCOME_SUCCEEDED);
                rig_store(r);
                if (i != 2)
                        rig_listen(r);
                job->calls = i == 0 ? r : NULL;
                job->fetching = i == 1;
                for (int k = 0; k < 3; k++) {
                        tick(r);
                        CHECK(!rig_ask(r), cases[i]);
                        CHECK(core_next_due(&r->core) == r->now + USEC_PER_SEC, cases[i]);
                        r->now += USEC_PER_SEC;
                }
                job->calls = NULL;
                job->fetching = false;
                rig_listen(r);
                tick(r);
                CHECK(rig_answer(r, true) == job, cases[i]);
                CHECK(!there(r, 1), cases[i]);
        }
}

/* It was removed meanwhile: nothing is left to ask the store for. */
static void who_is_needed_when_the_removal_is_done_stays_for_a_moment(void **state UNUSED)
{
        static const char *const cases[] = { "call", "fetch" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 0, .keep_max = 100 });
                Job *job = succeed(r, false);

                tick(r);
                assert_ptr_equal(rig_ask(r), job);
                job->calls = i == 0 ? r : NULL;
                job->fetching = i == 1;
                rig_reply(r, job, true);
                CHECK(there(r, 1), cases[i]);
                CHECK(r->core.kept == 1, cases[i]);
                if (i == 1)
                        core_fetched(&r->core, job, NULL, 0, NULL, 0);
                job->calls = NULL;
                rig_listen(r);
                rig_wait(r, USEC_PER_SEC);
                CHECK(!there(r, 1), cases[i]);
                CHECK(!rig_ask(r), cases[i]);
        }
}

static void who_is_being_removed_cannot_be_retried(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 0, .keep_max = 100 });
        JobSpec spec = rig_spec(r);
        Job *job = rig_ended_job(r, &spec, JOB_CANCELLED);

        tick(r);
        assert_int_equal(job->request, REQUEST_FORGET);
        assert_false(core_retry(&r->core, job, r->now));
        rig_sound(r);
        assert_ptr_equal(rig_answer(r, false), job);
        assert_true(core_retry(&r->core, job, r->now)); /* it was not, after all */
        rig_rest(r);
        assert_int_equal(job->state, JOB_QUEUED);
}

static void many_are_removed_in_turns(void **state UNUSED)
{
        enum { CROWD = 2500 };
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_PER_SEC, .keep_max = 100000 });
        unsigned events;
        int turns = 0;
        Job *job;

        for (int i = 0; i < CROWD; i++) {
                JobSpec spec = rig_spec(r);
                bool duplicate;
                Uuid missing;

                assert_int_equal(
                        core_submit(&r->core, &spec, 1, r->now, &job, &duplicate, &missing), 0);
                core_cancel(&r->core, job, NULL, r->now);
        }
        while ((job = core_next_request(&r->core)))
                core_complete(&r->core, job, true, r->now);
        while (core_next_event(&r->core, &events))
                ;
        rig_sound(r);
        assert_int_equal(r->core.kept, CROWD);
        r->now += USEC_PER_SEC;
        while (core_next_due(&r->core) <= r->now) {
                core_tick(&r->core, r->now);
                turns++;
        }
        assert_in_range(turns, 3, 10);
        rig_sound(r);
        rig_rest(r);
        assert_int_equal(r->core.ids.count, 0);
}

/* --- payloads --- */

static Rig *large_rig(void)
{
        CoreLimits limits = RIG_LIMITS;

        limits.large = LARGE;
        return rig_new(limits);
}

/* What the api does when it has told everybody. */
static void shed(Rig *r, Job *job)
{
        rig_rest(r);
        core_shed(&r->core, job);
        rig_sound(r);
}

static void unshed(Rig *r, Job *job, bool args, bool result)
{
        char *a = args ? malloc(LARGE_ARGS.len) : NULL;
        char *b = result ? malloc(LARGE_RESULT.len) : NULL;

        if (a)
                memcpy(a, large_args, LARGE_ARGS.len);
        if (b)
                memcpy(b, large_result, LARGE_RESULT.len);
        core_unshed(&r->core, job, a, a ? LARGE_ARGS.len : 0, b, b ? LARGE_RESULT.len : 0);
        rig_sound(r);
}

static Job *admit_large(Rig *r, bool memory)
{
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.args = LARGE_ARGS;
        spec.tags = SLICE("[\"t\"]");
        spec.memory = memory;
        job = rig_admit(r, &spec);
        shed(r, job);
        return job;
}

static void large_arguments_leave_memory_while_the_job_waits(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = large_rig();
        Job *job = admit_large(r, false);

        assert_true(job->args_shed);
        assert_true(core_is_shed(job));
        assert_int_equal(job_args(job).len, 0);
        assert_true(slice_is(job_text(job, JOB_HAS_TAGS), "[\"t\"]"));
        assert_in_range(r->core.bytes, 1, sizeof(Job) + 64);
        core_shed(&r->core, job); /* once more changes nothing */
        rig_sound(r);
        unshed(r, job, true, false);
        assert_false(core_is_shed(job));
        assert_true(slice_equal(job_args(job), LARGE_ARGS));
        assert_in_range(r->core.bytes, sizeof(Job) + LARGE_ARGS.len,
                        sizeof(Job) + LARGE_ARGS.len + 64);
}

static void small_ones_and_those_of_memory_jobs_stay(void **state UNUSED)
{
        static const struct {
                const char *name;
                size_t len;
                bool memory;
                uint64_t limit;
                bool sheds;
        } cases[] = {
                { "just large", LARGE + 1, false, LARGE, true },
                { "not quite", LARGE, false, LARGE, false },
                { "memory", 4 * LARGE, true, LARGE, false },
                { "no limit", 4 * LARGE, false, 0, false },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = large_rig();
                JobSpec spec = rig_spec(r);
                Job *job;

                r->core.limits.large = cases[i].limit;
                spec.args = (Slice){ large_args, cases[i].len };
                spec.memory = cases[i].memory;
                job = rig_admit(r, &spec);
                shed(r, job);
                CHECK(job->args_shed == cases[i].sheds, cases[i].name);
                CHECK(job_args(job).len == (cases[i].sheds ? 0 : cases[i].len), cases[i].name);
        }
}

static void what_is_needed_stays_in_memory(void **state UNUSED)
{
        static const char *const cases[] = { "not admitted", "events", "a call", "fetching",
                                             "being claimed", "on a slot", "running" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = large_rig();
                JobSpec spec = rig_spec(r);
                Job *job;

                spec.args = LARGE_ARGS;
                job = rig_submit(r, &spec);
                if (i > 0)
                        rig_store(r);
                if (i > 1)
                        rig_listen(r);
                job->calls = i == 2 ? r : NULL;
                job->fetching = i == 3;
                if (i == 4)
                        assert_ptr_equal(core_claim(&r->core, r->pool, 1, r->now), job);
                if (i > 4)
                        assert_ptr_equal(rig_claim(r), job);
                if (i > 5)
                        rig_begin(r, job);
                core_shed(&r->core, job);
                rig_sound(r);
                CHECK(!job->args_shed, cases[i]);
                CHECK(slice_equal(job_args(job), LARGE_ARGS), cases[i]);
        }
}

static void large_results_leave_memory_after_the_end(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = large_rig();
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED, .result = LARGE_RESULT };
        Job *job = rig_job(r);
        uint64_t before;

        rig_run(r, job);
        assert_int_equal(core_settle(&r->core, job, 1, &end, r->now, 0), 0);
        rig_store(r);
        assert_int_equal(job->history->result_len, LARGE_RESULT.len); /* who waits gets it */
        rig_listen(r);
        before = r->core.kept_bytes;
        shed(r, job);
        assert_true(job->result_shed);
        assert_int_equal(r->core.kept_bytes, before - LARGE_RESULT.len);
        unshed(r, job, false, true);
        assert_int_equal(r->core.kept_bytes, before);
        assert_memory_equal(job->history->result, large_result, LARGE_RESULT.len);
        shed(r, job);
        rig_wait(r, 3600 * USEC_PER_SEC);
        assert_int_equal(r->core.kept_bytes, 0);
        assert_int_equal(r->core.ids.count, 0);
}

static void what_nobody_misses_is_not_taken_back(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = large_rig();
        Job *job = admit_large(r, false);

        unshed(r, job, false, true); /* it has no result */
        assert_null(job->history->result);
        unshed(r, job, true, false);
        unshed(r, job, true, true); /* they are here: what comes again is freed */
        assert_true(slice_equal(job_args(job), LARGE_ARGS));
}

static void the_accounts_stay_right_whatever_payloads_do_when(void **state UNUSED)
{
        static const char *const cases[] = { "queued",         "retry under way",
                                             "removal under way", "removed, and needed" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = large_rig();
                Job *job = admit_large(r, false), *asked;

                if (i > 0) {
                        rig_cancel(r, job);
                        shed(r, job);
                        assert_true(job->args_shed);
                }
                if (i == 1)
                        assert_true(core_retry(&r->core, job, r->now));
                if (i > 1) {
                        r->core.limits.keep_max = 0;
                        tick(r);
                        assert_int_equal(job->request, REQUEST_FORGET);
                }
                asked = rig_ask(r);
                job->fetching = true;
                if (i == 3)
                        rig_reply(r, asked, true);
                core_fetched(&r->core, job, strndup(large_args, LARGE_ARGS.len), LARGE_ARGS.len,
                             NULL, 0);
                rig_sound(r);
                CHECK(slice_equal(job_args(job), LARGE_ARGS), cases[i]);
                CHECK(rig_events(r, job) & EVENT_FETCHED, cases[i]);
                if (i == 1 || i == 2) {
                        rig_reply(r, asked, i == 1);
                        CHECK(there(r, 1), cases[i]);
                }
                rig_rest(r);
                rig_cancel(r, job);
                rig_rest(r);
                rig_wait(r, 7200 * USEC_PER_SEC);
                CHECK(r->core.ids.count == 0, cases[i]);
                CHECK(r->core.bytes == 0 && r->core.kept_bytes == 0, cases[i]);
        }
}

static void what_comes_back_from_its_attempt_is_shed_again(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = large_rig();
        Job *job = admit_large(r, false);

        assert_ptr_equal(core_claim(&r->core, r->pool, 1, r->now), job);
        assert_ptr_equal(rig_ask(r), job);
        unshed(r, job, true, false); /* the store brings them with the claim */
        rig_reply(r, job, true);
        rig_listen(r);
        assert_true(slice_equal(job_args(job), LARGE_ARGS));
        core_unclaim(&r->core, job, r->now);
        rig_store(r);
        assert_true(job->args_shed);
}

static void a_retry_forgets_a_result_that_only_the_store_has(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = large_rig();
        AttemptEnd end = { .outcome = OUTCOME_ERROR, .result = LARGE_RESULT };
        Job *job = rig_job(r);

        rig_run(r, job);
        assert_int_equal(core_settle(&r->core, job, 1, &end, r->now, 0), 0);
        shed(r, job);
        assert_int_equal(job->state, JOB_FAILED);
        assert_true(job->result_shed);
        assert_true(core_retry(&r->core, job, r->now));
        rig_sound(r);
        assert_false(job->result_shed);
        unshed(r, job, false, true); /* somebody had asked for it before */
        assert_null(job->history->result);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_the_store_has_is_forgotten_when_it_has_removed_it),
                cmocka_unit_test(a_memory_job_is_forgotten_at_once),
                cmocka_unit_test(a_refused_removal_is_asked_for_again),
                cmocka_unit_test(nobody_is_removed_who_is_still_needed),
                cmocka_unit_test(who_is_needed_when_the_removal_is_done_stays_for_a_moment),
                cmocka_unit_test(who_is_being_removed_cannot_be_retried),
                cmocka_unit_test(many_are_removed_in_turns),
                cmocka_unit_test(large_arguments_leave_memory_while_the_job_waits),
                cmocka_unit_test(small_ones_and_those_of_memory_jobs_stay),
                cmocka_unit_test(what_is_needed_stays_in_memory),
                cmocka_unit_test(large_results_leave_memory_after_the_end),
                cmocka_unit_test(what_nobody_misses_is_not_taken_back),
                cmocka_unit_test(the_accounts_stay_right_whatever_payloads_do_when),
                cmocka_unit_test(what_comes_back_from_its_attempt_is_shed_again),
                cmocka_unit_test(a_retry_forgets_a_result_that_only_the_store_has),
        };

        return cmocka_run_group_tests(tests, make_payloads, NULL);
}
