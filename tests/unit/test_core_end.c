/* SPDX-License-Identifier: MIT */

/* How jobs are cancelled, tried again and forgotten. */

#include "core_rig.h"

/* --- cancel --- */

/* Brings a new job to where the name says; what is outstanding stays so. */
static Job *job_at(Rig *r, const char *where)
{
        JobSpec spec = rig_spec(r);
        Job *job, *before = NULL;

        if (strcmp(where, "being admitted") == 0)
                return rig_submit(r, &spec);
        if (strncmp(where, "scheduled", 9) == 0) {
                spec.has = JOB_HAS_DELAY;
                spec.delay = USEC_PER_SEC;
        }
        if (strcmp(where, "blocked") == 0) {
                before = rig_job(r);
                spec.blockers = &before->id;
                spec.n_blockers = 1;
        }
        job = rig_admit(r, &spec);
        if (strcmp(where, "being claimed") == 0 ||
            strcmp(where, "claimed, and nobody knows it") == 0)
                assert_ptr_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), job);
        if (strcmp(where, "claimed, and nobody knows it") == 0)
                rig_store(r);
        if (strcmp(where, "on a slot") == 0)
                assert_ptr_equal(rig_claim(r), job);
        if (strcmp(where, "running") == 0 || strncmp(where, "being settled", 13) == 0)
                rig_run(r, job);
        if (strcmp(where, "being settled to retry") == 0)
                rig_settle(r, job, OUTCOME_ERROR);
        if (strcmp(where, "being settled as succeeded") == 0)
                rig_settle(r, job, OUTCOME_SUCCEEDED);
        return job;
}

