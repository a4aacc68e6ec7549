/* SPDX-License-Identifier: MIT */

/* A new daemon's first minutes: jobs come from the store as records, and each takes its place. */

#include "core_rig.h"

#define SECOND USEC_PER_SEC

/* A record as the store would have it; submitted an hour ago. */
static JobRecord record_of(Rig *r, JobState state)
{
        usec_t then = r->now - 3600 * SECOND;
        bool ran = state == JOB_RUNNING || state == JOB_SUCCEEDED;

        return (JobRecord){ .spec = rig_spec(r),
                            .pool = r->pool,
                            .seq = r->ids,
                            .state = state,
                            .attempt = ran,
                            .budget = 3,
                            .submitted = then,
                            .ready_at = then,
                            .order = state == JOB_SCHEDULED || state == JOB_BLOCKED ? 0 : then,
                            .started = ran ? then + 1 : 0,
                            .claimed = ran ? then + 1 : 0,
                            .ended = job_state_ended(state) ? then + 2 : 0 };
}

/* … with the attempts that have ended. */
static Job *restore(Rig *r, const JobRecord *record)
{
        Job *job = NULL;

        assert_int_equal(core_restore(&r->core, record, &job), 0);
        for (uint32_t i = 1; i + (record->state == JOB_RUNNING) <= record->attempt; i++) {
                Attempt *a = job_add_attempt(job);

                a->number = i;
                a->pool = record->pool;
                a->started = record->submitted + i;
                a->ended = record->submitted + i + 1;
                a->outcome = record->state == JOB_SUCCEEDED && i == record->attempt
                                     ? OUTCOME_SUCCEEDED
                                     : OUTCOME_ERROR;
        }
        return job;
}

static Job *restore_state(Rig *r, JobState state)
{
        JobRecord record = record_of(r, state);

        return restore(r, &record);
}

static void resume(Rig *r)
{
        core_resume(&r->core, r->now);
        rig_sound(r);
}

/* --- places --- */

static void each_state_finds_its_place(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[JOB_N_STATES];

        for (int s = 0; s < JOB_N_STATES; s++) {
                JobRecord record = record_of(r, (JobState)s);

                if (s == JOB_SCHEDULED)
                        record.ready_at = r->now + SECOND;
                jobs[s] = restore(r, &record);
        }
        assert_int_equal(core_restore_blocker(&r->core, jobs[JOB_BLOCKED], &jobs[JOB_QUEUED]->id),
                         0);
        resume(r);
        for (int s = 0; s < JOB_N_STATES; s++) {
                CHECK(jobs[s]->state == s, job_state_name((JobState)s));
                CHECK(jobs[s]->listed, job_state_name((JobState)s));
                CHECK(core_find(&r->core, &jobs[s]->id, 1000, false) == jobs[s],
                      job_state_name((JobState)s));
        }
        assert_int_equal(r->core.open, 4);
        assert_int_equal(r->core.kept, 5);
        assert_int_equal(jobs[JOB_QUEUED]->place, PLACE_READY);
        assert_int_equal(jobs[JOB_RUNNING]->request, REQUEST_SETTLE);
        rig_rest(r);
        assert_int_equal(jobs[JOB_RUNNING]->state, JOB_QUEUED);
        rig_run(r, jobs[JOB_QUEUED]);
        rig_run(r, jobs[JOB_RUNNING]);
        rig_end(r, jobs[JOB_QUEUED], OUTCOME_SUCCEEDED);
        rig_run(r, jobs[JOB_BLOCKED]);
        rig_wait(r, SECOND);
        rig_run(r, jobs[JOB_SCHEDULED]);
}

