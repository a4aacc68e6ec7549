/* SPDX-License-Identifier: MIT */

/* How a job travels: admission, claim, attempt, settlement. (Predecessors: test_core_after.c; how
 * it ends and is forgotten: test_core_end.c.) */

#include "core_rig.h"

/* --- admission --- */

static void nothing_is_shown_before_its_admission_is_complete(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job = rig_submit(r, &spec);

        assert_int_equal(job->request, REQUEST_ADMIT);
        assert_null(core_find(&r->core, &spec.id, 1000, false));
        assert_null(core_find(&r->core, &spec.id, 0, true));
        assert_true(list_empty(&r->core.all));
        assert_int_equal(rig_events(r, job), 0);
        assert_int_equal(r->core.open, 1);
        assert_int_equal(r->core.count[JOB_QUEUED], 0);

        assert_ptr_equal(rig_answer(r, true), job);
        assert_int_equal(rig_events(r, job), EVENT_ADMITTED);
        assert_ptr_equal(core_find(&r->core, &spec.id, 1000, false), job);
        assert_int_equal(job->state, JOB_QUEUED);
        assert_int_equal(r->core.open, 1);
        assert_int_equal(r->core.count[JOB_QUEUED], 1);
        assert_null(core_next_request(&r->core));
}

static void a_refused_commit_undoes_the_admission(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r), after = rig_spec(r);
        Job *job, *dependent;

        spec.has = JOB_HAS_ID | JOB_HAS_UNIQUE_KEY | JOB_HAS_TTL;
        spec.unique_key = SLICE("one");
        spec.ttl = USEC_PER_SEC;
        after.blockers = &spec.id;
        after.n_blockers = 1;
        job = rig_submit(r, &spec);
        dependent = rig_submit(r, &after);
        (void)rig_answer(r, false);
        (void)rig_answer(r, false);
        assert_int_equal(rig_events(r, job), EVENT_REFUSED);
        assert_int_equal(rig_events(r, dependent), EVENT_REFUSED);
        assert_null(core_find(&r->core, &spec.id, 1000, false));
        core_forget(&r->core, job);
        core_forget(&r->core, dependent);
        rig_sound(r);
        assert_int_equal(r->core.open, 0);
        assert_int_equal(r->core.bytes, 0);
        assert_int_equal(r->core.ids.count, 0);
        assert_int_equal(r->core.keys.count, 0);
        assert_int_equal(r->pool->open, 0);
        assert_int_equal(core_next_due(&r->core), USEC_INFINITY);
        assert_true(rig_admit(r, &spec)->listed); /* both names are free again */
}

static void a_job_after_a_refused_one_ends_cancelled(void **state UNUSED)
{
        for (int early = 0; early < 2;
             early++) { /* it is admitted before the other is refused, or after */
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec first = rig_spec(r), second = rig_spec(r);
                Job *job = rig_submit(r, &first), *dependent;

                (void)core_next_request(&r->core); /* on its way to the store */
                second.blockers = &first.id;
                second.n_blockers = 1;
                dependent = rig_submit(r, &second);
                if (early) {
                        rig_store(r);
                        assert_int_equal(dependent->state, JOB_BLOCKED);
                }
                core_complete(&r->core, job, false, r->now);
                rig_sound(r);
                core_forget(&r->core, job);
                rig_rest(r);
                assert_int_equal(dependent->state, JOB_CANCELLED);
                assert_non_null(dependent->history->reason);
        }
}

static void what_was_asked_for_is_copied(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        char args[] = "{\"a\":1}", key[] = "key", tags[] = "[\"t\"]", semaphores[] = "[\"s\"]";
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.has = JOB_HAS_UNIQUE_KEY;
        spec.args = slice_of(args);
        spec.unique_key = slice_of(key);
        spec.tags = slice_of(tags);
        spec.semaphores = slice_of(semaphores);
        spec.after = SLICE("[]");
        job = rig_submit(r, &spec);
        memset(args, 'x', sizeof(args));
        memset(key, 'x', sizeof(key));
        memset(tags, 'x', sizeof(tags));
        memset(semaphores, 'x', sizeof(semaphores));
        rig_rest(r);
        assert_true(slice_is(job_args(job), "{\"a\":1}"));
        assert_true(slice_is(job_key(job), "key"));
        assert_true(slice_is(job_text(job, JOB_HAS_TAGS), "[\"t\"]"));
        assert_true(slice_is(job_text(job, JOB_HAS_SEMAPHORES), "[\"s\"]"));
        assert_true(slice_is(job_text(job, JOB_HAS_AFTER), "[]"));
        assert_int_equal(job->bytes, sizeof(Job) + sizeof(KeyLink) + 7 + 3 + 5 + 5 + 2 + 4 * 4);
}

