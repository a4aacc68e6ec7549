/* SPDX-License-Identifier: MIT */

/* Claims: alone and along with an admission, given back, refused, while the store is down; and who
 * may settle what was claimed. */

#include "core_rig.h"

static Job *claim_in(Rig *r, unsigned room)
{
        Job *job = core_claim(&r->core, r->pool, room, r->now);

        rig_sound(r);
        return job;
}

static Job *claim(Rig *r)
{
        return claim_in(r, RIG_ROOM);
}

static Job *submit_plain(Rig *r)
{
        JobSpec spec = rig_spec(r);

        return rig_submit(r, &spec);
}

static Job *submit_important(Rig *r, int priority)
{
        JobSpec spec = rig_spec(r);

        spec.has = JOB_HAS_PRIORITY;
        spec.priority = priority;
        return rig_submit(r, &spec);
}

static Job *submit_memory(Rig *r)
{
        JobSpec spec = rig_spec(r);

        spec.memory = true;
        return rig_submit(r, &spec);
}

/* --- along with the admission --- */

static void a_claim_can_go_along_with_the_admission(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = submit_plain(r);

        assert_ptr_equal(core_peek(&r->core, r->pool, r->now), job);
        assert_ptr_equal(claim(r), job);
        assert_true(job->claim);
        assert_int_equal(job->request, REQUEST_ADMIT); /* one request for both */
        assert_int_equal(r->pool->claiming, 1);
        assert_null(claim(r));
        assert_int_equal(rig_events(r, job), 0); /* neither shown nor run before the answer */
        assert_ptr_equal(rig_answer(r, true), job);
        assert_false(job->claim);
        assert_true(job->claim_kept);
        assert_int_equal(r->pool->claiming, 0);
        assert_int_equal(rig_events(r, job), EVENT_ADMITTED | EVENT_CLAIMED);
        assert_null(rig_ask(r));
        rig_begin(r, job);
        assert_int_equal(job->attempt, 1);
        rig_end(r, job, OUTCOME_SUCCEEDED);
}

static void only_what_is_ready_at_once_arrives_to_be_claimed(void **state UNUSED)
{
        static const char *const cases[] = { "delayed", "run_at", "after another", "doomed" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *first = rig_job(r), *job;

                assert_ptr_equal(rig_claim(r), first);
                if (i == 3) {
                        rig_begin(r, first);
                        rig_cancel(r, first);
                        rig_end(r, first, OUTCOME_ERROR);
                }
                spec.has = i == 0 ? JOB_HAS_DELAY : i == 1 ? JOB_HAS_RUN_AT : 0;
                spec.delay = i == 0 ? 1 : 0;
                spec.run_at = r->now + 1;
                spec.blockers = &first->id;
                spec.n_blockers = i > 1;
                job = rig_submit(r, &spec);
                CHECK(!claim(r), cases[i]);
                CHECK(job->order == 0, cases[i]);
                CHECK(job->place == PLACE_NONE, cases[i]);
        }
}

static void an_arriving_job_overtakes_no_older_one_of_its_rank(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *old = rig_job(r), *second = submit_plain(r), *third = submit_plain(r);

        assert_ptr_equal(claim(r), old);
        assert_ptr_equal(claim(r), second);
        assert_ptr_equal(claim(r), third);
        rig_rest(r);
}

static void an_arriving_job_of_higher_priority_goes_first(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *old = rig_job(r), *low = submit_important(r, -1), *high = submit_important(r, 1);

        assert_ptr_equal(claim(r), high);
        assert_ptr_equal(claim(r), old);
        assert_ptr_equal(claim(r), low);
        rig_rest(r);
}

static void room_counts_what_is_claimed_already(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *jobs[4];

        for (size_t i = 0; i < ELEMENTS(jobs); i++)
                jobs[i] = i < 2 ? rig_job(r) : submit_plain(r);
        assert_null(claim_in(r, 0));
        for (unsigned room = 1; room <= ELEMENTS(jobs); room++) {
                assert_ptr_equal(claim_in(r, room), jobs[room - 1]);
                assert_null(claim_in(r, room));
        }
        rig_rest(r);
        assert_int_equal(r->pool->claiming, 0); /* they are on slots now: no room is theirs */
}

