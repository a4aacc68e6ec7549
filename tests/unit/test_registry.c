/* SPDX-License-Identifier: MIT */

/* Pools, handlers, and which of them serves which. */

#include "core_rig.h"

static void pools_and_handlers_are_made_once(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);

        assert_ptr_equal(core_pool(&r->core, "images"), r->pool);
        assert_ptr_not_equal(core_pool(&r->core, "image"), r->pool);
        assert_ptr_equal(core_handler(&r->core, "resize"), r->handler);
        assert_ptr_equal(core_find_handler(&r->core, SLICE("resize")), r->handler);
        assert_null(core_find_handler(&r->core, SLICE("resiz")));
        assert_null(core_find_handler(&r->core, SLICE("")));
        assert_null(core_handler(&r->core, "crop")->pool); /* nobody serves it yet */
        assert_non_null(core_find_handler(&r->core, SLICE("crop")));
}

/* A job at each place of its life, and another pool to go to. */
typedef struct Scene {
        CorePool *to;
        Job *admitting, *scheduled, *blocked, *queued, *claiming, *placed, *running, *settling,
                *done;
} Scene;

static Scene set_scene(Rig *r)
{
        Scene s = { .to = core_pool(&r->core, "pictures") };
        JobSpec spec = rig_spec(r);

        s.to->policy = RIG_POLICY;
        s.done = rig_ended_job(r, &spec, JOB_SUCCEEDED);
        s.settling = rig_job(r);
        rig_run(r, s.settling);
        s.running = rig_job(r);
        rig_run(r, s.running);
        s.placed = rig_job(r);
        assert_ptr_equal(rig_claim(r), s.placed);
        s.queued = rig_job(r);
        spec = rig_spec(r);
        spec.has = JOB_HAS_DELAY;
        spec.delay = USEC_PER_SEC;
        s.scheduled = rig_admit(r, &spec);
        spec = rig_spec(r);
        spec.blockers = &s.queued->id;
        spec.n_blockers = 1;
        s.blocked = rig_admit(r, &spec);
        spec = rig_spec(r);
        spec.has = JOB_HAS_PRIORITY;
        spec.priority = 9;
        s.claiming = rig_admit(r, &spec);
        assert_ptr_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), s.claiming);
        (void)core_next_request(&r->core);
        rig_settle(r, s.settling, OUTCOME_WORKER_DIED);
        (void)core_next_request(&r->core);
        spec = rig_spec(r);
        s.admitting = rig_submit(r, &spec);
        (void)core_next_request(&r->core);
        return s;
}

static void what_waits_goes_along_with_its_handler(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Scene s = set_scene(r);

        core_bind_handler(&r->core, r->handler, s.to);
        rig_sound(r);
        assert_ptr_equal(s.queued->pool, s.to);
        assert_ptr_equal(s.scheduled->pool, s.to);
        assert_ptr_equal(s.blocked->pool, s.to);
        assert_ptr_equal(core_peek(&r->core, s.to, r->now), s.queued);
        assert_null(core_peek(&r->core, r->pool, r->now));
        assert_ptr_equal(s.done->pool, r->pool); /* what was, is not changed */
        assert_ptr_equal(s.running->pool, r->pool);
        assert_ptr_equal(s.placed->pool, r->pool);
}

/* Nobody may serve the old pool any more: who stayed there would wait for ever. */
static void what_was_under_way_follows_when_it_waits_again(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Scene s = set_scene(r);

        core_bind_handler(&r->core, r->handler, s.to);
        rig_sound(r);
        core_complete(&r->core, s.admitting, true, r->now);
        rig_sound(r);
        core_complete(&r->core, s.claiming, false, r->now);
        rig_sound(r);
        core_complete(&r->core, s.settling, true, r->now);
        rig_sound(r);
        core_unclaim(&r->core, s.placed, r->now);
        rig_sound(r);
        rig_end(r, s.running, OUTCOME_ERROR);
        rig_wait(r, 2 * USEC_PER_SEC);
        assert_ptr_equal(s.admitting->pool, s.to);
        assert_ptr_equal(s.claiming->pool, s.to);
        assert_ptr_equal(s.settling->pool, s.to);
        assert_ptr_equal(s.placed->pool, s.to);
        assert_ptr_equal(s.running->pool, s.to);
        assert_int_equal(r->pool->open, 0);
        assert_int_equal(s.to->open, 8);
}

static void a_retry_of_what_has_ended_follows_too(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CorePool *to = core_pool(&r->core, "pictures");
        JobSpec spec = rig_spec(r);
        Job *job = rig_ended_job(r, &spec, JOB_FAILED);

        core_bind_handler(&r->core, r->handler, to);
        assert_ptr_equal(job->pool, r->pool);
        assert_int_equal(r->pool->count[JOB_FAILED], 1);
        assert_true(core_retry(&r->core, job, r->now));
        rig_rest(r);
        assert_ptr_equal(core_peek(&r->core, to, r->now), job);
        assert_int_equal(r->pool->count[JOB_FAILED], 0);
}

static void places_and_priorities_are_kept_on_the_way(void **state UNUSED)
{
        enum { N = 200 };
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreHandler *crop = core_handler(&r->core, "crop");
        CorePool *to = core_pool(&r->core, "pictures");
        Job *jobs[N];

        core_bind_handler(&r->core, crop, to);
        for (int i = 0; i < N; i++) { /* in turns one of each */
                JobSpec spec = rig_spec(r);

                spec.handler = i % 2 ? crop : r->handler;
                jobs[i] = rig_admit(r, &spec);
        }
        core_bind_handler(&r->core, r->handler, to);
        rig_sound(r);
        for (int i = 0; i < N; i++)
                assert_ptr_equal(core_claim(&r->core, to, RIG_ROOM, r->now), jobs[i]);
        rig_store(r);
}

static void without_anybody_to_serve_it_a_job_waits(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *job = rig_job(r), *running = job;

        rig_run(r, running);
        job = rig_job(r);
        core_bind_handler(&r->core, r->handler, NULL);
        rig_sound(r);
        assert_null(r->handler->pool);
        rig_end(r, running, OUTCOME_WORKER_DIED);
        assert_int_equal(job->state, JOB_QUEUED);
        assert_int_equal(running->state, JOB_QUEUED);
        core_bind_handler(&r->core, r->handler, core_pool(&r->core, "pictures"));
        rig_sound(r);
        assert_ptr_equal(core_peek(&r->core, r->handler->pool, r->now), running);
}

static void binding_to_the_same_pool_changes_nothing(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        Job *first = rig_job(r), *second = rig_job(r);

        core_bind_handler(&r->core, r->handler, r->pool);
        rig_sound(r);
        rig_run(r, first);
        rig_run(r, second);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pools_and_handlers_are_made_once),
                cmocka_unit_test(what_waits_goes_along_with_its_handler),
                cmocka_unit_test(what_was_under_way_follows_when_it_waits_again),
                cmocka_unit_test(a_retry_of_what_has_ended_follows_too),
                cmocka_unit_test(places_and_priorities_are_kept_on_the_way),
                cmocka_unit_test(without_anybody_to_serve_it_a_job_waits),
                cmocka_unit_test(binding_to_the_same_pool_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