static void what_was_kept_of_a_job_is_there_again(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobRecord record = record_of(r, JOB_QUEUED);
        Job *job;

        record.spec.has = JOB_HAS_PRIORITY | JOB_HAS_TIMEOUT | JOB_HAS_KEEP | JOB_HAS_MAX_ATTEMPTS;
        record.spec.priority = -7;
        record.spec.timeout = 11;
        record.spec.keep = 12;
        record.spec.max_attempts = 13;
        record.spec.tags = SLICE("[\"t\"]");
        record.spec.after = SLICE("[\"x\"]");
        record.spec.args = SLICE("{\"a\":1}");
        record.spec.uid = 5;
        record.spec.gid = 6;
        record.attempt = 2;
        record.budget = 9;
        record.failures = 2;
        record.deaths = 1;
        record.untouched = 0;
        record.started = record.submitted + 5;
        record.reason = SLICE("because");
        record.result = SLICE("{\"try\":2}");
        job = restore(r, &record);
        resume(r);
        assert_int_equal(job->priority, -7);
        assert_int_equal(job_number(job, JOB_HAS_TIMEOUT, 0), 11);
        assert_int_equal(job_number(job, JOB_HAS_KEEP, 0), 12);
        assert_int_equal(job_number(job, JOB_HAS_MAX_ATTEMPTS, 0), 13);
        assert_true(slice_is(job_text(job, JOB_HAS_TAGS), "[\"t\"]"));
        assert_true(slice_is(job_text(job, JOB_HAS_AFTER), "[\"x\"]"));
        assert_true(slice_is(job_args(job), "{\"a\":1}"));
        assert_int_equal(job->uid, 5);
        assert_int_equal(job->gid, 6);
        assert_int_equal(job->attempt, 2);
        assert_int_equal(job->budget, 9);
        assert_int_equal(job->submitted, record.submitted);
        assert_int_equal(job->order, record.order);
        assert_int_equal(job->history->failures, 2);
        assert_int_equal(job->history->deaths, 1);
        assert_int_equal(job->history->started, record.started);
        assert_string_equal(job->history->reason, "because");
        assert_true(slice_is((Slice){ job->history->result, job->history->result_len },
                             "{\"try\":2}"));
        assert_true(job->touched);
        rig_run(r, job);
        assert_int_equal(job_last_attempt(job)->number, 3);
        rig_end(r, job, OUTCOME_ERROR);
        assert_int_equal(job->ready_at, r->now + 4 * SECOND); /* the third failure in a row */
}

static void who_has_been_through_nothing_costs_no_history(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = restore_state(r, JOB_QUEUED);

        resume(r);
        assert_ptr_equal(job->history, &job_no_history);
        assert_null(job->ties);
}

static void order_is_what_it_was(void **state UNUSED)
{
        static const struct {
                int priority;
                usec_t order; /* after the first */
        } cases[] = { { 0, 50 }, { 0, 10 }, { 3, 90 }, { 0, 30 }, { -1, 1 }, { 0, 20 } };
        static const unsigned order[] = { 2, 1, 5, 3, 0, 4 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[ELEMENTS(cases)], *later;

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                JobRecord record = record_of(r, i % 2 ? JOB_QUEUED : JOB_BLOCKED);

                record.spec.priority = cases[i].priority;
                record.order = record.submitted + cases[i].order;
                jobs[i] = restore(r, &record);
        }
        resume(r);
        r->now -= 3601 * SECOND; /* even if the clock was set back */
        later = rig_job(r);
        for (size_t i = 0; i + 1 < ELEMENTS(order); i++)
                assert_ptr_equal(rig_claim(r), jobs[order[i]]);
        assert_ptr_equal(rig_claim(r), later);
        assert_ptr_equal(rig_claim(r), jobs[4]);
}

static void numbers_go_on_where_they_were(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobRecord record = record_of(r, JOB_SUCCEEDED);
        Job *job;

        record.seq = 4711;
        record.order = r->now + 3600 * SECOND; /* the clock was set back since */
        (void)restore(r, &record);
        (void)restore_state(r, JOB_QUEUED);
        resume(r);
        assert_int_equal(r->core.last_seq, 4711);
        assert_int_equal(r->core.last_order, record.order);
        job = rig_job(r);
        assert_int_equal(job->seq, 4712);
        assert_true(job->order > record.order);
}

