/* SPDX-License-Identifier: MIT */

#include "core/retry.h"

#include "unit.h"

/* With `random` 0 there is no jitter: what is expected is exact. */
static const JobPolicy policy = { .backoff = 1000, .backoff_max = 10000, .poison_deaths = 3 };

static void what_follows_from_the_end_of_an_attempt(void **state UNUSED)
{
        static const struct {
                const char *name;
                RetryFacts facts;
                JobState state;
                usec_t delay;
        } cases[] = {
                /* .outcome, .may_retry, .untouched, .cancel_asked, .attempts_left, .failures,
                   .deaths, .bystander */
                { "success",
                  { OUTCOME_SUCCEEDED, true, false, false, true, 0, 0 },
                  JOB_SUCCEEDED,
                  0 },
                { "success with the last attempt",
                  { OUTCOME_SUCCEEDED, false, false, false, false, 2, 2 },
                  JOB_SUCCEEDED,
                  0 },
                { "success, although cancelled",
                  { OUTCOME_SUCCEEDED, true, false, true, true, 0, 0 },
                  JOB_SUCCEEDED,
                  0 },
                { "it says that it was cancelled",
                  { OUTCOME_CANCELLED, true, false, false, true, 1, 0 },
                  JOB_CANCELLED,
                  0 },
                { "an error after a cancel",
                  { OUTCOME_ERROR, true, false, true, true, 1, 0 },
                  JOB_CANCELLED,
                  0 },
                { "a timeout after a cancel",
                  { OUTCOME_TIMEOUT, true, false, true, true, 1, 0 },
                  JOB_CANCELLED,
                  0 },
                { "a death after a cancel",
                  { OUTCOME_WORKER_DIED, true, false, true, true, 1, 1 },
                  JOB_CANCELLED,
                  0 },
                { "a third death after a cancel",
                  { OUTCOME_WORKER_DIED, true, false, true, true, 3, 3 },
                  JOB_CANCELLED,
                  0 },
                { "an error", { OUTCOME_ERROR, true, false, false, true, 1, 0 }, JOB_QUEUED, 1000 },
                { "a second error",
                  { OUTCOME_ERROR, true, false, false, true, 2, 0 },
                  JOB_QUEUED,
                  2000 },
                { "many errors",
                  { OUTCOME_ERROR, true, false, false, true, 50, 0 },
                  JOB_QUEUED,
                  10000 },
                { "an error that is pointless to repeat",
                  { OUTCOME_ERROR, false, false, false, true, 1, 0 },
                  JOB_FAILED,
                  0 },
                { "the last error",
                  { OUTCOME_ERROR, true, false, false, false, 1, 0 },
                  JOB_FAILED,
                  0 },
                { "a command failed",
                  { OUTCOME_COMMAND_FAILED, true, false, false, true, 1, 0 },
                  JOB_QUEUED,
                  1000 },
                { "a command failed for the last time",
                  { OUTCOME_COMMAND_FAILED, true, false, false, false, 3, 0 },
                  JOB_FAILED,
                  0 },
                { "a timeout",
                  { OUTCOME_TIMEOUT, true, false, false, true, 1, 0 },
                  JOB_QUEUED,
                  1000 },
                { "the last timeout",
                  { OUTCOME_TIMEOUT, true, false, false, false, 1, 0 },
                  JOB_FAILED,
                  0 },
                { "a first death",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 1, 1 },
                  JOB_QUEUED,
                  0 },
                { "a second death",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 2, 2 },
                  JOB_QUEUED,
                  2000 },
                { "a first death after an error",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 2, 1 },
                  JOB_QUEUED,
                  0 },
                { "a death of another's doing",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 1, 0, true },
                  JOB_QUEUED,
                  0 },
                { "another one",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 5, 2, true },
                  JOB_QUEUED,
                  0 },
                { "the last attempt, by another's doing",
                  { OUTCOME_WORKER_DIED, true, false, false, false, 1, 0, true },
                  JOB_FAILED,
                  0 },
                { "a death of another's doing of one that has killed enough before",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 4, 3, true },
                  JOB_QUEUED,
                  0 },
                { "a death of another's doing after a cancel",
                  { OUTCOME_WORKER_DIED, true, false, true, true, 1, 0, true },
                  JOB_CANCELLED,
                  0 },
                { "a death is no handler that can forbid",
                  { OUTCOME_WORKER_DIED, false, false, false, true, 1, 1 },
                  JOB_QUEUED,
                  0 },
                { "the last death",
                  { OUTCOME_WORKER_DIED, true, false, false, false, 2, 2 },
                  JOB_FAILED,
                  0 },
                { "poison",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 3, 3 },
                  JOB_QUARANTINED,
                  0 },
                { "poison with its last attempt",
                  { OUTCOME_WORKER_DIED, true, false, false, false, 3, 3 },
                  JOB_QUARANTINED,
                  0 },
                { "more than poison",
                  { OUTCOME_WORKER_DIED, true, false, false, true, 9, 4 },
                  JOB_QUARANTINED,
                  0 },
                { "an error after deaths is no poison",
                  { OUTCOME_ERROR, true, false, false, true, 4, 3 },
                  JOB_QUEUED,
                  8000 },
                { "a shutdown",
                  { OUTCOME_SHUTDOWN, true, false, false, true, 1, 0 },
                  JOB_QUEUED,
                  0 },
                { "a second shutdown",
                  { OUTCOME_SHUTDOWN, true, false, false, true, 2, 0 },
                  JOB_QUEUED,
                  0 },
                { "a death before it was looked at",
                  { OUTCOME_WORKER_DIED, true, true, false, true, 0, 0 },
                  JOB_QUEUED,
                  0 },
                { "the same, again and again",
                  { OUTCOME_WORKER_DIED, true, true, false, true, 2, 2 },
                  JOB_QUEUED,
                  0 },
                { "the same, after a cancel",
                  { OUTCOME_WORKER_DIED, true, true, true, true, 0, 0 },
                  JOB_CANCELLED,
                  0 },
                { "a cancel of ours before it was looked at",
                  { OUTCOME_CANCELLED, true, true, false, true, 0, 0 },
                  JOB_QUEUED,
                  0 },
                { "a lost supervisor",
                  { OUTCOME_SUPERVISOR_DIED, true, false, false, true, 1, 0 },
                  JOB_QUEUED,
                  0 },
                { "a second lost supervisor",
                  { OUTCOME_SUPERVISOR_DIED, true, false, false, true, 2, 0 },
                  JOB_QUEUED,
                  2000 },
                { "a lost supervisor after a cancel",
                  { OUTCOME_SUPERVISOR_DIED, true, false, true, true, 1, 0 },
                  JOB_CANCELLED,
                  0 },
                { "the last lost supervisor",
                  { OUTCOME_SUPERVISOR_DIED, true, false, false, false, 1, 0 },
                  JOB_FAILED,
                  0 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                RetryDecision d = retry_decide(&cases[i].facts, &policy, 0);

                CHECK(d.state == cases[i].state, cases[i].name);
                CHECK(d.delay == cases[i].delay, cases[i].name);
        }
}