static void what_waits_ends_cancelled(void **state UNUSED)
{
        static const char *const cases[] = {
                "being admitted", "scheduled", "blocked", "queued", "being claimed",
                "claimed, and nobody knows it", "being settled to retry",
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                for (int twice = 0; twice < 2; twice++) {
                        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                        Job *job = job_at(r, cases[i]);
                        uint32_t attempts = job->attempt;
                        unsigned events;

                        rig_cancel(r, job);
                        if (twice) {
                                core_cancel(&r->core, job, "once more", r->now);
                                rig_sound(r);
                        }
                        CHECK(!job_state_ended(job->state), cases[i]); /* the store first */
                        CHECK(job->request != REQUEST_NONE, cases[i]);
                        rig_store(r);
                        events = rig_events(r, job);
                        CHECK(job->state == JOB_CANCELLED, cases[i]);
                        CHECK(strcmp(job->history->reason, "cancelled on request") == 0, cases[i]);
                        CHECK(job->attempt == attempts, cases[i]);
                        CHECK(events & EVENT_ENDED, cases[i]);
                        CHECK(!(events & EVENT_CLAIMED), cases[i]);
                        CHECK(job->ended == r->now, cases[i]);
                        CHECK(core_claim(&r->core, r->pool, RIG_ROOM, r->now) != job, cases[i]);
                }
}

static void a_refused_claim_of_a_cancelled_job_ends_it(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = job_at(r, "being claimed");

        rig_cancel(r, job);
        (void)rig_answer(r, false);
        rig_store(r);
        assert_int_equal(job->state, JOB_CANCELLED);
}

static void a_refused_admission_of_a_cancelled_job_is_refused(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = job_at(r, "being admitted");

        rig_cancel(r, job);
        (void)rig_answer(r, false);
        assert_int_equal(rig_events(r, job), EVENT_REFUSED);
        core_forget(&r->core, job);
        rig_sound(r);
        assert_int_equal(r->core.ids.count, 0);
}

static void what_is_under_way_is_only_marked(void **state UNUSED)
{
        static const char *const cases[] = { "on a slot", "running" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *job = job_at(r, cases[i]);
                JobState before = (JobState)job->state;

                rig_cancel(r, job);
                CHECK(job->cancel_asked, cases[i]);
                CHECK(job->state == before, cases[i]);
                CHECK(!core_next_request(&r->core), cases[i]);
        }
}

static void a_marked_job_that_comes_back_ends_cancelled(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = job_at(r, "on a slot");

        rig_cancel(r, job);
        rig_unclaim(r, job);
        assert_int_equal(job->state, JOB_CANCELLED);
        assert_int_equal(job->attempt, 0);
}

static void a_marked_job_ends_cancelled_unless_it_succeeds(void **state UNUSED)
{
        for (int outcome = OUTCOME_SUCCEEDED; outcome < OUTCOME_NONE; outcome++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *job = job_at(r, "running");
                bool succeeds = outcome == OUTCOME_SUCCEEDED;

                rig_cancel(r, job);
                rig_end(r, job, (Outcome)outcome);
                CHECK(job->state == (succeeds ? JOB_SUCCEEDED : JOB_CANCELLED),
                      outcome_name((Outcome)outcome));
                CHECK((job->history->reason == NULL) == succeeds, outcome_name((Outcome)outcome));
        }
}

static void a_cancel_that_comes_too_late_changes_nothing(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = job_at(r, "being settled as succeeded");
        JobSpec spec = rig_spec(r);

        rig_cancel(r, job);
        rig_rest(r);
        assert_int_equal(job->state, JOB_SUCCEEDED);
        assert_null(job->history->reason);
        for (int s = JOB_SUCCEEDED; s <= JOB_CANCELLED; s++) {
                if (s == JOB_QUARANTINED)
                        continue;
                spec.id = uuid_of(++r->ids);
                job = rig_ended_job(r, &spec, (JobState)s);
                core_cancel(&r->core, job, "too late", r->now);
                rig_sound(r);
                assert_int_equal(job->state, s);
                assert_true(!job->history->reason || strcmp(job->history->reason, "too late") != 0);
                assert_null(core_next_request(&r->core));
                assert_int_equal(rig_events(r, job), 0);
        }
}

/* --- a new budget --- */

static void who_ended_badly_gets_a_new_budget_but_not_new_numbers(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job = rig_ended_job(r, &spec, JOB_FAILED);

        assert_int_equal(job->attempt, 3);
        assert_true(core_retry(&r->core, job, r->now));
        rig_sound(r);
        assert_int_equal(job->state, JOB_FAILED); /* the store first */
        assert_false(core_retry(&r->core, job, r->now)); /* it is under way */
        rig_sound(r);
        rig_store(r);
        assert_int_equal(job->state, JOB_QUEUED);
        assert_int_equal(rig_events(r, job), EVENT_CHANGED);
        assert_int_equal(job->ended, 0);
        assert_int_equal(job->budget, 6);
        for (uint32_t i = 4; i <= 6; i++) {
                rig_run(r, job);
                assert_int_equal(job_last_attempt(job)->number, i);
                rig_end(r, job, OUTCOME_ERROR);
                rig_wait(r, 60 * USEC_PER_SEC);
        }
        assert_int_equal(job->state, JOB_FAILED);
        assert_int_equal(job->history->n_attempts, 6);
}

static void only_who_ended_badly_can_be_retried(void **state UNUSED)
{
        static const char *const open[] = { "scheduled",
                                            "blocked",
                                            "queued",
                                            "being claimed",
                                            "on a slot",
                                            "running",
                                            "being settled to retry",
                                            "being settled as succeeded" };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);

        for (size_t i = 0; i < ELEMENTS(open); i++) {
                AUTO(rig_free) Rig *own = rig_new(RIG_LIMITS);
                Job *job = job_at(own, open[i]);

                CHECK(!core_retry(&own->core, job, own->now), open[i]);
                rig_sound(own);
        }
        assert_false(core_retry(&r->core, rig_ended_job(r, &spec, JOB_SUCCEEDED), r->now));
        rig_sound(r);
        spec.id = uuid_of(++r->ids);
        assert_true(core_retry(&r->core, rig_ended_job(r, &spec, JOB_CANCELLED), r->now));
        rig_sound(r);
        assert_null(rig_claim(r)); /* and in its queue, after the store */
        assert_non_null(rig_claim(r));
}