static void what_was_not_given_comes_from_the_pool(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec plain = rig_spec(r), given = rig_spec(r);
        Job *job;

        r->pool->policy.priority = 7;
        plain.priority = 1; /* not marked as given: not looked at */
        plain.timeout = 1;
        plain.max_attempts = 1;
        job = rig_admit(r, &plain);
        assert_int_equal(job->priority, 7);
        assert_int_equal(job_number(job, JOB_HAS_TIMEOUT, 42), 42);
        assert_int_equal(job->budget, 3);
        given.has = JOB_HAS_PRIORITY | JOB_HAS_TIMEOUT | JOB_HAS_MAX_ATTEMPTS;
        given.priority = -1000;
        given.max_attempts = 20;
        job = rig_admit(r, &given);
        assert_int_equal(job->priority, -1000);
        assert_int_equal(job_number(job, JOB_HAS_TIMEOUT, 42), 0);
        assert_int_equal(job->budget, 20);
}

static void limits_refuse_what_is_one_too_many(void **state UNUSED)
{
        enum { SIZE = sizeof(Job) + 2 };
        static const struct {
                const char *name;
                uint64_t queued, pool, bytes;
                int error;
        } cases[] = {
                { "of the daemon", 3, 0, 0, CORE_E_QUEUE_FULL },
                { "of the pool", 0, 3, 0, CORE_E_POOL_FULL },
                { "of memory", 0, 0, 3 * SIZE, CORE_E_BYTES_FULL },
                { "of memory, nearly", 0, 0, 4 * SIZE - 1, CORE_E_BYTES_FULL },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free)
                Rig *r = rig_new((CoreLimits){ .max_queued = cases[i].queued,
                                               .max_bytes = cases[i].bytes,
                                               .keep = USEC_INFINITY,
                                               .keep_max = 1000 });
                Job *first;
                JobSpec spec;

                r->pool->policy.max_queued = cases[i].pool;
                first = rig_job(r);
                (void)rig_job(r);
                spec = rig_spec(r);
                (void)rig_submit(r, &spec); /* one that is not yet there counts as well */
                spec = rig_spec(r);
                CHECK(rig_submit_error(r, &spec) == cases[i].error, cases[i].name);
                rig_rest(r);
                CHECK(rig_submit_error(r, &spec) == cases[i].error, cases[i].name);
                rig_run(r, first);
                CHECK(rig_submit_error(r, &spec) == cases[i].error, cases[i].name);
                rig_end(r, first, OUTCOME_SUCCEEDED); /* what has ended makes room */
                CHECK(rig_submit_error(r, &spec) == 0, cases[i].name);
                rig_rest(r);
                spec = rig_spec(r);
                CHECK(rig_submit_error(r, &spec) == cases[i].error, cases[i].name);
        }
}

static void a_long_life_does_not_fill_the_queue(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new((CoreLimits){ .max_queued = 2, .keep_max = 0 });

        for (int i = 0; i < 100; i++) {
                Job *job = rig_job(r);

                rig_run(r, job);
                rig_end(r, job, OUTCOME_SUCCEEDED);
                rig_wait(r, 1);
        }
        assert_int_equal(r->core.open, 0);
        assert_int_equal(r->core.ids.count, 0);
        assert_int_equal(r->pool->done, 100);
}

/* --- duplicates --- */

static void the_same_id_of_the_same_user_is_the_same_job(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r), other;
        Job *job;

        spec.has = JOB_HAS_ID;
        job = rig_submit(r, &spec);
        assert_ptr_equal(rig_submit_duplicate(r, &spec), job); /* not even admitted */
        rig_rest(r);
        assert_ptr_equal(rig_submit_duplicate(r, &spec), job);
        rig_run(r, job);
        assert_ptr_equal(rig_submit_duplicate(r, &spec), job);
        rig_end(r, job, OUTCOME_SUCCEEDED);
        assert_ptr_equal(rig_submit_duplicate(r, &spec), job);
        other = spec;
        other.uid = 1001;
        assert_ptr_not_equal(rig_admit(r, &other), job);
}

