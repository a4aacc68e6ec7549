/* SPDX-License-Identifier: MIT */

/* Jobs that wait for others (`after`), and for their time. */

#include "core_rig.h"

static Job *admit_after(Rig *r, const Job *const *blockers, unsigned n)
{
        JobSpec spec = rig_spec(r);
        Uuid ids[8];

        assert_true(n <= ELEMENTS(ids));
        for (unsigned i = 0; i < n; i++)
                ids[i] = blockers[i]->id;
        spec.blockers = ids;
        spec.n_blockers = n;
        return rig_admit(r, &spec);
}

static Job *follower(Rig *r, const Job *blocker)
{
        return admit_after(r, &blocker, 1);
}

static void a_job_waits_until_all_before_it_have_succeeded(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *a = rig_job(r), *b = rig_job(r);
        Job *last = admit_after(r, (const Job *[]){ a, b, a }, 3); /* twice the same is once */

        assert_int_equal(last->state, JOB_BLOCKED);
        rig_run(r, a);
        rig_end(r, a, OUTCOME_SUCCEEDED);
        assert_int_equal(last->state, JOB_BLOCKED);
        rig_run(r, b);
        rig_settle(r, b, OUTCOME_SUCCEEDED);
        assert_int_equal(last->state, JOB_BLOCKED); /* not before the store has it */
        rig_store(r);
        assert_int_equal(last->state, JOB_QUEUED);
        assert_int_equal(rig_events(r, last), EVENT_CHANGED);
        rig_run(r, last);
}

static void a_retry_of_the_first_does_not_free_the_second(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *a = rig_job(r), *b = follower(r, a);

        rig_run(r, a);
        rig_end(r, a, OUTCOME_ERROR);
        assert_int_equal(b->state, JOB_BLOCKED);
        rig_wait(r, USEC_PER_SEC);
        rig_run(r, a);
        rig_end(r, a, OUTCOME_SUCCEEDED);
        assert_int_equal(b->state, JOB_QUEUED);
}

static void when_one_before_it_ends_badly_so_does_it(void **state UNUSED)
{
        static const struct {
                JobState state;
                const char *words;
        } cases[] = {
                { JOB_FAILED, "succeed first, failed" },
                { JOB_QUARANTINED, "succeed first, was quarantined" },
                { JOB_CANCELLED, "succeed first, was cancelled" },
                { JOB_EXPIRED, "succeed first, expired" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *a, *b, *other, *last;

                r->pool->policy.max_attempts = 1;
                r->pool->policy.poison_deaths = 1;
                spec.has = cases[i].state == JOB_EXPIRED ? JOB_HAS_TTL : 0;
                spec.ttl = USEC_PER_SEC;
                a = rig_admit(r, &spec);
                other = rig_job(r);
                b = admit_after(r, (const Job *[]){ other, a }, 2);
                last = follower(r, b);
                if (cases[i].state == JOB_EXPIRED) {
                        r->now += USEC_PER_SEC;
                        core_tick(&r->core, r->now);
                } else if (cases[i].state == JOB_CANCELLED) {
                        rig_cancel(r, a);
                } else {
                        rig_run(r, a);
                        rig_settle(r, a,
                                   cases[i].state == JOB_FAILED ? OUTCOME_ERROR
                                                                : OUTCOME_WORKER_DIED);
                }
                rig_store(r);
                assert_int_equal(a->state, cases[i].state);
                assert_int_equal(b->state, JOB_CANCELLED);
                assert_int_equal(last->state, JOB_CANCELLED);
                CHECK(strstr(b->history->reason, cases[i].words), cases[i].words);
                CHECK(strstr(b->history->reason, uuid_text(&a->id).text), cases[i].words);
                CHECK(strstr(last->history->reason, uuid_text(&b->id).text), cases[i].words);
                assert_int_equal(rig_events(r, b) & EVENT_ENDED, EVENT_ENDED);
                assert_int_equal(other->state, JOB_QUEUED); /* it is nobody's fault */
        }
}

static void what_has_ended_before_decides_at_once(void **state UNUSED)
{
        static const struct {
                JobState first, second;
        } cases[] = { { JOB_SUCCEEDED, JOB_QUEUED }, { JOB_FAILED, JOB_CANCELLED },
                      { JOB_CANCELLED, JOB_CANCELLED } };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *a = rig_ended_job(r, &spec, cases[i].first), *b = follower(r, a);

                assert_int_equal(b->state, cases[i].second);
                assert_int_equal(b->history->reason != NULL, cases[i].second == JOB_CANCELLED);
        }
}