/* --- time --- */

static void times_that_passed_meanwhile_have_come(void **state UNUSED)
{
        static const struct {
                const char *name;
                JobState kept;
                int64_t ready; /* from now */
                JobState state;
        } cases[] = {
                { "still to come", JOB_SCHEDULED, 1000, JOB_SCHEDULED },
                { "come", JOB_SCHEDULED, 0, JOB_QUEUED },
                { "long over", JOB_SCHEDULED, -1000000, JOB_QUEUED },
                { "said to be queued", JOB_QUEUED, 1000, JOB_SCHEDULED },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobRecord record = record_of(r, cases[i].kept);
                Job *job;

                record.order = 0;
                record.ready_at = r->now + (usec_t)cases[i].ready;
                job = restore(r, &record);
                resume(r);
                CHECK(job->state == cases[i].state, cases[i].name);
                if (job->state == JOB_QUEUED) { /* its age counts from then */
                        CHECK(job->order == record.ready_at, cases[i].name);
                } else {
                        CHECK(core_next_due(&r->core) == record.ready_at, cases[i].name);
                        rig_wait(r, 1000);
                        CHECK(job->state == JOB_QUEUED, cases[i].name);
                }
        }
}

static void who_expired_meanwhile_ends_so(void **state UNUSED)
{
        for (int started = 0; started < 2; started++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobRecord record = record_of(r, JOB_QUEUED);
                Job *job;

                record.spec.has = JOB_HAS_TTL;
                record.spec.ttl = SECOND;
                record.started = started ? record.submitted + 1 : 0;
                record.attempt = (uint32_t)started;
                job = restore(r, &record);
                resume(r);
                rig_wait(r, 0);
                assert_int_equal(job->state, started ? JOB_QUEUED : JOB_EXPIRED);
        }
}

/* --- those before them --- */

static void blockers_are_what_has_become_of_them(void **state UNUSED)
{
        static const struct {
                const char *words; /* NULL: it waits, or goes on */
                int blocker;       /* a JobState, or -1: there is none */
                JobState state;
        } cases[] = {
                { NULL, JOB_QUEUED, JOB_BLOCKED },
                { NULL, JOB_SCHEDULED, JOB_BLOCKED },
                { NULL, JOB_RUNNING, JOB_BLOCKED },
                { NULL, JOB_SUCCEEDED, JOB_QUEUED },
                { "had ended: failed", JOB_FAILED, JOB_CANCELLED },
                { "had ended: quarantined", JOB_QUARANTINED, JOB_CANCELLED },
                { "had ended: cancelled", JOB_CANCELLED, JOB_CANCELLED },
                { "had ended: expired", JOB_EXPIRED, JOB_CANCELLED },
                { "lost with the daemon's memory", -1, JOB_CANCELLED },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const char *name = cases[i].blocker < 0
                                           ? "none"
                                           : job_state_name((JobState)cases[i].blocker);
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Uuid nobody = uuid_of(987654321);
                Job *blocker = NULL, *job;

                if (cases[i].blocker >= 0) {
                        JobRecord record = record_of(r, (JobState)cases[i].blocker);

                        if (record.state == JOB_SCHEDULED)
                                record.ready_at = r->now + SECOND;
                        blocker = restore(r, &record);
                }
                job = restore_state(r, JOB_BLOCKED);
                assert_int_equal(core_restore_blocker(&r->core, job,
                                                      blocker ? &blocker->id : &nobody),
                                 0);
                resume(r);
                rig_rest(r);
                CHECK(job->state == cases[i].state, name);
                CHECK(!cases[i].words == !job->history->reason, name);
                CHECK(!cases[i].words || strstr(job->history->reason, cases[i].words), name);
        }
}

static void another_users_job_is_no_blocker(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobRecord theirs = record_of(r, JOB_SUCCEEDED);
        Job *job;

        theirs.spec.uid = 1001;
        (void)restore(r, &theirs);
        job = restore_state(r, JOB_BLOCKED);
        assert_int_equal(core_restore_blocker(&r->core, job, &theirs.spec.id), 0);
        resume(r);
        rig_rest(r);
        assert_int_equal(job->state, JOB_CANCELLED);
}