static void users_see_their_own_jobs_and_operators_see_all(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec mine = rig_spec(r), theirs, alone = rig_spec(r);
        Job *job, *other;

        theirs = mine;
        theirs.uid = 1001;
        theirs.has = mine.has = JOB_HAS_ID;
        job = rig_admit(r, &mine);
        other = rig_admit(r, &theirs);
        (void)rig_admit(r, &alone);
        assert_ptr_equal(core_find(&r->core, &mine.id, 1000, false), job);
        assert_ptr_equal(core_find(&r->core, &mine.id, 1000, true), job);
        assert_ptr_equal(core_find(&r->core, &mine.id, 1001, false), other);
        assert_null(core_find(&r->core, &mine.id, 1002, false));
        assert_non_null(core_find(&r->core, &mine.id, 1002, true));
        assert_null(core_find(&r->core, &alone.id, 1001, false));
        assert_non_null(core_find(&r->core, &alone.id, 1001, true));
}

static void an_open_job_holds_its_key_against_its_user_and_handler(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreHandler *crop = core_handler(&r->core, "crop");
        JobSpec spec = rig_spec(r);
        Job *job;

        core_bind_handler(&r->core, crop, r->pool);
        spec.has = JOB_HAS_UNIQUE_KEY;
        spec.unique_key = SLICE("nightly");
        job = rig_submit(r, &spec);
        for (int i = 0; i < 2; i++) {
                JobSpec same = spec, user = spec, handler = spec, key = spec, none = spec;

                same.id = uuid_of(++r->ids);
                assert_ptr_equal(rig_submit_duplicate(r, &same), job);
                rig_rest(r);
                user.id = uuid_of(++r->ids);
                user.uid = 1001 + (unsigned)i;
                assert_ptr_not_equal(rig_admit(r, &user), job);
                handler.id = uuid_of(++r->ids);
                handler.handler = crop;
                handler.uid = 2000 + (unsigned)i;
                assert_ptr_not_equal(rig_admit(r, &handler), job);
                key.id = uuid_of(++r->ids);
                key.unique_key = i ? SLICE("nightl") : SLICE("");
                assert_ptr_not_equal(rig_admit(r, &key), job);
                none.id = uuid_of(++r->ids);
                none.has = 0;
                none.unique_key = (Slice){ NULL, 0 };
                assert_ptr_not_equal(rig_admit(r, &none), job);
        }
}

static void a_key_is_free_again_when_its_job_has_ended(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.has = JOB_HAS_UNIQUE_KEY;
        spec.unique_key = SLICE("nightly");
        for (int i = 0; i < 3; i++) {
                spec.id = uuid_of(++r->ids);
                job = rig_admit(r, &spec);
                rig_run(r, job);
                spec.id = uuid_of(++r->ids);
                assert_ptr_equal(rig_submit_duplicate(r, &spec), job);
                rig_settle(r, job, i ? OUTCOME_SUCCEEDED : OUTCOME_CANCELLED);
                assert_ptr_equal(rig_submit_duplicate(r, &spec),
                                 job); /* not before the store has it */
                rig_rest(r);
        }
        assert_int_equal(r->core.keys.count, 0);
}

static void duplicates_are_found_within_one_call(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec specs[4] = { rig_spec(r), rig_spec(r), rig_spec(r), rig_spec(r) };
        bool duplicate[4];
        Uuid missing;
        Job *jobs[4];

        specs[0].has = specs[1].has = JOB_HAS_UNIQUE_KEY;
        specs[0].unique_key = specs[1].unique_key = SLICE("k");
        specs[2].has = specs[3].has = JOB_HAS_ID;
        specs[3].id = specs[2].id;
        assert_int_equal(core_submit(&r->core, specs, 4, r->now, jobs, duplicate, &missing), 0);
        rig_sound(r);
        assert_ptr_equal(jobs[1], jobs[0]);
        assert_ptr_equal(jobs[3], jobs[2]);
        assert_false(duplicate[0] || duplicate[2]);
        assert_true(duplicate[1] && duplicate[3]);
        rig_rest(r);
        assert_int_equal(r->core.count[JOB_QUEUED], 2);
}