static void one_that_does_not_exist_refuses_the_job(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *theirs, *mine = rig_job(r), *jobs[1];
        JobSpec spec = rig_spec(r), other = rig_spec(r);
        bool duplicate[1];
        Uuid missing;

        other.uid = 1001;
        theirs = rig_admit(r, &other);
        const struct {
                const char *name;
                Uuid id;
        } cases[] = { { "nobody's", uuid_of(123456789) },
                      { "another user's", theirs->id },
                      { "its own", spec.id } };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const Uuid blockers[] = { mine->id, cases[i].id };

                spec.blockers = blockers;
                spec.n_blockers = 2;
                CHECK(core_submit(&r->core, &spec, 1, r->now, jobs, duplicate, &missing) ==
                              CORE_E_NO_BLOCKER,
                      cases[i].name);
                CHECK(uuid_equal(&missing, &cases[i].id), cases[i].name);
                rig_sound(r);
                CHECK(!job_first_dependent(mine), cases[i].name);
                CHECK(!core_next_request(&r->core), cases[i].name);
        }
}

static void jobs_of_one_call_may_wait_for_those_before_them_only(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec specs[3] = { rig_spec(r), rig_spec(r), rig_spec(r) };
        const Uuid both[] = { specs[0].id, specs[1].id };
        bool duplicate[3];
        Uuid missing;
        Job *jobs[3];

        specs[0].blockers = &specs[2].id;
        specs[0].n_blockers = 1;
        assert_int_equal(core_submit(&r->core, specs, 3, r->now, jobs, duplicate, &missing),
                         CORE_E_NO_BLOCKER);
        assert_true(uuid_equal(&missing, &specs[2].id));
        rig_sound(r);
        specs[0].n_blockers = 0;
        specs[2].blockers = both;
        specs[2].n_blockers = 2;
        assert_int_equal(core_submit(&r->core, specs, 3, r->now, jobs, duplicate, &missing), 0);
        rig_sound(r);
        rig_rest(r);
        assert_int_equal(jobs[2]->state, JOB_BLOCKED);
        for (int i = 0; i < 3; i++) {
                rig_run(r, jobs[i]);
                rig_end(r, jobs[i], OUTCOME_SUCCEEDED);
        }
}

/* The store may answer a whole batch late; then the first has ended before the second is there. */
static void the_first_may_end_before_the_second_is_admitted(void **state UNUSED)
{
        static const struct {
                Outcome outcome;
                JobState state;
        } cases[] = { { OUTCOME_SUCCEEDED, JOB_QUEUED }, { OUTCOME_CANCELLED, JOB_CANCELLED } };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *a = rig_job(r), *b;
                JobSpec spec = rig_spec(r);

                spec.blockers = &a->id;
                spec.n_blockers = 1;
                b = rig_submit(r, &spec);
                assert_ptr_equal(core_next_request(&r->core), b); /* on its way */
                rig_run(r, a);
                rig_end(r, a, cases[i].outcome);
                assert_false(b->listed);
                core_complete(&r->core, b, true, r->now);
                rig_sound(r);
                rig_rest(r);
                assert_int_equal(b->state, cases[i].state);
        }
}

enum { CHAIN = 1000 };

/* Without the checker at each step: it looks at all of them each time. */
static void make_chain(Rig *r, Job *jobs[CHAIN])
{
        JobSpec *specs = calloc(CHAIN, sizeof(*specs));
        bool *duplicate = calloc(CHAIN, sizeof(*duplicate));
        Uuid missing;
        Job *job;

        assert_non_null(specs);
        assert_non_null(duplicate);
        for (unsigned i = 0; i < CHAIN; i++) {
                specs[i] = rig_spec(r);
                specs[i].blockers = i ? &specs[i - 1].id : NULL;
                specs[i].n_blockers = i ? 1 : 0;
        }
        assert_int_equal(core_submit(&r->core, specs, CHAIN, r->now, jobs, duplicate, &missing), 0);
        while ((job = core_next_request(&r->core)))
                core_complete(&r->core, job, true, r->now);
        rig_sound(r);
        rig_listen(r);
        free(specs);
        free(duplicate);
}