static void a_retried_job_starts_with_a_clean_record(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        AttemptEnd end = { .outcome = OUTCOME_WORKER_DIED,
                           .may_retry = true,
                           .result = SLICE("{}") };
        Job *job;

        r->pool->policy.poison_deaths = 1;
        job = rig_admit(r, &spec);
        rig_run(r, job);
        assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
        rig_rest(r);
        assert_int_equal(job->state, JOB_QUARANTINED);
        assert_int_equal(r->core.kept_bytes, job->bytes + 2);
        job->history->untouched = 3;
        assert_true(core_retry(&r->core, job, r->now));
        rig_rest(r);
        assert_null(job->history->result);
        assert_int_equal(r->core.kept_bytes, 0);
        assert_int_equal(job->history->deaths, 0);
        assert_int_equal(job->history->untouched, 0);
        r->pool->policy.poison_deaths = 2;
        rig_run(r, job);
        rig_end(r, job, OUTCOME_WORKER_DIED);
        assert_int_equal(job->state, JOB_QUEUED); /* one death, and at once: it was the first */
}

static void a_retry_forgets_the_cancel_and_the_ttl(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *cancelled = rig_ended_job(r, &spec, JOB_CANCELLED), *expired;

        spec = rig_spec(r);
        spec.has = JOB_HAS_TTL;
        spec.ttl = USEC_PER_SEC;
        expired = rig_admit(r, &spec);
        rig_wait(r, USEC_PER_SEC);
        assert_int_equal(expired->state, JOB_EXPIRED);
        assert_true(core_retry(&r->core, cancelled, r->now));
        assert_true(core_retry(&r->core, expired, r->now));
        rig_sound(r);
        rig_rest(r);
        rig_wait(r, 10 * USEC_PER_SEC);
        assert_null(cancelled->history->reason);
        assert_null(expired->history->reason);
        assert_int_equal(cancelled->state, JOB_QUEUED);
        assert_int_equal(expired->state, JOB_QUEUED);
        rig_run(r, cancelled);
        rig_run(r, expired);
        rig_end(r, cancelled, OUTCOME_ERROR);
        assert_int_equal(cancelled->state, JOB_SCHEDULED);
}

static void a_key_that_another_job_has_forbids_the_retry(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *first, *second;

        spec.has = JOB_HAS_UNIQUE_KEY;
        spec.unique_key = SLICE("k");
        first = rig_ended_job(r, &spec, JOB_CANCELLED);
        spec.id = uuid_of(++r->ids);
        second = rig_admit(r, &spec);
        assert_false(core_retry(&r->core, first, r->now));
        rig_sound(r);
        assert_int_equal(first->state, JOB_CANCELLED);
        rig_cancel(r, second);
        rig_rest(r);
        assert_true(core_retry(&r->core, first, r->now));
        rig_sound(r);
        assert_false(core_retry(&r->core, second, r->now)); /* taken at once, not with the answer */
        spec.id = uuid_of(++r->ids);
        assert_ptr_equal(rig_submit_duplicate(r, &spec), first);
        rig_rest(r);
        assert_int_equal(first->state, JOB_QUEUED);
}

static void a_refused_retry_is_asked_again(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job = rig_ended_job(r, &spec, JOB_FAILED);

        assert_true(core_retry(&r->core, job, r->now));
        (void)rig_answer(r, false);
        (void)rig_answer(r, true);
        assert_int_equal(job->state, JOB_QUEUED);
}

/* --- forgetting --- */

static bool there(Rig *r, uint64_t number)
{
        Uuid id = uuid_of(number);

        return core_find(&r->core, &id, 1000, false) != NULL;
}

static Job *succeed(Rig *r)
{
        JobSpec spec = rig_spec(r);

        return rig_ended_job(r, &spec, JOB_SUCCEEDED);
}

static void what_has_ended_is_kept_for_a_time(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 60 * USEC_PER_SEC, .keep_max = 100 });
        usec_t end;

        r->pool->policy.backoff = 0;
        (void)succeed(r);
        end = core_next_due(&r->core);
        r->now = end - 1;
        rig_wait(r, 0);
        assert_true(there(r, 1));
        rig_wait(r, 1);
        assert_false(there(r, 1));
        assert_int_equal(r->core.ids.count, 0);
        assert_int_equal(core_next_due(&r->core), USEC_INFINITY);
}