static void a_call_admits_all_of_its_jobs_or_none(void **state UNUSED)
{
        static const struct {
                const char *name;
                uint64_t queued, pool, bytes;
                int error;
        } cases[] = {
                { "daemon", 5, 0, 0, CORE_E_QUEUE_FULL },
                { "pool", 0, 5, 0, CORE_E_POOL_FULL },
                { "bytes", 0, 0, 5 * (sizeof(Job) + 3), CORE_E_BYTES_FULL },
                { "blocker", 0, 0, 0, CORE_E_NO_BLOCKER },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free)
                Rig *r = rig_new((CoreLimits){ .max_queued = cases[i].queued,
                                               .max_bytes = cases[i].bytes,
                                               .keep_max = 10 });
                JobSpec specs[6], there = rig_spec(r);
                const Uuid nobody = uuid_of(987654321);
                bool duplicate[6];
                uint64_t bytes;
                Uuid missing = { { 0 } };
                Job *jobs[6];

                r->pool->policy.max_queued = cases[i].pool;
                there.has = JOB_HAS_UNIQUE_KEY;
                there.unique_key = SLICE("x");
                (void)rig_admit(r, &there);
                bytes = r->core.bytes;
                for (unsigned k = 0; k < 6; k++) {
                        specs[k] = rig_spec(r);
                        if (k == 1) /* one that is there: it must survive */
                                specs[k] = there;
                        if (k == 2) { /* an edge to undo */
                                specs[k].blockers = &specs[0].id;
                                specs[k].n_blockers = 1;
                        }
                }
                if (cases[i].error == CORE_E_NO_BLOCKER) {
                        specs[5].blockers = &nobody;
                        specs[5].n_blockers = 1;
                } else {
                        specs[5].has = JOB_HAS_UNIQUE_KEY;
                        specs[5].unique_key = SLICE("y");
                }
                CHECK(core_submit(&r->core, specs, 6, r->now, jobs, duplicate, &missing) ==
                              cases[i].error,
                      cases[i].name);
                rig_sound(r);
                if (cases[i].error == CORE_E_NO_BLOCKER)
                        assert_true(uuid_equal(&missing, &nobody));
                CHECK(r->core.ids.count == 1 && r->core.keys.count == 1, cases[i].name);
                CHECK(r->core.open == 1 && r->pool->open == 1, cases[i].name);
                CHECK(r->core.bytes == bytes, cases[i].name);
                CHECK(!core_next_request(&r->core), cases[i].name);
                CHECK(!rig_events(r, jobs[1]), cases[i].name);
        }
}

/* --- order --- */

