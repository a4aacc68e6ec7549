/* SPDX-License-Identifier: MIT */

#include "unit.h"

#include "ctl/bench/judge.h"

static void waiting_can_gain_as_much_as_there_are_slots(void **state)
{
        assert_true(judge_possible_waiting(2) == 2);
        assert_true(judge_possible_waiting(128) == 128);
}

static void calculating_can_gain_no_more_than_there_are_cpus(void **state)
{
        assert_true(judge_possible_cpu(2, 1) == 1);
        assert_true(judge_possible_cpu(2, 8) == 2);
        assert_true(judge_possible_cpu(8, 8) == 8);
        assert_true(judge_possible_cpu(128, 4) == 4);
}

static void the_threshold_is_half_way_to_what_is_possible(void **state)
{
        assert_true(judge_threshold(2) == 1.5);
        assert_true(judge_threshold(8) == 4.5);
        assert_true(judge_threshold(1) == 1);
}

static void a_speed_up_is_judged_by_the_threshold(void **state)
{
        static const struct {
                double speedup, possible;
                Verdict verdict;
        } cases[] = {
                { 1.97, 2, VERDICT_YES }, { 1.5, 2, VERDICT_YES }, { 1.49, 2, VERDICT_NO },
                { 1.0, 2, VERDICT_NO },   { 0.4, 2, VERDICT_NO },  { 4.5, 8, VERDICT_YES },
                { 4.4, 8, VERDICT_NO },   { 0, 2, VERDICT_NO },    { 1.3, 1.5, VERDICT_YES },
                { 1.2, 1.5, VERDICT_NO }, { 1.2, 1.2, VERDICT_OPEN },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                assert_int_equal(judge(cases[i].speedup, cases[i].possible), cases[i].verdict);
}

static void with_one_cpu_it_can_not_be_told_what_is_parallel(void **state)
{
        assert_int_equal(judge(1.0, judge_possible_cpu(4, 1)), VERDICT_OPEN);
        assert_int_equal(judge(3.0, judge_possible_cpu(4, 1)), VERDICT_OPEN);
        assert_string_equal(verdict_word(VERDICT_OPEN), "cannot be told");
}

static void what_others_take_of_the_cpus_can_not_be_gained(void **state)
{
        assert_true(judge_possible_cpu(2, 1.5) == 1.5);
        assert_int_equal(judge(1.3, judge_possible_cpu(2, 1.5)), VERDICT_YES);
        assert_int_equal(judge(1.3, judge_possible_cpu(2, 1.1)), VERDICT_OPEN);
        assert_true(judge_is_noisy(1.7, 2));
        assert_false(judge_is_noisy(1.9, 2));
        assert_false(judge_is_noisy(2, 2));
        assert_false(judge_is_noisy(6, 4));
}

static void each_verdict_has_its_word(void **state)
{
        assert_string_equal(verdict_word(VERDICT_NO), "no");
        assert_string_equal(verdict_word(VERDICT_YES), "yes");
}

static void the_median_is_the_middle_whatever_the_order(void **state)
{
        double odd[] = { 9, 1, 100, 2, 3 }, even[] = { 4, 1, 3, 2 }, one[] = { 7 };

        assert_true(judge_median(odd, 5) == 3);
        assert_true(odd[0] == 1 && odd[4] == 100);
        assert_true(judge_median(even, 4) == 2.5);
        assert_true(judge_median(one, 1) == 7);
        assert_true(judge_median(NULL, 0) == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(waiting_can_gain_as_much_as_there_are_slots),
                cmocka_unit_test(calculating_can_gain_no_more_than_there_are_cpus),
                cmocka_unit_test(the_threshold_is_half_way_to_what_is_possible),
                cmocka_unit_test(a_speed_up_is_judged_by_the_threshold),
                cmocka_unit_test(with_one_cpu_it_can_not_be_told_what_is_parallel),
                cmocka_unit_test(what_others_take_of_the_cpus_can_not_be_gained),
                cmocka_unit_test(each_verdict_has_its_word),
                cmocka_unit_test(the_median_is_the_middle_whatever_the_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
