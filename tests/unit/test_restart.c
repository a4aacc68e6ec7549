/* SPDX-License-Identifier: MIT */

#include "core/restart.h"

#include "unit.h"

enum { START = 1000000000 };

static void a_seat_whose_starts_fail_waits_twice_as_long_each_time(void **state UNUSED)
{
        static const usec_t waits[] = { 100000,  200000,  400000,   800000,   1600000,  3200000,
                                        6400000, 12800000, 25600000, 30000000, 30000000, 30000000 };
        SeatRestart seat = { 0 };
        Breaker breaker = { 0 };

        for (size_t i = 0; i < ELEMENTS(waits); i++) {
                restart_failed_start(&seat, &breaker, START, 0);
                assert_int_equal(seat.not_before - START, waits[i]);
        }
}

static void the_wait_is_a_little_random(void **state UNUSED)
{
        usec_t least = USEC_INFINITY, most = 0;

        for (uint64_t random = 0; random < 200000; random += 7) {
                SeatRestart seat = { 0 };
                Breaker breaker = { 0 };

                restart_failed_start(&seat, &breaker, START, random);
                least = MIN(least, seat.not_before - START);
                most = MAX(most, seat.not_before - START);
        }
        assert_int_equal(most, 100000);
        assert_int_equal(least, 75000);
}

static void a_ready_worker_makes_the_seat_forget_its_failures(void **state UNUSED)
{
        SeatRestart seat = { 0 };
        Breaker breaker = { 0 };

        restart_failed_start(&seat, &breaker, START, 0);
        restart_failed_start(&seat, &breaker, START, 0);
        restart_ready(&seat, &breaker);
        assert_int_equal(seat.not_before, 0);
        restart_failed_start(&seat, &breaker, START, 0);
        assert_int_equal(seat.not_before - START, RESTART_BACKOFF);
}

static void a_worker_that_served_is_replaced_at_once(void **state UNUSED)
{
        SeatRestart seat = { 0 };

        for (int i = 0; i < 100000; i++) {
                restart_died(&seat, START + (usec_t)i * 20000); /* 50 times a second, for ever */
                assert_int_equal(seat.not_before, 0);
        }
}

static void a_burst_of_deaths_waits_for_the_end_of_its_second(void **state UNUSED)
{
        SeatRestart seat = { 0 };

        for (int i = 0; i < RESTART_BURST; i++) {
                restart_died(&seat, START + (usec_t)i);
                assert_int_equal(seat.not_before, 0);
        }
        restart_died(&seat, START + 500000);
        assert_int_equal(seat.not_before, START + RESTART_WINDOW);
        restart_died(&seat, START + RESTART_WINDOW - 1);
        assert_int_equal(seat.not_before, START + RESTART_WINDOW);
        restart_died(&seat, START + RESTART_WINDOW);
        assert_int_equal(seat.not_before, 0);
}

static void a_new_window_begins_with_its_first_death(void **state UNUSED)
{
        SeatRestart seat = { 0 };

        for (int i = 0; i <= RESTART_BURST; i++)
                restart_died(&seat, START);
        assert_int_equal(seat.not_before, START + RESTART_WINDOW);
        for (int i = 0; i < RESTART_BURST; i++)
                restart_died(&seat, START + 1500000);
        assert_int_equal(seat.not_before, 0);
        restart_died(&seat, START + 2499999);
        assert_int_equal(seat.not_before, START + 2500000);
}

static void the_breaker_opens_when_starts_of_all_seats_fail_in_a_row(void **state UNUSED)
{
        SeatRestart seats[BREAKER_AFTER] = { { 0 } };
        Breaker breaker = { 0 };

        for (int i = 0; i < BREAKER_AFTER; i++) {
                assert_false(breaker.open);
                restart_failed_start(&seats[i], &breaker, START, 0);
        }
        assert_true(breaker.open);
}

static void one_success_closes_the_breaker(void **state UNUSED)
{
        SeatRestart bad = { 0 }, good = { 0 };
        Breaker breaker = { 0 };

        for (int i = 0; i < BREAKER_AFTER + 3; i++)
                restart_failed_start(&bad, &breaker, START, 0);
        restart_ready(&good, &breaker);
        assert_false(breaker.open);
        for (int i = 0; i < BREAKER_AFTER - 1; i++)
                restart_failed_start(&bad, &breaker, START, 0);
        assert_false(breaker.open);
        restart_failed_start(&bad, &breaker, START, 0);
        assert_true(breaker.open);
}

static void deaths_of_workers_that_served_do_not_open_it(void **state UNUSED)
{
        SeatRestart seat = { 0 };
        Breaker breaker = { 0 };

        for (int i = 0; i < 1000; i++) {
                restart_ready(&seat, &breaker);
                restart_died(&seat, START);
                restart_failed_start(&seat, &breaker, START, 0);
        }
        assert_false(breaker.open);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_seat_whose_starts_fail_waits_twice_as_long_each_time),
                cmocka_unit_test(the_wait_is_a_little_random),
                cmocka_unit_test(a_ready_worker_makes_the_seat_forget_its_failures),
                cmocka_unit_test(a_worker_that_served_is_replaced_at_once),
                cmocka_unit_test(a_burst_of_deaths_waits_for_the_end_of_its_second),
                cmocka_unit_test(a_new_window_begins_with_its_first_death),
                cmocka_unit_test(the_breaker_opens_when_starts_of_all_seats_fail_in_a_row),
                cmocka_unit_test(one_success_closes_the_breaker),
                cmocka_unit_test(deaths_of_workers_that_served_do_not_open_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