static void higher_priority_runs_first_and_equals_in_their_order(void **state UNUSED)
{
        static const int priorities[] = { 0, 5, -1000, 5, 0, 1000, -1, 5, 0 };
        static const unsigned order[] = { 5, 1, 3, 7, 0, 4, 8, 6, 2 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[ELEMENTS(priorities)];

        for (size_t i = 0; i < ELEMENTS(priorities); i++) {
                JobSpec spec = rig_spec(r);

                spec.has = JOB_HAS_PRIORITY;
                spec.priority = priorities[i];
                jobs[i] = rig_admit(r, &spec);
        }
        for (size_t i = 0; i < ELEMENTS(order); i++) {
                assert_ptr_equal(core_peek(&r->core, r->pool, r->now), jobs[order[i]]);
                assert_ptr_equal(rig_claim(r), jobs[order[i]]);
        }
        assert_null(rig_claim(r));
}

static void many_equals_come_out_as_they_went_in(void **state UNUSED)
{
        enum { N = 300 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[N];

        for (int i = 0; i < N; i++)
                jobs[i] = rig_job(r);
        for (int i = 0; i < N; i++)
                assert_ptr_equal(rig_claim(r), jobs[i]);
}

static void delayed_equals_come_out_as_they_went_in(void **state UNUSED)
{
        enum { N = 100 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[N];

        for (int i = 0; i < N; i++) {
                JobSpec spec = rig_spec(r);

                spec.has = JOB_HAS_DELAY;
                spec.delay = USEC_PER_SEC;
                jobs[i] = rig_admit(r, &spec);
        }
        rig_wait(r, USEC_PER_SEC);
        for (int i = 0; i < N; i++)
                assert_ptr_equal(rig_claim(r), jobs[i]);
}

static void a_retry_keeps_its_place(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *first = rig_job(r), *second = rig_job(r);

        rig_run(r, first);
        rig_end(r, first, OUTCOME_WORKER_DIED); /* retried at once */
        assert_int_equal(first->state, JOB_QUEUED);
        rig_run(r, first);
        rig_end(r, first, OUTCOME_ERROR); /* retried later */
        assert_int_equal(first->state, JOB_SCHEDULED);
        assert_ptr_equal(core_peek(&r->core, r->pool, r->now), second);
        rig_wait(r, 2 * USEC_PER_SEC);
        rig_run(r, first);
}

static void age_counts_from_when_a_job_was_first_ready(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *delayed, *plain;

        spec.has = JOB_HAS_DELAY;
        spec.delay = USEC_PER_SEC;
        delayed = rig_admit(r, &spec);
        plain = rig_job(r);
        rig_wait(r, USEC_PER_SEC);
        assert_ptr_equal(rig_claim(r), plain);
        assert_ptr_equal(rig_claim(r), delayed);
}

static void a_paused_pool_gives_no_job(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        r->pool->paused = true;
        assert_null(core_peek(&r->core, r->pool, r->now));
        assert_null(rig_claim(r));
        r->pool->paused = false;
        assert_ptr_equal(rig_claim(r), job);
}

/* --- claims --- */

static void nothing_is_run_before_its_claim_is_complete(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        assert_ptr_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), job);
        rig_sound(r);
        assert_int_equal(r->pool->claiming, 1);
        assert_int_equal(job->state, JOB_QUEUED);
        assert_null(core_claim(&r->core, r->pool, RIG_ROOM, r->now));
        assert_int_equal(rig_events(r, job), 0);
        assert_ptr_equal(rig_answer(r, true), job);
        assert_int_equal(r->pool->claiming, 0);
        assert_int_equal(rig_events(r, job), EVENT_CLAIMED);
        assert_null(core_claim(&r->core, r->pool, RIG_ROOM, r->now));
        rig_begin(r, job);
        assert_int_equal(job->state, JOB_RUNNING);
        assert_int_equal(rig_events(r, job), EVENT_CHANGED);
}

static void a_refused_claim_puts_it_back_in_its_place(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *first = rig_job(r), *second = rig_job(r);

        assert_ptr_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), first);
        assert_ptr_equal(rig_answer(r, false), first);
        assert_int_equal(r->pool->claiming, 0);
        assert_int_equal(first->attempt, 0);
        assert_int_equal(rig_events(r, first), 0);
        assert_ptr_equal(rig_claim(r), first);
        assert_ptr_equal(rig_claim(r), second);
}

static void what_has_not_begun_can_go_back_to_its_place(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *first, *second;

        spec.has = JOB_HAS_TTL;
        spec.ttl = USEC_PER_SEC;
        first = rig_admit(r, &spec);
        second = rig_job(r);
        assert_ptr_equal(rig_claim(r), first);
        assert_int_equal(core_next_due(&r->core), USEC_INFINITY);
        rig_unclaim(r, first);
        assert_null(first->slot);
        assert_int_equal(first->attempt, 0);
        assert_int_equal(core_next_due(&r->core), first->submitted + USEC_PER_SEC);
        assert_ptr_equal(rig_claim(r), first);
        assert_ptr_equal(rig_claim(r), second);
}

/* --- attempts --- */

static void an_attempt_says_where_and_when_it_ran(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        usec_t begun = r->now + 5;
        Job *job = rig_job(r);
        const Attempt *a;

        r->now = begun;
        rig_run(r, job);
        a = job_last_attempt(job);
        assert_int_equal(a->number, 1);
        assert_int_equal(a->seat, 3);
        assert_int_equal(a->generation, 18);
        assert_int_equal(a->pid, 4711);
        assert_ptr_equal(a->pool, r->pool);
        assert_int_equal(a->started, begun);
        assert_int_equal(a->ended, 0);
        assert_int_equal(a->outcome, OUTCOME_NONE);
        r->now += 10;
        rig_end(r, job, OUTCOME_WORKER_DIED);
        assert_int_equal(job->history->attempts[0].outcome, OUTCOME_WORKER_DIED);
        assert_int_equal(job->history->attempts[0].ended, begun + 10);
        r->now += 10;
        rig_run(r, job);
        assert_int_equal(job_last_attempt(job)->number, 2);
        assert_int_equal(job->history->started, begun); /* the job started once */
}