/* What went to the store unclaimed will be ready before a job that came after it. */
static void an_arriving_job_leaves_room_for_those_already_on_their_way(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *first = submit_plain(r), *second;

        assert_ptr_equal(rig_ask(r), first); /* it left without a claim */
        assert_int_equal(r->pool->admitting, 1);
        assert_null(claim(r));
        second = submit_plain(r);
        assert_null(claim_in(r, 1)); /* that is the first one's */
        assert_ptr_equal(claim_in(r, 2), second);
        rig_reply(r, first, true);
        assert_int_equal(r->pool->admitting, 0);
        assert_ptr_equal(claim_in(r, 2), first);
        rig_rest(r);
}

static void what_returns_has_its_room_before_younger_ones(void **state UNUSED)
{
        static const char *const cases[] = { "retried at once", "core_retry" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *first = i ? rig_ended_job(r, &spec, JOB_FAILED) : rig_job(r), *second;

                if (i == 0) {
                        rig_run(r, first);
                        rig_settle(r, first, OUTCOME_WORKER_DIED);
                } else {
                        assert_true(core_retry(&r->core, first, r->now));
                }
                rig_sound(r);
                CHECK(r->pool->returning == 1, cases[i]);
                second = submit_plain(r);
                CHECK(!claim_in(r, 1), cases[i]);
                CHECK(claim_in(r, 2) == second, cases[i]);
                rig_rest(r);
                CHECK(claim_in(r, 1) == first, cases[i]);
                rig_rest(r);
        }
}

static void a_refused_admission_gives_back_claim_and_units(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.units = &gpu;
        spec.n_units = 1;
        job = rig_submit(r, &spec);
        assert_ptr_equal(claim(r), job);
        assert_int_equal(gpu->held, 1);
        assert_ptr_equal(rig_answer(r, false), job);
        assert_int_equal(gpu->held, 0);
        assert_int_equal(r->pool->claiming, 0);
        assert_false(job->claim || job->claim_kept);
        assert_int_equal(rig_events(r, job), EVENT_REFUSED);
        core_forget(&r->core, job);
        rig_sound(r);
        assert_int_equal(r->core.ids.count, 0);
        spec.id = uuid_of(++r->ids);
        job = rig_submit(r, &spec);
        assert_ptr_equal(claim(r), job);
        rig_rest(r);
}

static void a_refused_admission_without_claim_is_no_longer_on_its_way(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = submit_plain(r);

        assert_int_equal(r->pool->admitting, 1);
        assert_ptr_equal(rig_answer(r, false), job);
        assert_int_equal(r->pool->admitting, 0);
        assert_int_equal(rig_events(r, job), EVENT_REFUSED);
        core_forget(&r->core, job);
        rig_sound(r);
}

static void who_is_cancelled_while_it_arrives_ends_and_never_runs(void **state UNUSED)
{
        for (int claimed = 0; claimed < 2; claimed++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
                JobSpec spec = rig_spec(r);
                Job *job;
                unsigned events;

                spec.units = &gpu;
                spec.n_units = 1;
                job = rig_submit(r, &spec);
                if (claimed)
                        assert_ptr_equal(claim(r), job);
                rig_cancel(r, job);
                assert_ptr_equal(rig_answer(r, true), job);
                assert_int_equal(gpu->held, 0);
                assert_int_equal(job->request, REQUEST_SETTLE);
                rig_store(r);
                events = rig_events(r, job);
                assert_int_equal(events, EVENT_ADMITTED | EVENT_ENDED);
                assert_int_equal(job->state, JOB_CANCELLED);
                assert_int_equal(job->attempt, 0);
                assert_false(job->claim_kept);
        }
}

static void a_paused_pool_claims_no_arriving_job(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = submit_plain(r);

        r->pool->paused = true;
        assert_null(claim(r));
        rig_rest(r);
        assert_int_equal(job->place, PLACE_READY);
}

/* --- given back --- */

static void what_is_given_back_is_ready_at_once(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *first = rig_job(r), *second = rig_job(r);

        assert_ptr_equal(rig_claim(r), first);
        assert_true(first->claim_kept);
        core_unclaim(&r->core, first, r->now);
        rig_sound(r);
        assert_null(first->slot);
        assert_int_equal(first->request, REQUEST_NONE);
        assert_ptr_equal(core_peek(&r->core, r->pool, r->now), first);
        rig_run(r, first);
        assert_int_equal(first->attempt, 1); /* nothing was begun before */
        rig_run(r, second);
}

