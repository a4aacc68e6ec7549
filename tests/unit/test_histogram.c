/* SPDX-License-Identifier: MIT */

#include "base/histogram.h"

#include <string.h>

#include "unit.h"

static void each_value_is_in_the_bucket_whose_bounds_are_round_it(void **state)
{
        for (usec_t v = 0; v < 1 << 20; v += 1 + v / 64) {
                unsigned b = histogram_bucket(v);

                assert_true(v < histogram_bound(b));
                assert_true(b == 0 || v >= histogram_bound(b - 1));
        }
}

static void buckets_follow_each_other_without_a_gap(void **state)
{
        assert_int_equal(histogram_bound(0), 1);
        for (unsigned b = 1; b < HISTOGRAM_BUCKETS; b++) {
                assert_true(histogram_bound(b) > histogram_bound(b - 1));
                assert_int_equal(histogram_bucket(histogram_bound(b - 1)), b);
        }
}

static void what_takes_longer_than_all_is_in_the_last_bucket(void **state)
{
        assert_int_equal(histogram_bucket((usec_t)1 << HISTOGRAM_POWERS), HISTOGRAM_BUCKETS - 1);
        assert_int_equal(histogram_bucket(USEC_INFINITY), HISTOGRAM_BUCKETS - 1);
        assert_int_equal(histogram_bucket(((usec_t)1 << HISTOGRAM_POWERS) - 1),
                         HISTOGRAM_BUCKETS - 1);
}

static void counts_and_sums_what_is_added(void **state)
{
        static Histogram h;

        for (usec_t v = 1; v <= 1000; v++)
                histogram_add(&h, v);
        assert_int_equal(histogram_count(&h), 1000);
        assert_int_equal(h.sum, 500500);
        assert_int_equal(histogram_below(&h, 1), 0);
        assert_int_equal(histogram_below(&h, 512), 511);
        assert_int_equal(histogram_below(&h, 1024), 1000);
}

static void close_to(usec_t value, usec_t wanted)
{
        assert_true(value >= wanted - wanted / 8 && value <= wanted + wanted / 8);
}

static void quantiles_are_off_by_an_eighth_at_the_most(void **state)
{
        static Histogram h;

        assert_int_equal(histogram_quantile(&h, 0.5), 0);
        for (usec_t v = 1; v <= 100000; v++)
                histogram_add(&h, v);
        close_to(histogram_quantile(&h, 0.5), 50000);
        close_to(histogram_quantile(&h, 0.95), 95000);
        close_to(histogram_quantile(&h, 0.99), 99000);
        close_to(histogram_quantile(&h, 1), 100000);
        assert_true(histogram_quantile(&h, 0) <= 1);
}

static void the_difference_of_two_copies_is_what_came_between(void **state)
{
        static Histogram h, before, between;

        histogram_add(&h, 10);
        before = h;
        histogram_add(&h, 3000);
        histogram_add(&h, 4000);
        between = histogram_since(&h, &before);
        assert_int_equal(histogram_count(&between), 2);
        assert_int_equal(between.sum, 7000);
        histogram_merge(&before, &between);
        assert_memory_equal(&before, &h, sizeof(h));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_value_is_in_the_bucket_whose_bounds_are_round_it),
                cmocka_unit_test(buckets_follow_each_other_without_a_gap),
                cmocka_unit_test(what_takes_longer_than_all_is_in_the_last_bucket),
                cmocka_unit_test(counts_and_sums_what_is_added),
                cmocka_unit_test(quantiles_are_off_by_an_eighth_at_the_most),
                cmocka_unit_test(the_difference_of_two_copies_is_what_came_between),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