static void an_untouched_attempt_costs_nothing(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *first = rig_job(r), *second = rig_job(r);

        for (uint32_t i = 1; i <= 5; i++) { /* more often than there are attempts */
                rig_run(r, first);
                rig_end_untouched(r, first);
                assert_int_equal(first->state, JOB_QUEUED);
                assert_int_equal(job_last_attempt(first)->number, i);
                assert_int_equal(job_last_attempt(first)->outcome, OUTCOME_WORKER_DIED);
                assert_int_equal(first->budget - first->attempt, 3);
                assert_int_equal(first->history->deaths, 0);
                assert_int_equal(first->history->failures, 0);
                assert_null(first->slot);
        }
        rig_run(r, first);
        assert_int_equal(job_last_attempt(first)->number, 6); /* numbers only grow */
        assert_ptr_equal(core_peek(&r->core, r->pool, r->now), second);
        rig_end(r, first, OUTCOME_ERROR);
        assert_int_equal(first->ready_at, r->now + USEC_PER_SEC); /* its first failure */
        assert_int_equal(first->history->untouched, 0); /* five in a row, not in all */
}

static void what_nobody_lives_to_look_at_is_to_blame_at_last(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);
        int runs = 0;

        while (!job_state_ended(job->state)) {
                assert_true(++runs <= 5 + 3);
                rig_run(r, job);
                rig_end_untouched(r, job);
                rig_wait(r, 60 * USEC_PER_SEC);
        }
        assert_int_equal(runs, 5 + 3);
        assert_int_equal(job->state, JOB_FAILED);
}

static void what_is_taken_back_is_not_to_blame(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        for (int i = 0; i < 20; i++) {
                rig_run(r, job);
                rig_recall(r, job);
                assert_int_equal(job->state, JOB_QUEUED);
                assert_int_equal(job->budget - job->attempt, 3);
                assert_int_equal(job->history->untouched, 0);
        }
}

static void an_untouched_job_that_was_cancelled_ends(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        rig_run(r, job);
        rig_cancel(r, job);
        rig_end_untouched(r, job);
        assert_int_equal(job->state, JOB_CANCELLED);
}

static void progress_stays_between_nothing_and_all(void **state UNUSED)
{
        static const double cases[][2] = {
                { -1, 0 }, { 0, 0 }, { 0.25, 0.25 }, { 1, 1 }, { 7, 1 }
        };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        assert_true(job->history->progress == -1);
        rig_run(r, job);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                core_progress(&r->core, job, cases[i][0]);
                assert_true(job->history->progress == cases[i][1]);
                assert_int_equal(rig_events(r, job) & EVENT_CHANGED, EVENT_CHANGED);
        }
        rig_end(r, job, OUTCOME_WORKER_DIED);
        rig_run(r, job);
        assert_true(job->history->progress == -1); /* of a new attempt nothing is known */
}

/* --- settlement --- */

static void nothing_has_ended_before_its_settlement_is_complete(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED, .result = SLICE("{\"a\":1}"),
                           .certificate = certificate_new(NULL) };
        Job *job = rig_job(r);

        rig_run(r, job);
        rig_rest(r);
        assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
        rig_sound(r);
        assert_null(end.certificate); /* it belongs to the attempt now */
        assert_null(job->slot);
        assert_int_equal(job->state, JOB_RUNNING);
        assert_int_equal(job->next_state, JOB_SUCCEEDED);
        assert_int_equal(rig_events(r, job), 0);
        assert_int_equal(r->core.count[JOB_RUNNING], 1);
        assert_ptr_equal(rig_answer(r, true), job);
        assert_int_equal(rig_events(r, job), EVENT_ENDED);
        assert_int_equal(job->state, JOB_SUCCEEDED);
        assert_true(slice_is((Slice){ job->history->result, job->history->result_len },
                             "{\"a\":1}"));
        assert_int_equal(r->core.open, 0);
        assert_int_equal(r->core.bytes, 0);
        assert_int_equal(r->core.kept, 1);
        assert_int_equal(r->core.kept_bytes, job->bytes + 7);
        assert_int_equal(r->pool->done, 1);
}

