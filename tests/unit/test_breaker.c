/* SPDX-License-Identifier: MIT */

#include "core/breaker.h"

#include "unit.h"

enum { LIMIT = 3 };

static void it_opens_when_enough_different_jobs_have_killed(void **state UNUSED)
{
        HandlerBreaker b = { 0 };

        assert_true(handler_breaker_allows(&b, 0));
        assert_false(handler_breaker_killed(&b, true, false, LIMIT, 100));
        assert_false(handler_breaker_killed(&b, true, false, LIMIT, 100));
        assert_true(handler_breaker_allows(&b, 100));
        assert_true(handler_breaker_killed(&b, true, false, LIMIT, 100));
        assert_int_equal(b.broken, 1);
        assert_int_equal(b.until, 100 + HANDLER_BREAK);
        assert_false(handler_breaker_allows(&b, 100));
        assert_false(handler_breaker_allows(&b, b.until - 1));
        assert_true(handler_breaker_allows(&b, b.until));
}

static void one_job_that_kills_again_and_again_does_not_open_it(void **state UNUSED)
{
        HandlerBreaker b = { 0 };

        assert_false(handler_breaker_killed(&b, true, false, LIMIT, 1));
        for (int i = 0; i < 100; i++)
                assert_false(handler_breaker_killed(&b, false, false, LIMIT, 1));
        assert_int_equal(b.killers, 1);
}

static void a_worker_that_survives_starts_the_count_again(void **state UNUSED)
{
        HandlerBreaker b = { 0 };

        for (int i = 0; i < 10; i++) {
                assert_false(handler_breaker_killed(&b, true, false, LIMIT, 1));
                assert_false(handler_breaker_killed(&b, true, false, LIMIT, 1));
                assert_false(handler_breaker_survived(&b)); /* it was not open */
                assert_int_equal(b.killers, 0);
        }
}

static void without_a_limit_it_never_opens(void **state UNUSED)
{
        HandlerBreaker b = { 0 };

        for (int i = 0; i < 100; i++)
                assert_false(handler_breaker_killed(&b, true, false, 0, 1));
        assert_true(handler_breaker_allows(&b, 1));
}

static void one_job_is_tried_at_a_time(void **state UNUSED)
{
        HandlerBreaker b = { .killers = LIMIT, .broken = 1, .until = 50 };

        assert_true(handler_breaker_allows(&b, 50));
        assert_true(handler_breaker_claimed(&b));
        assert_false(handler_breaker_allows(&b, 50));
        assert_false(handler_breaker_allows(&b, USEC_INFINITY));
        handler_breaker_untried(&b);
        assert_true(handler_breaker_allows(&b, 50));
}

static void a_claim_while_it_is_closed_tries_nothing(void **state UNUSED)
{
        HandlerBreaker b = { .killers = LIMIT - 1 };

        assert_false(handler_breaker_claimed(&b));
        assert_false(b.trying);
        assert_false(handler_breaker_claimed(&b));
        assert_true(handler_breaker_allows(&b, 0));
}

static void a_trial_that_survives_closes_it(void **state UNUSED)
{
        HandlerBreaker b = { .killers = LIMIT, .broken = 4, .until = 50 };

        assert_true(handler_breaker_claimed(&b));
        assert_true(handler_breaker_survived(&b));
        assert_int_equal(b.broken, 0);
        assert_int_equal(b.killers, 0);
        assert_false(b.trying);
        assert_true(handler_breaker_allows(&b, 0));
}

static void each_trial_that_kills_doubles_the_time_up_to_a_cap(void **state UNUSED)
{
        static const usec_t seconds[] = { 10, 20, 40, 80, 160, 300, 300, 300 };
        HandlerBreaker b = { .killers = LIMIT, .broken = 1, .until = 50 };

        for (size_t i = 0; i < ELEMENTS(seconds); i++) {
                bool first = i % 2; /* a new job, or one that has killed before */
                usec_t now = b.until;

                assert_true(handler_breaker_claimed(&b));
                assert_true(handler_breaker_killed(&b, first, true, LIMIT, now));
                assert_int_equal(b.until, now + seconds[i] * USEC_PER_SEC);
                assert_false(b.trying);
                assert_false(handler_breaker_allows(&b, now));
        }
}

/* They had begun before it opened, and say nothing new. */
static void deaths_while_it_is_open_do_not_prolong_it(void **state UNUSED)
{
        HandlerBreaker b = { .killers = LIMIT, .broken = 1, .until = 50 };

        for (int i = 0; i < 10; i++)
                assert_true(handler_breaker_killed(&b, true, false, LIMIT, 20));
        assert_int_equal(b.broken, 1);
        assert_int_equal(b.until, 50);
}

static void deaths_from_before_do_not_end_the_trial(void **state UNUSED)
{
        HandlerBreaker b = { .killers = LIMIT, .broken = 1, .until = 50 };

        assert_true(handler_breaker_claimed(&b));
        assert_true(handler_breaker_killed(&b, true, false, LIMIT, 60));
        assert_true(b.trying);
        assert_false(handler_breaker_allows(&b, 60));
        assert_int_equal(b.until, 50);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_opens_when_enough_different_jobs_have_killed),
                cmocka_unit_test(one_job_that_kills_again_and_again_does_not_open_it),
                cmocka_unit_test(a_worker_that_survives_starts_the_count_again),
                cmocka_unit_test(without_a_limit_it_never_opens),
                cmocka_unit_test(one_job_is_tried_at_a_time),
                cmocka_unit_test(a_claim_while_it_is_closed_tries_nothing),
                cmocka_unit_test(a_trial_that_survives_closes_it),
                cmocka_unit_test(each_trial_that_kills_doubles_the_time_up_to_a_cap),
                cmocka_unit_test(deaths_while_it_is_open_do_not_prolong_it),
                cmocka_unit_test(deaths_from_before_do_not_end_the_trial),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