static void quick(Rig *r)
{
        unsigned events;
        Job *job;

        while ((job = core_next_request(&r->core)))
                core_complete(&r->core, job, true, r->now);
        while ((job = core_next_event(&r->core, &events)))
                if (events & EVENT_CLAIMED)
                        job->slot = r;
}

static void a_long_chain_runs_link_by_link(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[CHAIN];

        make_chain(r, jobs);
        assert_int_equal(r->core.count[JOB_BLOCKED], CHAIN - 1);
        for (int i = 0; i < CHAIN; i++) {
                AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED };
                AttemptBegin begin = { 0, 1, 2 };

                assert_ptr_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), jobs[i]);
                assert_null(core_claim(&r->core, r->pool, RIG_ROOM, r->now));
                quick(r);
                assert_int_equal(core_begin(&r->core, jobs[i], &begin, r->now), 0);
                assert_int_equal(core_settle(&r->core, jobs[i], 1, &end, r->now, 0), 0);
                quick(r);
        }
        rig_sound(r);
        assert_int_equal(r->core.count[JOB_SUCCEEDED], CHAIN);
}

static void a_long_chain_falls_with_its_first_link(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[CHAIN];

        make_chain(r, jobs);
        core_cancel(&r->core, jobs[0], "cancelled on request", r->now);
        quick(r);
        rig_sound(r);
        assert_int_equal(r->core.count[JOB_CANCELLED], CHAIN);
        assert_int_equal(r->core.open, 0);
}

/* --- time --- */

static void a_job_with_a_time_waits_for_it(void **state UNUSED)
{
        static const struct {
                const char *name;
                uint16_t has;
                int64_t at; /* from now */
                JobState state;
        } cases[] = {
                { "delay", JOB_HAS_DELAY, 1000, JOB_SCHEDULED },
                { "no delay", JOB_HAS_DELAY, 0, JOB_QUEUED },
                { "run_at", JOB_HAS_RUN_AT, 1000, JOB_SCHEDULED },
                { "run_at now", JOB_HAS_RUN_AT, 0, JOB_QUEUED },
                { "run_at in the past", JOB_HAS_RUN_AT, -1000, JOB_QUEUED },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *job;

                spec.has = cases[i].has;
                if (spec.has == JOB_HAS_DELAY)
                        spec.delay = (usec_t)cases[i].at;
                else
                        spec.run_at = r->now + (usec_t)cases[i].at;
                job = rig_admit(r, &spec);
                CHECK(job->state == cases[i].state, cases[i].name);
                if (job->state == JOB_QUEUED)
                        continue;
                CHECK(core_next_due(&r->core) == r->now + 1000, cases[i].name);
                rig_wait(r, 999);
                CHECK(job->state == JOB_SCHEDULED, cases[i].name);
                rig_wait(r, 1);
                CHECK(job->state == JOB_QUEUED, cases[i].name);
        }
}

static void a_time_that_never_comes_wakes_nobody(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.has = JOB_HAS_DELAY;
        spec.delay = USEC_INFINITY;
        job = rig_admit(r, &spec);
        assert_int_equal(core_next_due(&r->core), USEC_INFINITY);
        rig_wait(r, 1000000 * USEC_PER_SEC);
        assert_int_equal(job->state, JOB_SCHEDULED);
        rig_cancel(r, job);
        rig_rest(r);
        assert_int_equal(job->state, JOB_CANCELLED);
}

static void both_the_time_and_the_others_have_to_come(void **state UNUSED)
{
        for (int time_first = 0; time_first < 2; time_first++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *a = rig_job(r), *b;
                JobSpec spec = rig_spec(r);

                spec.has = JOB_HAS_DELAY;
                spec.delay = USEC_PER_SEC;
                spec.blockers = &a->id;
                spec.n_blockers = 1;
                b = rig_admit(r, &spec);
                assert_int_equal(b->state, JOB_BLOCKED);
                if (time_first)
                        rig_wait(r, USEC_PER_SEC);
                assert_int_equal(b->state, JOB_BLOCKED);
                rig_run(r, a);
                rig_end(r, a, OUTCOME_SUCCEEDED);
                assert_int_equal(b->state, time_first ? JOB_QUEUED : JOB_SCHEDULED);
                rig_wait(r, USEC_PER_SEC);
                assert_int_equal(b->state, JOB_QUEUED);
        }
}