static void a_refused_settlement_is_asked_again(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        rig_run(r, job);
        rig_rest(r);
        rig_settle(r, job, OUTCOME_SUCCEEDED);
        for (int i = 0; i < 5; i++) {
                assert_ptr_equal(rig_answer(r, false), job);
                assert_int_equal(job->request, REQUEST_SETTLE);
                assert_int_equal(job->state, JOB_RUNNING);
                assert_int_equal(rig_events(r, job), 0);
        }
        assert_ptr_equal(rig_answer(r, true), job);
        assert_int_equal(job->state, JOB_SUCCEEDED);
        assert_int_equal(rig_events(r, job), EVENT_ENDED);
}

static void each_outcome_leads_to_its_state(void **state UNUSED)
{
        static const struct {
                const char *name;
                Outcome outcome;
                bool may_retry, last;
                JobState state;
        } cases[] = {
                { "success", OUTCOME_SUCCEEDED, true, false, JOB_SUCCEEDED },
                { "error", OUTCOME_ERROR, true, false, JOB_SCHEDULED },
                { "pointless", OUTCOME_ERROR, false, false, JOB_FAILED },
                { "last error", OUTCOME_ERROR, true, true, JOB_FAILED },
                { "command", OUTCOME_COMMAND_FAILED, true, false, JOB_SCHEDULED },
                { "timeout", OUTCOME_TIMEOUT, true, false, JOB_SCHEDULED },
                { "cancelled", OUTCOME_CANCELLED, true, false, JOB_CANCELLED },
                { "death", OUTCOME_WORKER_DIED, true, false, JOB_QUEUED },
                { "last death", OUTCOME_WORKER_DIED, true, true, JOB_FAILED },
                { "shutdown", OUTCOME_SHUTDOWN, true, false, JOB_QUEUED },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                AttemptEnd end = { .outcome = cases[i].outcome, .may_retry = cases[i].may_retry };
                Job *job;

                spec.has = JOB_HAS_MAX_ATTEMPTS;
                spec.max_attempts = cases[i].last ? 1 : 2;
                job = rig_admit(r, &spec);
                rig_run(r, job);
                assert_int_equal(core_settle(&r->core, job, job->attempt, &end, r->now, 0), 0);
                rig_sound(r);
                rig_rest(r);
                CHECK(job->state == cases[i].state, cases[i].name);
                CHECK((job->ended == r->now) == job_state_ended(cases[i].state), cases[i].name);
        }
}

static void attempts_never_exceed_the_budget(void **state UNUSED)
{
        static const Outcome outcomes[] = { OUTCOME_ERROR, OUTCOME_TIMEOUT, OUTCOME_WORKER_DIED,
                                            OUTCOME_COMMAND_FAILED };

        for (size_t i = 0; i < ELEMENTS(outcomes); i++)
                for (uint32_t max = 1; max < 6; max++) {
                        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                        JobSpec spec = rig_spec(r);
                        uint32_t runs = 0;
                        Job *job;

                        spec.has = JOB_HAS_MAX_ATTEMPTS;
                        spec.max_attempts = max;
                        job = rig_admit(r, &spec);
                        while (!job_state_ended(job->state)) {
                                rig_run(r, job);
                                runs++;
                                rig_end(r, job, outcomes[i]);
                                rig_wait(r, 60 * USEC_PER_SEC);
                        }
                        assert_int_equal(runs, max);
                        assert_int_equal(job->state, JOB_FAILED);
                }
}

static void a_job_that_kills_its_workers_is_quarantined(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job;

        r->pool->policy.poison_deaths = 2;
        spec.has = JOB_HAS_MAX_ATTEMPTS;
        spec.max_attempts = 20;
        job = rig_admit(r, &spec);
        rig_run(r, job);
        rig_end(r, job, OUTCOME_WORKER_DIED);
        rig_run(r, job);
        rig_end(r, job, OUTCOME_ERROR);
        rig_wait(r, 60 * USEC_PER_SEC);
        assert_int_equal(job->state, JOB_QUEUED);
        rig_run(r, job);
        rig_end(r, job, OUTCOME_WORKER_DIED);
        assert_int_equal(job->state, JOB_QUARANTINED);
}

static void a_retry_waits_for_its_backoff(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        rig_run(r, job);
        rig_end(r, job, OUTCOME_ERROR);
        assert_int_equal(job->state, JOB_SCHEDULED);
        assert_int_equal(core_next_due(&r->core), r->now + USEC_PER_SEC);
        rig_wait(r, USEC_PER_SEC - 1);
        assert_int_equal(job->state, JOB_SCHEDULED);
        rig_wait(r, 1);
        assert_int_equal(job->state, JOB_QUEUED);
        assert_int_equal(core_next_due(&r->core), USEC_INFINITY);
}