/* The store has it as claimed: that need not be said twice. */
static void a_new_claim_of_what_was_given_back_needs_no_store(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        assert_ptr_equal(rig_claim(r), job);
        core_unclaim(&r->core, job, r->now);
        assert_ptr_equal(claim(r), job);
        assert_null(core_next_request(&r->core));
        assert_null(core_next_mark(&r->core)); /* nothing was given back, after all */
        assert_ptr_equal(core_next_instant(&r->core), job);
        rig_reply(r, job, true);
        assert_true(job->claim_kept);
        assert_true(rig_events(r, job) & EVENT_CLAIMED);
}

static void the_store_is_told_of_what_was_given_back(void **state UNUSED)
{
        static const char *const cases[] = { "ready", "held by the breaker", "at a semaphore" };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
                JobSpec spec = rig_spec(r);
                Job *job;

                spec.units = &gpu;
                spec.n_units = 1;
                job = rig_admit(r, &spec);
                assert_ptr_equal(rig_claim(r), job);
                core_unclaim(&r->core, job, r->now);
                if (i == 1)
                        r->handler->breaker = (HandlerBreaker){ .broken = 1,
                                                                .until = r->now + USEC_PER_SEC };
                gpu->size = i == 2 ? 0 : 1;
                CHECK((core_peek(&r->core, r->pool, r->now) == job) == (i == 0), cases[i]);
                rig_sound(r);
                CHECK(core_next_mark(&r->core) == job, cases[i]);
                rig_sound(r);
                CHECK(!job->claim_kept, cases[i]); /* the store is to be asked again */
                core_marked(&r->core, job, true);
                rig_rest(r);
                gpu->size = 1;
                rig_wait(r, USEC_PER_SEC);
                CHECK(claim(r) == job, cases[i]);
                CHECK(core_next_request(&r->core) == job, cases[i]);
                rig_reply(r, job, true);
        }
}

static void who_was_cancelled_on_its_slot_ends_when_it_is_given_back(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        assert_ptr_equal(rig_claim(r), job);
        rig_cancel(r, job);
        core_unclaim(&r->core, job, r->now);
        rig_sound(r);
        assert_int_equal(job->request, REQUEST_SETTLE);
        rig_rest(r);
        assert_int_equal(job->state, JOB_CANCELLED);
        assert_int_equal(job->attempt, 0);
}

static void who_is_cancelled_after_it_was_given_back_ends(void **state UNUSED)
{
        for (int marked = 0; marked < 2; marked++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *job = rig_job(r), *mark = NULL;

                assert_ptr_equal(rig_claim(r), job);
                core_unclaim(&r->core, job, r->now);
                if (marked)
                        mark = core_next_mark(&r->core); /* on its way */
                rig_cancel(r, job);
                assert_null(core_next_mark(&r->core));
                if (mark)
                        core_marked(&r->core, mark, true);
                rig_rest(r);
                assert_int_equal(job->state, JOB_CANCELLED);
                assert_int_equal(job->attempt, 0);
        }
}

/* --- what the store is told beside --- */

static void that_the_end_of_a_running_job_was_asked_for_is_told(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        rig_run(r, job);
        rig_rest(r);
        assert_null(core_next_mark(&r->core));
        rig_cancel(r, job);
        rig_cancel(r, job);
        assert_ptr_equal(core_next_mark(&r->core), job);
        assert_null(core_next_mark(&r->core));
        core_marked(&r->core, job, false); /* then once more */
        assert_int_equal(rig_events(r, job), 0);
        assert_ptr_equal(core_next_mark(&r->core), job);
        core_marked(&r->core, job, true);
        assert_int_equal(rig_events(r, job), EVENT_MARKED);
        assert_null(core_next_mark(&r->core));
        rig_end(r, job, OUTCOME_ERROR);
        assert_int_equal(job->state, JOB_CANCELLED);
}

static void a_mark_is_not_told_after_the_end(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        rig_run(r, job);
        rig_cancel(r, job);
        rig_settle(r, job, OUTCOME_ERROR);
        assert_null(core_next_mark(&r->core));
        rig_rest(r);
        assert_int_equal(job->state, JOB_CANCELLED);
}