static void who_waits_longer_than_its_ttl_expires(void **state UNUSED)
{
        static const char *const waits[] = { "queued", "scheduled", "blocked" };

        for (size_t i = 0; i < ELEMENTS(waits); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *first = rig_job(r), *job;

                spec.has = JOB_HAS_TTL;
                spec.ttl = USEC_PER_SEC;
                if (i == 1) {
                        spec.has |= JOB_HAS_DELAY;
                        spec.delay = 2 * USEC_PER_SEC;
                } else if (i == 2) {
                        spec.blockers = &first->id;
                        spec.n_blockers = 1;
                }
                job = rig_admit(r, &spec);
                CHECK(strcmp(job_state_name(job->state), waits[i]) == 0, waits[i]);
                rig_wait(r, USEC_PER_SEC - 1);
                CHECK(strcmp(job_state_name(job->state), waits[i]) == 0, waits[i]);
                r->now++;
                core_tick(&r->core, r->now);
                rig_sound(r);
                CHECK(strcmp(job_state_name(job->state), waits[i]) == 0,
                      waits[i]); /* the store first */
                rig_store(r);
                CHECK(job->state == JOB_EXPIRED, waits[i]);
                CHECK(job->history->reason, waits[i]);
                CHECK(rig_events(r, job) & EVENT_ENDED, waits[i]);
                rig_run(r, first); /* the other is not concerned */
        }
}

static void who_has_started_does_not_expire(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.has = JOB_HAS_TTL;
        spec.ttl = USEC_PER_SEC;
        job = rig_admit(r, &spec);
        rig_run(r, job);
        rig_wait(r, 2 * USEC_PER_SEC);
        assert_int_equal(job->state, JOB_RUNNING);
        rig_end(r, job, OUTCOME_ERROR);
        rig_wait(r, 2 * USEC_PER_SEC);
        assert_int_equal(job->state, JOB_QUEUED);
}

static void a_claimed_job_expires_only_if_it_comes_back(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.has = JOB_HAS_TTL;
        spec.ttl = USEC_PER_SEC;
        job = rig_admit(r, &spec);
        assert_ptr_equal(rig_claim(r), job);
        rig_wait(r, 2 * USEC_PER_SEC);
        assert_int_equal(job->state, JOB_QUEUED);
        rig_unclaim(r, job);
        rig_wait(r, 0);
        assert_int_equal(job->state, JOB_EXPIRED);
}

static void a_crowd_that_is_due_together_is_served_in_turns(void **state UNUSED)
{
        enum { CROWD = 2500 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        int turns = 0;

        for (int i = 0; i < CROWD; i++) {
                JobSpec spec = rig_spec(r);
                bool duplicate;
                Uuid missing;
                Job *job;

                spec.has = JOB_HAS_DELAY;
                spec.delay = USEC_PER_SEC;
                assert_int_equal(
                        core_submit(&r->core, &spec, 1, r->now, &job, &duplicate, &missing), 0);
        }
        quick(r);
        rig_sound(r);
        r->now += USEC_PER_SEC;
        while (core_next_due(&r->core) <= r->now) {
                core_tick(&r->core, r->now);
                turns++;
        }
        assert_in_range(turns, 2, 10);
        assert_int_equal(r->core.count[JOB_QUEUED], CROWD);
        rig_sound(r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_job_waits_until_all_before_it_have_succeeded),
                cmocka_unit_test(a_retry_of_the_first_does_not_free_the_second),
                cmocka_unit_test(when_one_before_it_ends_badly_so_does_it),
                cmocka_unit_test(what_has_ended_before_decides_at_once),
                cmocka_unit_test(one_that_does_not_exist_refuses_the_job),
                cmocka_unit_test(jobs_of_one_call_may_wait_for_those_before_them_only),
                cmocka_unit_test(the_first_may_end_before_the_second_is_admitted),
                cmocka_unit_test(a_long_chain_runs_link_by_link),
                cmocka_unit_test(a_long_chain_falls_with_its_first_link),
                cmocka_unit_test(a_job_with_a_time_waits_for_it),
                cmocka_unit_test(a_time_that_never_comes_wakes_nobody),
                cmocka_unit_test(both_the_time_and_the_others_have_to_come),
                cmocka_unit_test(who_waits_longer_than_its_ttl_expires),
                cmocka_unit_test(who_has_started_does_not_expire),
                cmocka_unit_test(a_claimed_job_expires_only_if_it_comes_back),
                cmocka_unit_test(a_crowd_that_is_due_together_is_served_in_turns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