static void the_result_is_that_of_the_last_attempt(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        AttemptEnd first = { .outcome = OUTCOME_ERROR,
                             .may_retry = true,
                             .result = SLICE("{\"try\":1}") };
        AttemptEnd last = { .outcome = OUTCOME_ERROR, .result = SLICE("{}") };
        Job *job = rig_job(r);

        rig_run(r, job);
        assert_int_equal(core_settle(&r->core, job, job->attempt, &first, r->now, 0), 0);
        rig_rest(r);
        rig_wait(r, USEC_PER_SEC);
        rig_run(r, job);
        assert_int_equal(core_settle(&r->core, job, job->attempt, &last, r->now, 0), 0);
        rig_rest(r);
        assert_int_equal(job->state, JOB_FAILED);
        assert_true(slice_is((Slice){ job->history->result, job->history->result_len }, "{}"));
        rig_sound(r);
}

static void events_of_one_job_come_as_one(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job = rig_submit(r, &spec), *other = rig_job(r);
        unsigned events = 0;

        (void)other;
        rig_run(r, job);
        core_progress(&r->core, job, 0.5);
        rig_settle(r, job, OUTCOME_SUCCEEDED);
        rig_store(r);
        assert_ptr_equal(core_next_event(&r->core, &events), job);
        assert_int_equal(events, EVENT_CHANGED | EVENT_ENDED);
        assert_null(core_next_event(&r->core, &events));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_is_shown_before_its_admission_is_complete),
                cmocka_unit_test(a_refused_commit_undoes_the_admission),
                cmocka_unit_test(a_job_after_a_refused_one_ends_cancelled),
                cmocka_unit_test(what_was_asked_for_is_copied),
                cmocka_unit_test(what_was_not_given_comes_from_the_pool),
                cmocka_unit_test(limits_refuse_what_is_one_too_many),
                cmocka_unit_test(a_long_life_does_not_fill_the_queue),
                cmocka_unit_test(the_same_id_of_the_same_user_is_the_same_job),
                cmocka_unit_test(users_see_their_own_jobs_and_operators_see_all),
                cmocka_unit_test(an_open_job_holds_its_key_against_its_user_and_handler),
                cmocka_unit_test(a_key_is_free_again_when_its_job_has_ended),
                cmocka_unit_test(duplicates_are_found_within_one_call),
                cmocka_unit_test(a_call_admits_all_of_its_jobs_or_none),
                cmocka_unit_test(higher_priority_runs_first_and_equals_in_their_order),
                cmocka_unit_test(many_equals_come_out_as_they_went_in),
                cmocka_unit_test(delayed_equals_come_out_as_they_went_in),
                cmocka_unit_test(a_retry_keeps_its_place),
                cmocka_unit_test(age_counts_from_when_a_job_was_first_ready),
                cmocka_unit_test(a_paused_pool_gives_no_job),
                cmocka_unit_test(nothing_is_run_before_its_claim_is_complete),
                cmocka_unit_test(a_refused_claim_puts_it_back_in_its_place),
                cmocka_unit_test(what_has_not_begun_can_go_back_to_its_place),
                cmocka_unit_test(an_attempt_says_where_and_when_it_ran),
                cmocka_unit_test(an_untouched_attempt_costs_nothing),
                cmocka_unit_test(what_nobody_lives_to_look_at_is_to_blame_at_last),
                cmocka_unit_test(what_is_taken_back_is_not_to_blame),
                cmocka_unit_test(an_untouched_job_that_was_cancelled_ends),
                cmocka_unit_test(progress_stays_between_nothing_and_all),
                cmocka_unit_test(nothing_has_ended_before_its_settlement_is_complete),
                cmocka_unit_test(a_refused_settlement_is_asked_again),
                cmocka_unit_test(each_outcome_leads_to_its_state),
                cmocka_unit_test(attempts_never_exceed_the_budget),
                cmocka_unit_test(a_job_that_kills_its_workers_is_quarantined),
                cmocka_unit_test(a_retry_waits_for_its_backoff),
                cmocka_unit_test(the_result_is_that_of_the_last_attempt),
                cmocka_unit_test(events_of_one_job_come_as_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