static void who_waits_for_one_that_ran_goes_on_or_ends_with_it(void **state UNUSED)
{
        for (uint32_t budget = 1; budget < 3; budget++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobRecord record = record_of(r, JOB_RUNNING);
                Job *blocker, *job;

                record.budget = budget;
                blocker = restore(r, &record);
                job = restore_state(r, JOB_BLOCKED);
                assert_int_equal(core_restore_blocker(&r->core, job, &blocker->id), 0);
                resume(r);
                rig_rest(r);
                if (budget == 2) {
                        assert_int_equal(job->state, JOB_BLOCKED);
                        rig_run(r, blocker);
                        rig_end(r, blocker, OUTCOME_SUCCEEDED);
                }
                assert_int_equal(job->state, budget == 2 ? JOB_QUEUED : JOB_CANCELLED);
        }
}

/* --- those that ran --- */

static void what_ran_when_the_daemon_died_is_tried_again_within_its_budget(void **state UNUSED)
{
        static const struct {
                const char *name;
                uint32_t attempt, budget, failures;
                JobState state;
                usec_t delay;
        } cases[] = {
                { "its first attempt", 1, 3, 0, JOB_QUEUED, 0 },
                { "its second", 2, 3, 1, JOB_SCHEDULED, 1500000 },
                { "its last", 3, 3, 2, JOB_FAILED, 0 },
                { "its only one", 1, 1, 0, JOB_FAILED, 0 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobRecord record = record_of(r, JOB_RUNNING);
                const Attempt *a;
                Job *job;

                record.attempt = cases[i].attempt;
                record.budget = cases[i].budget;
                record.failures = cases[i].failures;
                record.claimed = r->now - 5;
                job = restore(r, &record);
                resume(r);
                CHECK(job->state == JOB_RUNNING, cases[i].name); /* the store first */
                rig_rest(r);
                a = job_last_attempt(job);
                CHECK(job->state == cases[i].state, cases[i].name);
                CHECK(job->attempt == cases[i].attempt, cases[i].name);
                CHECK(job->history->n_attempts == cases[i].attempt, cases[i].name);
                CHECK(a->number == cases[i].attempt, cases[i].name);
                CHECK(a->outcome == OUTCOME_SUPERVISOR_DIED, cases[i].name);
                CHECK(a->started == r->now - 5 && a->ended == r->now, cases[i].name);
                CHECK(a->pid == 0 && a->pool == r->pool, cases[i].name);
                CHECK(strstr(a->certificate->error, "daemon died"), cases[i].name);
                CHECK(job->history->failures == cases[i].failures + 1, cases[i].name);
                CHECK(job->history->deaths == 0, cases[i].name); /* it killed no worker */
                CHECK(!job->claim_kept, cases[i].name);
                if (cases[i].delay)
                        CHECK(job->ready_at >= r->now + cases[i].delay &&
                                      job->ready_at <= r->now + 2 * SECOND,
                              cases[i].name);
        }
}

static void a_job_that_was_claimed_only_has_started_with_its_claim(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobRecord record = record_of(r, JOB_RUNNING);
        Job *job;

        record.started = 0;
        record.claimed = record.submitted + 7;
        job = restore(r, &record);
        resume(r);
        rig_rest(r);
        assert_int_equal(job->history->started, record.claimed);
}

static void what_ran_holds_no_unit_and_finds_its_semaphores(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        Job *jobs[3];

        for (int i = 0; i < 3; i++) {
                JobRecord record = record_of(r, i ? JOB_BLOCKED : JOB_RUNNING);

                record.spec.units = &gpu;
                record.spec.n_units = 1;
                record.order = record.submitted + (usec_t)i;
                jobs[i] = restore(r, &record);
        }
        resume(r);
        assert_int_equal(gpu->held, 0);
        rig_rest(r);
        rig_run(r, jobs[0]);
        assert_null(rig_claim(r));
        assert_int_equal(jobs[1]->state, JOB_BLOCKED);
        rig_end(r, jobs[0], OUTCOME_SUCCEEDED);
        rig_run(r, jobs[1]);
}

static void what_ran_is_claimed_by_nobody_before_the_store_has_its_end(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = restore_state(r, JOB_RUNNING);

        resume(r);
        assert_int_equal(r->pool->returning, 1);
        assert_null(core_claim(&r->core, r->pool, RIG_ROOM, r->now));
        assert_ptr_equal(rig_answer(r, false), job);
        assert_int_equal(job->request, REQUEST_SETTLE);
        rig_rest(r);
        assert_ptr_equal(rig_claim(r), job);
}

/* --- keys, and what has ended --- */

static void an_open_job_has_its_key_again_and_an_ended_one_has_not(void **state UNUSED)
{
        static const JobState states[] = { JOB_SUCCEEDED, JOB_CANCELLED, JOB_QUEUED };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *open = NULL;
        JobSpec spec;

        for (size_t i = 0; i < ELEMENTS(states); i++) {
                JobRecord record = record_of(r, states[i]);

                record.spec.has = JOB_HAS_UNIQUE_KEY;
                record.spec.unique_key = SLICE("nightly");
                open = restore(r, &record);
        }
        resume(r);
        assert_int_equal(r->core.keys.count, 1);
        spec = rig_spec(r);
        spec.has = JOB_HAS_UNIQUE_KEY;
        spec.unique_key = SLICE("nightly");
        assert_ptr_equal(rig_submit_duplicate(r, &spec), open);
}

static void what_has_ended_is_forgotten_in_the_order_of_its_ends(void **state UNUSED)
{
        static const usec_t ends[] = { 30, 10, 50, 20, 40, 20 };
        static const unsigned order[] = { 1, 3, 5, 0, 4, 2 }; /* of equals the older one first */
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = USEC_INFINITY, .keep_max = 100 });
        Job *jobs[ELEMENTS(ends)];

        for (size_t i = 0; i < ELEMENTS(ends); i++) {
                JobRecord record = record_of(r, JOB_SUCCEEDED);

                record.ended = record.submitted + ends[i];
                if (i % 2) {
                        record.spec.has = JOB_HAS_KEEP;
                        record.spec.keep = USEC_INFINITY;
                }
                jobs[i] = restore(r, &record);
        }
        resume(r);
        for (size_t i = 0; i < ELEMENTS(order); i++) {
                r->core.limits.keep_max--;
                if (i == 0)
                        r->core.limits.keep_max = ELEMENTS(ends) - 1;
                core_tick(&r->core, r->now);
                rig_sound(r);
                if (i == 1)
                        continue; /* 3 and 5 have the same end: either may be first */
                if (i == 2)
                        assert_int_equal(jobs[3]->request, REQUEST_FORGET);
                assert_int_equal(jobs[order[i]]->request, REQUEST_FORGET);
        }
}

