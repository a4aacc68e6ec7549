/* SPDX-License-Identifier: MIT */

#include "core/job.h"

#include "unit.h"

static void states_have_the_names_of_the_interface(void **state UNUSED)
{
        static const char *const names[JOB_N_STATES] = {
                "scheduled", "blocked", "queued", "running", "succeeded",
                "failed", "quarantined", "cancelled", "expired",
        };

        for (int s = 0; s < JOB_N_STATES; s++)
                assert_string_equal(job_state_name((JobState)s), names[s]);
}

static void outcomes_have_the_names_of_the_interface(void **state UNUSED)
{
        static const char *const names[OUTCOME_NONE] = {
                "succeeded", "error", "command_failed", "timeout",
                "cancelled", "worker_died", "shutdown", "supervisor_died",
        };

        for (int o = 0; o < OUTCOME_NONE; o++)
                assert_string_equal(outcome_name((Outcome)o), names[o]);
        assert_null(outcome_name(OUTCOME_NONE));
}

static void each_state_allows_its_successors_and_no_other(void **state UNUSED)
{
        static const char table[JOB_N_STATES][JOB_N_STATES + 1] = {
                /*                   S B Q R s f q c e, as in the enum */
                [JOB_SCHEDULED] =   "--x----xx",
                [JOB_BLOCKED] =     "x-x----xx",
                [JOB_QUEUED] =      "-x-x---xx",
                [JOB_RUNNING] =     "x-x-xxxx-",
                [JOB_SUCCEEDED] =   "---------",
                [JOB_FAILED] =      "--x------",
                [JOB_QUARANTINED] = "--x------",
                [JOB_CANCELLED] =   "--x------",
                [JOB_EXPIRED] =     "--x------",
        };

        for (int from = 0; from < JOB_N_STATES; from++)
                for (int to = 0; to < JOB_N_STATES; to++)
                        if (job_state_allows((JobState)from, (JobState)to) !=
                            (table[from][to] == 'x'))
                                fail_msg("%s to %s is%s allowed", job_state_name((JobState)from),
                                         job_state_name((JobState)to),
                                         table[from][to] == 'x' ? " not" : "");
}

static void only_the_five_last_states_are_ends(void **state UNUSED)
{
        for (int s = 0; s < JOB_N_STATES; s++)
                CHECK(job_state_ended((JobState)s) == (s >= JOB_SUCCEEDED),
                      job_state_name((JobState)s));
        assert_int_equal(JOB_N_STATES - JOB_SUCCEEDED, 5);
}

static Job *job_with_attempts(uint32_t n)
{
        Job *j = job_new(&(JobData){ .args = SLICE("{}") });

        assert_non_null(j);
        for (uint32_t i = 1; i <= n; i++) {
                Attempt *a = job_add_attempt(j);

                assert_non_null(a);
                assert_int_equal(a->outcome, OUTCOME_NONE);
                assert_null(a->certificate);
                a->number = i;
                a->certificate = certificate_new("it fell");
        }
        return j;
}

DEFINE_CLEANUP(Job, job_free);

static void the_first_attempt_and_the_latest_are_kept(void **state UNUSED)
{
        static const struct {
                uint32_t made, kept, second;
        } cases[] = {
                { 1, 1, 0 }, { 2, 2, 2 }, { 3, 3, 2 }, { 64, 64, 2 }, { 65, 65, 2 }, { 99, 99, 2 },
                { 100, 100, 2 }, { 101, 100, 3 }, { 102, 100, 4 }, { 1000, 100, 902 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(job_free) Job *j = job_with_attempts(cases[i].made);

                assert_int_equal(j->history->n_attempts, cases[i].kept);
                assert_int_equal(j->history->attempts[0].number, 1);
                assert_int_equal(job_last_attempt(j)->number, cases[i].made);
                for (uint32_t k = 1; k < j->history->n_attempts; k++)
                        assert_int_equal(j->history->attempts[k].number, cases[i].second + k - 1);
        }
}

static void a_job_without_attempts_has_no_last_one(void **state UNUSED)
{
        AUTO(job_free) Job *j = job_with_attempts(0);

        assert_null(job_last_attempt(j));
}

/* --- data --- */

static void check_data(const JobData *data)
{
        AUTO(job_free) Job *j = job_new(data);

        assert_non_null(j);
        assert_true(slice_equal(job_args(j), data->args));
        for (unsigned i = 0; i < ELEMENTS(data->numbers); i++)
                assert_int_equal(job_number(j, (uint16_t)(1u << i), 42),
                                 data->has & (1u << i) ? data->numbers[i] : 42);
        for (unsigned i = 0; i < ELEMENTS(data->texts); i++) {
                Slice text = job_text(j, (uint16_t)(JOB_HAS_UNIQUE_KEY << i));
                bool given = data->has & (JOB_HAS_UNIQUE_KEY << i);

                assert_int_equal(text.data != NULL, given);
                assert_true(slice_equal(text, given ? data->texts[i] : (Slice){ NULL, 0 }));
        }
        if (data->has & JOB_HAS_UNIQUE_KEY)
                assert_ptr_equal(job_key_link(j)->job, j);
}

/* Every set of optional fields, with and without arguments of their own. */
static void each_optional_field_is_found_whatever_others_there_are(void **state UNUSED)
{
        static const char *const texts[] = { "the key", "[\"tag\"]", "", "[\"after\"]" };

        for (unsigned has = 0; has < JOB_NUMBERS + JOB_TEXTS + 1; has++)
                for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
                        JobData data = { .has = (uint16_t)has, .args = SLICE("{\"a\":1}"),
                                         .args_elsewhere = elsewhere };

                        for (unsigned i = 0; i < ELEMENTS(data.numbers); i++)
                                data.numbers[i] = USEC_INFINITY - i;
                        for (unsigned i = 0; i < ELEMENTS(texts); i++)
                                data.texts[i] = slice_of(texts[i]);
                        check_data(&data);
                }
}