static void what_is_open_is_never_forgotten(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 0, .keep_max = 0 });
        Job *running = rig_job(r);

        rig_run(r, running);
        (void)rig_job(r);
        for (int i = 0; i < 5; i++)
                rig_wait(r, 1000000 * USEC_PER_SEC);
        assert_true(there(r, 1));
        assert_true(there(r, 2));
        rig_end(r, running, OUTCOME_SUCCEEDED);
        assert_int_equal(core_next_due(&r->core), 0); /* to be forgotten with the next tick */
        rig_wait(r, 0);
        assert_false(there(r, 1));
}

static void of_too_many_the_oldest_are_forgotten(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 3 });

        for (int i = 0; i < 10; i++) {
                (void)succeed(r);
                rig_wait(r, 0);
                assert_int_equal(r->core.kept, MIN(i + 1, 3));
        }
        for (uint64_t n = 1; n <= 10; n++)
                assert_int_equal(there(r, n), n > 7);
}

static void of_too_many_bytes_the_oldest_are_forgotten(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 1000,
                                                      .keep_bytes = 3 * (sizeof(Job) + 2) + 10 });
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED, .result = SLICE("{\"a\":\"12345\"}") };
        Job *job;

        for (int i = 0; i < 4; i++) {
                (void)succeed(r);
                rig_wait(r, 0);
        }
        assert_int_equal(r->core.kept, 3);
        job = rig_job(r);
        rig_run(r, job);
        assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
        rig_rest(r);
        rig_wait(r, 0);
        assert_int_equal(r->core.kept, 2); /* results count */
        assert_true(there(r, 5));
        assert_true(r->core.kept_bytes <= r->core.limits.keep_bytes);
}

static void a_job_with_its_own_time_is_kept_for_that(void **state UNUSED)
{
        static const struct {
                const char *name;
                usec_t keep;
        } cases[] = { { "longer than others", 7200 * USEC_PER_SEC },
                      { "shorter", USEC_PER_SEC },
                      { "not at all", 0 } };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *job;

                spec.has = JOB_HAS_KEEP;
                spec.keep = cases[i].keep;
                job = rig_admit(r, &spec);
                rig_run(r, job);
                rig_end(r, job, OUTCOME_SUCCEEDED);
                CHECK(core_next_due(&r->core) == r->now + cases[i].keep, cases[i].name);
                if (cases[i].keep) {
                        rig_wait(r, cases[i].keep - 1);
                        CHECK(there(r, 1), cases[i].name);
                }
                rig_wait(r, cases[i].keep ? 1 : 0);
                CHECK(!there(r, 1), cases[i].name);
        }
}

static void of_too_many_its_own_time_saves_nobody(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 2 });

        for (int i = 0; i < 6; i++) { /* in turns with and without */
                JobSpec spec = rig_spec(r);

                spec.has = i % 2 ? JOB_HAS_KEEP : 0;
                spec.keep = USEC_INFINITY;
                (void)rig_ended_job(r, &spec, JOB_SUCCEEDED);
                rig_wait(r, 1);
        }
        for (uint64_t n = 1; n <= 6; n++)
                assert_int_equal(there(r, n), n > 4);
}

static void what_is_pinned_stays_until_it_is_let_go(void **state UNUSED)
{
        static const struct {
                const char *name;
                CoreLimits limits;
                uint16_t has;
        } cases[] = {
                { "over its time", { .keep = 1, .keep_max = 100 }, 0 },
                { "one too many", { .keep = USEC_INFINITY, .keep_max = 0 }, 0 },
                { "over its own time", { .keep = USEC_INFINITY, .keep_max = 100 }, JOB_HAS_KEEP },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(cases[i].limits);
                JobSpec spec = rig_spec(r);
                Job *job;

                spec.has = cases[i].has;
                spec.keep = 1;
                job = rig_admit(r, &spec);
                job->calls = r;
                rig_run(r, job);
                rig_end(r, job, OUTCOME_SUCCEEDED);
                for (int k = 0; k < 5; k++) {
                        rig_wait(r, 10 * USEC_PER_SEC);
                        CHECK(there(r, 1), cases[i].name);
                        CHECK(core_next_due(&r->core) > r->now,
                              cases[i].name); /* nobody spins meanwhile */
                }
                job->calls = NULL;
                rig_wait(r, 2 * USEC_PER_SEC);
                CHECK(!there(r, 1), cases[i].name);
        }
}