static void what_was_kept_long_enough_meanwhile_goes(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .keep = 60 * SECOND, .keep_max = 100 });
        JobRecord record = record_of(r, JOB_SUCCEEDED);

        (void)restore(r, &record);
        record = record_of(r, JOB_FAILED);
        record.spec.has = JOB_HAS_KEEP;
        record.spec.keep = 7200 * SECOND;
        (void)restore(r, &record);
        record = record_of(r, JOB_FAILED);
        record.spec.has = JOB_HAS_KEEP;
        record.spec.keep = 0;
        (void)restore(r, &record);
        resume(r);
        rig_wait(r, 0);
        assert_int_equal(r->core.kept, 1);
        assert_null(core_find(&r->core, &(Uuid){ { [15] = 1 } }, 1000, false));
        assert_non_null(core_find(&r->core, &(Uuid){ { [15] = 2 } }, 1000, false));
        assert_null(core_find(&r->core, &(Uuid){ { [15] = 3 } }, 1000, false));
}

static void what_has_ended_badly_can_be_retried(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobRecord record = record_of(r, JOB_FAILED);
        Job *job;

        record.attempt = 3;
        record.started = record.submitted + 1;
        record.reason = SLICE("it did not work");
        job = restore(r, &record);
        resume(r);
        assert_true(core_retry(&r->core, job, r->now));
        rig_rest(r);
        assert_null(job->history->reason);
        rig_run(r, job);
        assert_int_equal(job->attempt, 4);
        assert_int_equal(job->budget, 6);
}