static void large_arguments_come_and_go_and_leave_the_rest_in_place(void **state UNUSED)
{
        JobData data = { .has = JOB_HAS_TTL | JOB_HAS_TAGS | JOB_HAS_UNIQUE_KEY,
                         .numbers = { [3] = 7 }, .args = SLICE("{\"a\":1}"),
                         .args_elsewhere = true, .texts = { SLICE("k"), SLICE("[]") } };
        AUTO(job_free) Job *j = job_new(&data);
        uint32_t bytes = j->bytes;

        assert_int_equal(job_set_args(j, NULL, 0), -7);
        assert_true(j->args_shed);
        assert_int_equal(j->bytes, bytes - 7);
        assert_int_equal(job_args(j).len, 0);
        assert_true(slice_is(job_text(j, JOB_HAS_TAGS), "[]"));
        assert_int_equal(job_set_args(j, strdup("{\"a\":12}"), 8), 8);
        assert_false(j->args_shed);
        assert_int_equal(j->bytes, bytes + 1);
        assert_true(slice_is(job_args(j), "{\"a\":12}"));
        assert_true(slice_is(job_key(j), "k"));
        assert_int_equal(job_number(j, JOB_HAS_TTL, 0), 7);
}

static void what_is_said_first_of_its_end_stays(void **state UNUSED)
{
        AUTO(job_free) Job *j = job_new(&(JobData){ 0 });

        job_clear_reason(j);
        job_set_reason(j, NULL);
        assert_ptr_equal(j->history, &job_no_history);
        job_set_reason(j, "one");
        job_set_reason(j, "another");
        assert_string_equal(j->history->reason, "one");
        job_clear_reason(j);
        assert_null(j->history->reason);
        assert_null(job_no_history.reason);
}

static void names_of_outcomes_are_read_back(void **state UNUSED)
{
        for (int o = 0; o < OUTCOME_NONE; o++)
                assert_int_equal(outcome_of_name(outcome_name((Outcome)o)), o);
        assert_int_equal(outcome_of_name("sunshine"), OUTCOME_NONE);
        assert_int_equal(outcome_of_name(""), OUTCOME_NONE);
}

static void a_new_certificate_knows_nothing_but_the_words(void **state UNUSED)
{
        Certificate *c = certificate_new("out of paper"), *silent = certificate_new(NULL);

        assert_string_equal(c->error, "out of paper");
        assert_null(silent->error);
        assert_int_equal(c->exit_status, -1);
        assert_string_equal(c->signal, "");
        assert_false(c->died);
        certificate_free(c);
        certificate_free(silent);
        certificate_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(states_have_the_names_of_the_interface),
                cmocka_unit_test(outcomes_have_the_names_of_the_interface),
                cmocka_unit_test(each_state_allows_its_successors_and_no_other),
                cmocka_unit_test(only_the_five_last_states_are_ends),
                cmocka_unit_test(the_first_attempt_and_the_latest_are_kept),
                cmocka_unit_test(a_job_without_attempts_has_no_last_one),
                cmocka_unit_test(each_optional_field_is_found_whatever_others_there_are),
                cmocka_unit_test(large_arguments_come_and_go_and_leave_the_rest_in_place),
                cmocka_unit_test(what_is_said_first_of_its_end_stays),
                cmocka_unit_test(names_of_outcomes_are_read_back),
                cmocka_unit_test(a_new_certificate_knows_nothing_but_the_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