static void without_a_bound_no_number_of_deaths_is_poison(void **state UNUSED)
{
        JobPolicy fearless = policy;
        RetryFacts f = { OUTCOME_WORKER_DIED, true, false, false, true, 1000, 1000 };

        fearless.poison_deaths = 0;
        assert_int_equal(retry_decide(&f, &fearless, 0).state, JOB_QUEUED);
        assert_int_equal(retry_decide(&f, &policy, 0).state, JOB_QUARANTINED);
}

static void the_backoff_doubles_up_to_its_cap(void **state UNUSED)
{
        static const struct {
                const char *name;
                usec_t base, cap;
                uint32_t failures;
                usec_t delay;
        } cases[] = {
                { "first", 100, 10000, 1, 100 },
                { "second", 100, 10000, 2, 200 },
                { "seventh", 100, 10000, 7, 6400 },
                { "eighth is capped", 100, 10000, 8, 10000 },
                { "for ever capped", 100, 10000, UINT32_MAX, 10000 },
                { "none yet", 100, 10000, 0, 100 },
                { "base over the cap", 5000, 100, 1, 100 },
                { "no wrap", 3, USEC_INFINITY, UINT32_MAX, USEC_INFINITY },
                { "no base, and no long way to it", 0, 10000, UINT32_MAX, 0 },
                { "no cap", 100, 0, 5, 0 },
        };

        usec_t start = clock_monotonic();

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(retry_backoff(cases[i].base, cases[i].cap, cases[i].failures, 0) ==
                              cases[i].delay,
                      cases[i].name);
        assert_true(clock_monotonic() - start < USEC_PER_SEC / 2);
}

static void the_jitter_takes_up_to_a_quarter(void **state UNUSED)
{
        usec_t least = USEC_INFINITY, most = 0;

        for (uint64_t random = 0; random < 5000; random++) {
                usec_t delay = retry_backoff(1000, 8000, 3, random * 0x9e3779b97f4a7c15ULL);

                least = MIN(least, delay);
                most = MAX(most, delay);
        }
        assert_int_equal(most, 4000);
        assert_int_equal(least, 3000);
        assert_int_equal(retry_backoff(USEC_INFINITY, USEC_INFINITY, 1, UINT64_MAX) <
                                 USEC_INFINITY / 4 * 3, 0);
}

static void even_the_jitter_of_nothing_is_nothing(void **state UNUSED)
{
        assert_int_equal(retry_backoff(0, 0, 1, UINT64_MAX), 0);
        assert_int_equal(retry_backoff(3, 3, 1, UINT64_MAX), 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_follows_from_the_end_of_an_attempt),
                cmocka_unit_test(without_a_bound_no_number_of_deaths_is_poison),
                cmocka_unit_test(the_backoff_doubles_up_to_its_cap),
                cmocka_unit_test(the_jitter_takes_up_to_a_quarter),
                cmocka_unit_test(even_the_jitter_of_nothing_is_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