static void large_payloads_stay_where_they_are(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobRecord waits = record_of(r, JOB_QUEUED), over = record_of(r, JOB_SUCCEEDED);
        Job *job, *done;

        waits.spec.args = (Slice){ NULL, 0 };
        waits.args_shed = true;
        waits.spec.tags = SLICE("[\"t\"]");
        over.result_shed = true;
        job = restore(r, &waits);
        done = restore(r, &over);
        resume(r);
        assert_true(core_is_shed(job) && core_is_shed(done));
        assert_int_equal(job_args(job).len, 0);
        assert_true(slice_is(job_text(job, JOB_HAS_TAGS), "[\"t\"]"));
        core_unshed(&r->core, job, strdup("{\"a\":1}"), 7, NULL, 0);
        rig_sound(r);
        core_unshed(&r->core, done, NULL, 0, strdup("{}"), 2);
        rig_sound(r);
        assert_true(slice_is(job_args(job), "{\"a\":1}"));
        assert_true(slice_is((Slice){ done->history->result, done->history->result_len }, "{}"));
}

static void jobs_whose_handler_has_moved_wait_in_its_pool(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CorePool *to = rig_pool(r, "to");
        Job *queued = restore_state(r, JOB_QUEUED), *ran = restore_state(r, JOB_RUNNING);

        core_bind_handler(&r->core, r->handler, to);
        resume(r);
        rig_rest(r);
        assert_ptr_equal(queued->pool, to);
        assert_ptr_equal(ran->pool, to);
        assert_int_equal(r->pool->open, 0);
        assert_ptr_equal(ran->history->attempts[0].pool, r->pool);
}

static void an_empty_store_is_resumed_too(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);

        resume(r);
        assert_null(rig_ask(r));
        rig_run(r, rig_job(r));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_state_finds_its_place),
                cmocka_unit_test(what_was_kept_of_a_job_is_there_again),
                cmocka_unit_test(who_has_been_through_nothing_costs_no_history),
                cmocka_unit_test(order_is_what_it_was),
                cmocka_unit_test(numbers_go_on_where_they_were),
                cmocka_unit_test(times_that_passed_meanwhile_have_come),
                cmocka_unit_test(who_expired_meanwhile_ends_so),
                cmocka_unit_test(blockers_are_what_has_become_of_them),
                cmocka_unit_test(another_users_job_is_no_blocker),
                cmocka_unit_test(who_waits_for_one_that_ran_goes_on_or_ends_with_it),
                cmocka_unit_test(what_ran_when_the_daemon_died_is_tried_again_within_its_budget),
                cmocka_unit_test(a_job_that_was_claimed_only_has_started_with_its_claim),
                cmocka_unit_test(what_ran_holds_no_unit_and_finds_its_semaphores),
                cmocka_unit_test(what_ran_is_claimed_by_nobody_before_the_store_has_its_end),
                cmocka_unit_test(an_open_job_has_its_key_again_and_an_ended_one_has_not),
                cmocka_unit_test(what_has_ended_is_forgotten_in_the_order_of_its_ends),
                cmocka_unit_test(what_was_kept_long_enough_meanwhile_goes),
                cmocka_unit_test(what_has_ended_badly_can_be_retried),
                cmocka_unit_test(large_payloads_stay_where_they_are),
                cmocka_unit_test(jobs_whose_handler_has_moved_wait_in_its_pool),
                cmocka_unit_test(an_empty_store_is_resumed_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
