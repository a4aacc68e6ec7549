/* SPDX-License-Identifier: MIT */

#include "ops/watchdog.h"

#include "unit.h"

#define NOW (1000 * USEC_PER_SEC)
#define INTERVAL (10 * USEC_PER_SEC)

static const WatchdogFacts well = { .pool = "" };

static void nobody_asks_and_nothing_is_due(void **state UNUSED)
{
        Watchdog w = { 0 };

        assert_int_equal(watchdog_look(&w, &well, NOW), WATCHDOG_NOT_DUE);
        assert_int_equal(watchdog_late(&w, NOW), 0);
}

static void signs_come_at_half_of_the_interval(void **state UNUSED)
{
        Watchdog w = { .interval = INTERVAL };

        assert_int_equal(watchdog_look(&w, &well, NOW), WATCHDOG_ALIVE);
        assert_int_equal(w.due, NOW + INTERVAL / 2);
        assert_int_equal(watchdog_look(&w, &well, w.due - 1), WATCHDOG_NOT_DUE);
        assert_int_equal(watchdog_look(&w, &well, w.due), WATCHDOG_ALIVE);
        assert_int_equal(w.due, NOW + INTERVAL);
}

static void however_short_the_interval_there_is_time_between_looks(void **state UNUSED)
{
        Watchdog w = { .interval = 1 };

        assert_int_equal(watchdog_look(&w, &well, NOW), WATCHDOG_ALIVE);
        assert_int_equal(w.due, NOW + 5 * USEC_PER_MSEC);
}

static void what_takes_longer_than_the_interval_is_no_life(void **state UNUSED)
{
        static const struct {
                const char *name;
                usec_t storage, probe; /* for how long; 0: not under way */
                WatchdogVerdict verdict;
        } cases[] = {
                { "at rest", 0, 0, WATCHDOG_ALIVE },
                { "both within it", INTERVAL - 1, INTERVAL - 1, WATCHDOG_ALIVE },
                { "the storage thread", INTERVAL, 0, WATCHDOG_STORAGE },
                { "the probe", 0, INTERVAL, WATCHDOG_PROBE },
                { "both", 3 * INTERVAL, 2 * INTERVAL, WATCHDOG_STORAGE },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Watchdog w = { .interval = INTERVAL };
                WatchdogFacts f = { .pool = "p" };

                f.storage_since = cases[i].storage ? NOW - cases[i].storage : 0;
                f.probe_since = cases[i].probe ? NOW - cases[i].probe : 0;
                CHECK(watchdog_look(&w, &f, NOW) == cases[i].verdict, cases[i].name);
                CHECK(w.due == NOW + INTERVAL / (cases[i].verdict == WATCHDOG_ALIVE ? 2 : 16),
                      cases[i].name);
        }
}

static void a_loop_that_stood_still_comes_late(void **state UNUSED)
{
        Watchdog w = { .interval = INTERVAL };

        assert_int_equal(watchdog_late(&w, NOW), 0); /* it has never looked */
        (void)watchdog_look(&w, &well, NOW);
        assert_int_equal(watchdog_late(&w, w.due + INTERVAL / 4), 0);
        assert_int_equal(watchdog_late(&w, w.due + INTERVAL), INTERVAL);
}

static void words_say_what_and_for_how_long(void **state UNUSED)
{
        WatchdogFacts f = { .storage_since = NOW - 12 * USEC_PER_SEC,
                            .probe_since = NOW - 63 * USEC_PER_SEC,
                            .pool = "thumbs" };
        char words[256];

        assert_string_equal(watchdog_words(WATCHDOG_STORAGE, &f, NOW, words, sizeof(words)),
                            "the storage thread has not answered for 12s");
        f.storage_fails = true;
        assert_string_equal(watchdog_words(WATCHDOG_STORAGE, &f, NOW, words, sizeof(words)),
                            "the storage thread has not answered for 12s (what it wrote before "
                            "had failed)");
        assert_string_equal(watchdog_words(WATCHDOG_PROBE, &f, NOW, words, sizeof(words)),
                            "a probe has not come back from pool thumbs (WatchdogPool=) for "
                            "1min 3s");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nobody_asks_and_nothing_is_due),
                cmocka_unit_test(signs_come_at_half_of_the_interval),
                cmocka_unit_test(however_short_the_interval_there_is_time_between_looks),
                cmocka_unit_test(what_takes_longer_than_the_interval_is_no_life),
                cmocka_unit_test(a_loop_that_stood_still_comes_late),
                cmocka_unit_test(words_say_what_and_for_how_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