static void memory_jobs_have_nothing_to_tell(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = submit_memory(r);

        rig_rest(r);
        assert_ptr_equal(rig_claim(r), job);
        core_unclaim(&r->core, job, r->now);
        rig_sound(r);
        assert_null(core_next_mark(&r->core));
        rig_run(r, job);
        rig_cancel(r, job);
        assert_null(core_next_mark(&r->core));
}

static void who_was_cancelled_on_its_slot_and_begins_is_told_of_then(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        assert_ptr_equal(rig_claim(r), job);
        rig_cancel(r, job);
        assert_null(core_next_mark(&r->core)); /* it may yet begin: the claim has to stay */
        rig_begin(r, job);
        assert_ptr_equal(core_next_mark(&r->core), job);
        core_marked(&r->core, job, true);
        rig_sound(r);
}

static void a_claim_that_nobody_heard_of_is_withdrawn_by_a_cancel(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreSemaphore *gpu = rig_semaphore(r, "gpu", 1);
        JobSpec spec = rig_spec(r);
        Job *job;

        spec.units = &gpu;
        spec.n_units = 1;
        job = rig_admit(r, &spec);
        assert_ptr_equal(claim(r), job);
        rig_store(r);
        assert_int_equal(gpu->held, 1);
        rig_cancel(r, job);
        assert_int_equal(gpu->held, 0);
        rig_store(r);
        assert_int_equal(rig_events(r, job), EVENT_ENDED);
        assert_int_equal(job->state, JOB_CANCELLED);
}

/* --- the store is down --- */

static void while_the_store_is_down_nothing_durable_is_claimed(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *ready = rig_job(r), *arriving;

        core_set_store_down(&r->core, true);
        assert_null(core_peek(&r->core, r->pool, r->now));
        assert_null(claim(r));
        arriving = submit_plain(r);
        assert_null(claim(r));
        rig_store(r);
        core_set_store_down(&r->core, false);
        assert_ptr_equal(claim(r), ready);
        assert_ptr_equal(claim(r), arriving);
        rig_rest(r);
}

static void while_the_store_is_down_memory_jobs_are_claimed(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *ready = submit_memory(r), *arriving;

        rig_rest(r);
        core_set_store_down(&r->core, true);
        arriving = submit_memory(r);
        assert_ptr_equal(claim(r), ready);
        assert_ptr_equal(claim(r), arriving);
        rig_rest(r);
        rig_begin(r, ready);
        rig_end(r, ready, OUTCOME_SUCCEEDED);
        assert_int_equal(ready->state, JOB_SUCCEEDED);
}

static void requests_of_memory_jobs_are_not_for_the_store(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = submit_memory(r), *kept = submit_plain(r);

        assert_null(core_next_removal(&r->core));
        assert_ptr_equal(core_next_request(&r->core), kept);
        assert_null(core_next_request(&r->core));
        assert_ptr_equal(core_next_instant(&r->core), job);
        assert_null(core_next_instant(&r->core));
        rig_reply(r, job, true);
        rig_reply(r, kept, true);
        rig_listen(r);
        assert_ptr_equal(claim(r), job);
        assert_ptr_equal(core_next_instant(&r->core), job);
        rig_reply(r, job, true);
        rig_listen(r);
        rig_begin(r, job);
        rig_settle(r, job, OUTCOME_SUCCEEDED);
        assert_null(core_next_request(&r->core));
        assert_ptr_equal(core_next_instant(&r->core), job);
        rig_reply(r, job, true);
}

/* --- who may settle --- */

static int settle(Rig *r, Job *job, uint32_t number)
{
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED, .certificate = certificate_new("words") };
        int e = core_settle(&r->core, job, number, &end, r->now, 0);

        assert_null(end.certificate); /* stolen or freed */
        rig_sound(r);
        return e;
}