static void a_pinned_job_does_not_keep_the_others(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_PER_SEC, .keep_max = 100 });

        succeed(r)->calls = r;
        (void)succeed(r);
        rig_wait(r, 100 * USEC_PER_SEC);
        assert_true(there(r, 1));
        assert_false(there(r, 2));
}

static void nobody_is_forgotten_whose_end_is_not_yet_heard(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 0, .keep_max = 0 });
        Job *job = rig_job(r);
        unsigned events;

        rig_run(r, job);
        rig_rest(r);
        rig_settle(r, job, OUTCOME_SUCCEEDED);
        rig_store(r);
        core_tick(&r->core, r->now);
        rig_sound(r);
        assert_ptr_equal(core_next_event(&r->core, &events), job);
        assert_int_equal(events, EVENT_ENDED);
        rig_wait(r, USEC_PER_SEC);
        assert_int_equal(r->core.ids.count, 0);
}

static void a_core_can_end_in_the_middle_of_everything(void **state UNUSED)
{
        static const char *const cases[] = {
                "being admitted",
                "scheduled",
                "blocked",
                "queued",
                "being claimed",
                "on a slot",
                "running",
                "claimed, and nobody knows it",
                "being settled to retry",
                "being settled as succeeded",
        };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);

        for (size_t i = 0; i < ELEMENTS(cases); i++) { /* what leaks, the sanitizer tells */
                AUTO(rig_free) Rig *own = rig_new(RIG_LIMITS);

                CHECK(job_at(own, cases[i]), cases[i]);
        }
        for (int i = 0; i < 3; i++) { /* two with keys in the middle of a retry, one refused */
                JobSpec spec = rig_spec(r);

                spec.has = JOB_HAS_UNIQUE_KEY;
                spec.unique_key = i ? SLICE("a") : SLICE("b");
                if (i == 2)
                        spec.uid = 1;
                assert_true(core_retry(&r->core, rig_ended_job(r, &spec, JOB_CANCELLED), r->now) ||
                            i == 2);
                rig_sound(r);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_waits_ends_cancelled),
                cmocka_unit_test(a_refused_claim_of_a_cancelled_job_ends_it),
                cmocka_unit_test(a_refused_admission_of_a_cancelled_job_is_refused),
                cmocka_unit_test(what_is_under_way_is_only_marked),
                cmocka_unit_test(a_marked_job_that_comes_back_ends_cancelled),
                cmocka_unit_test(a_marked_job_ends_cancelled_unless_it_succeeds),
                cmocka_unit_test(a_cancel_that_comes_too_late_changes_nothing),
                cmocka_unit_test(who_ended_badly_gets_a_new_budget_but_not_new_numbers),
                cmocka_unit_test(only_who_ended_badly_can_be_retried),
                cmocka_unit_test(a_retried_job_starts_with_a_clean_record),
                cmocka_unit_test(a_retry_forgets_the_cancel_and_the_ttl),
                cmocka_unit_test(a_key_that_another_job_has_forbids_the_retry),
                cmocka_unit_test(a_refused_retry_is_asked_again),
                cmocka_unit_test(what_has_ended_is_kept_for_a_time),
                cmocka_unit_test(what_is_open_is_never_forgotten),
                cmocka_unit_test(of_too_many_the_oldest_are_forgotten),
                cmocka_unit_test(of_too_many_bytes_the_oldest_are_forgotten),
                cmocka_unit_test(a_job_with_its_own_time_is_kept_for_that),
                cmocka_unit_test(of_too_many_its_own_time_saves_nobody),
                cmocka_unit_test(what_is_pinned_stays_until_it_is_let_go),
                cmocka_unit_test(a_pinned_job_does_not_keep_the_others),
                cmocka_unit_test(nobody_is_forgotten_whose_end_is_not_yet_heard),
                cmocka_unit_test(a_core_can_end_in_the_middle_of_everything),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