static void only_the_attempt_that_runs_can_be_settled(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r);

        assert_int_equal(settle(r, job, 0), CORE_E_STALE); /* it does not run */
        assert_int_equal(settle(r, job, 1), CORE_E_STALE);
        assert_ptr_equal(rig_claim(r), job);
        assert_int_equal(settle(r, job, 1), CORE_E_STALE); /* it has not begun */
        rig_begin(r, job);
        rig_end(r, job, OUTCOME_WORKER_DIED);
        rig_run(r, job);
        assert_int_equal(settle(r, job, 1), CORE_E_STALE); /* that one is over */
        assert_int_equal(settle(r, job, 3), CORE_E_STALE); /* that one is not yet */
        assert_int_equal(job->state, JOB_RUNNING);
        assert_int_equal(job->request, REQUEST_NONE);
        assert_int_equal(r->core.stale, 5);
        assert_int_equal(settle(r, job, 2), 0);
        assert_int_equal(settle(r, job, 2), CORE_E_STALE); /* not twice */
        rig_store(r);
        assert_int_equal(job->state, JOB_SUCCEEDED);
        assert_int_equal(settle(r, job, 2), CORE_E_STALE);
        assert_int_equal(r->core.stale, 7);
        assert_int_equal(job->history->n_attempts, 2);
        assert_int_equal(job->history->attempts[0].outcome, OUTCOME_WORKER_DIED);
        assert_int_equal(r->pool->done, 1);
}

/* --- what is said of changes --- */

static void who_watches_hears_of_every_state(void **state UNUSED)
{
        static const JobState states[] = { JOB_QUEUED, JOB_RUNNING, JOB_SCHEDULED,
                                           JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        const CoreJournal *j = &r->core.journal;
        Job *job;

        (void)rig_job(r);
        assert_int_equal(j->n, 0); /* nobody watches */
        assert_non_null(rig_claim(r));
        r->core.journal.on = true;
        job = rig_job(r);
        rig_run(r, job);
        rig_end(r, job, OUTCOME_ERROR);
        rig_wait(r, USEC_PER_SEC);
        rig_run(r, job);
        rig_end(r, job, OUTCOME_SUCCEEDED);
        assert_int_equal(j->n, ELEMENTS(states));
        for (size_t i = 0; i < j->n; i++) {
                assert_true(uuid_equal(&j->changes[i].id, &job->id));
                assert_int_equal(j->changes[i].uid, 1000);
                assert_int_equal(j->changes[i].state, states[i]);
                assert_ptr_equal(j->changes[i].pool, r->pool);
        }
        assert_false(j->lost);
        for (int i = 0; i < 200; i++)
                (void)rig_job(r);
        assert_int_equal(j->n, ELEMENTS(states) + 200);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_claim_can_go_along_with_the_admission),
                cmocka_unit_test(only_what_is_ready_at_once_arrives_to_be_claimed),
                cmocka_unit_test(an_arriving_job_overtakes_no_older_one_of_its_rank),
                cmocka_unit_test(an_arriving_job_of_higher_priority_goes_first),
                cmocka_unit_test(room_counts_what_is_claimed_already),
                cmocka_unit_test(an_arriving_job_leaves_room_for_those_already_on_their_way),
                cmocka_unit_test(what_returns_has_its_room_before_younger_ones),
                cmocka_unit_test(a_refused_admission_gives_back_claim_and_units),
                cmocka_unit_test(a_refused_admission_without_claim_is_no_longer_on_its_way),
                cmocka_unit_test(who_is_cancelled_while_it_arrives_ends_and_never_runs),
                cmocka_unit_test(a_paused_pool_claims_no_arriving_job),
                cmocka_unit_test(what_is_given_back_is_ready_at_once),
                cmocka_unit_test(a_new_claim_of_what_was_given_back_needs_no_store),
                cmocka_unit_test(the_store_is_told_of_what_was_given_back),
                cmocka_unit_test(who_was_cancelled_on_its_slot_ends_when_it_is_given_back),
                cmocka_unit_test(who_is_cancelled_after_it_was_given_back_ends),
                cmocka_unit_test(that_the_end_of_a_running_job_was_asked_for_is_told),
                cmocka_unit_test(a_mark_is_not_told_after_the_end),
                cmocka_unit_test(memory_jobs_have_nothing_to_tell),
                cmocka_unit_test(who_was_cancelled_on_its_slot_and_begins_is_told_of_then),
                cmocka_unit_test(a_claim_that_nobody_heard_of_is_withdrawn_by_a_cancel),
                cmocka_unit_test(while_the_store_is_down_nothing_durable_is_claimed),
                cmocka_unit_test(while_the_store_is_down_memory_jobs_are_claimed),
                cmocka_unit_test(requests_of_memory_jobs_are_not_for_the_store),
                cmocka_unit_test(only_the_attempt_that_runs_can_be_settled),
                cmocka_unit_test(who_watches_hears_of_every_state),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
