/* SPDX-License-Identifier: MIT */

#include "worker/slot_page.h"

#include <pthread.h>

#include "base/clock.h"

#include "unit.h"

static void runs_are_counted_as_they_begin(void **state UNUSED)
{
        SlotPage page = { 0 };

        assert_int_equal(slot_page_begun(&page), 0);
        for (uint32_t i = 1; i <= 5; i++) {
                assert_true(slot_page_begin(&page));
                assert_int_equal(slot_page_begun(&page), i);
        }
}

static void a_closed_page_lets_nothing_begin(void **state UNUSED)
{
        SlotPage page = { 0 };

        assert_true(slot_page_begin(&page));
        assert_int_equal(slot_page_close(&page), 1);
        assert_false(slot_page_begin(&page));
        assert_false(slot_page_begin(&page));
        assert_int_equal(slot_page_begun(&page), 1);
        assert_int_equal(slot_page_close(&page), 1); /* twice is once */
        slot_page_open(&page, 1);
        assert_true(slot_page_begin(&page));
        assert_int_equal(slot_page_begun(&page), 2);
}

static void opening_sets_the_count_to_what_was_seen(void **state UNUSED)
{
        SlotPage page = { 0 };

        atomic_store(&page.word, UINT64_MAX); /* a worker scribbled */
        assert_false(slot_page_begin(&page));
        slot_page_open(&page, 7);
        assert_int_equal(slot_page_begun(&page), 7);
        assert_true(slot_page_begin(&page));
        assert_int_equal(slot_page_begun(&page), 8);
}

static void the_times_of_the_last_runs_are_there(void **state UNUSED)
{
        SlotPage page = { 0 };
        uint16_t usec;

        for (uint32_t i = 0; i < SLOT_PAGE_TIMES; i++) {
                assert_true(slot_page_begin(&page));
                slot_page_end(&page, 100 + i);
        }
        for (uint32_t i = 0; i < SLOT_PAGE_TIMES; i++) {
                assert_true(slot_page_took(&page, i, &usec));
                assert_int_equal(usec, 100 + i);
        }
        assert_true(slot_page_begin(&page));
        assert_false(slot_page_took(&page, 0, &usec)); /* its place is another's */
        assert_true(slot_page_took(&page, 1, &usec));
        slot_page_end(&page, 1000000);
        assert_true(slot_page_took(&page, SLOT_PAGE_TIMES, &usec));
        assert_int_equal(usec, UINT16_MAX);
        slot_page_open(&page, UINT32_MAX);
        assert_true(slot_page_begin(&page));
        slot_page_end(&page, 9);
        assert_true(slot_page_took(&page, UINT32_MAX, &usec)); /* over the wrap */
        assert_int_equal(usec, 9);
}

static void the_count_wraps_without_closing(void **state UNUSED)
{
        SlotPage page = { 0 };

        slot_page_open(&page, UINT32_MAX);
        assert_true(slot_page_begin(&page));
        assert_int_equal(slot_page_begun(&page), 0);
        assert_int_equal(atomic_load(&page.word), 0);
        assert_true(slot_page_begin(&page));
        assert_int_equal(slot_page_close(&page), 1);
}

static void following_and_counting_do_not_touch_each_other(void **state UNUSED)
{
        SlotPage page = { 0 };

        assert_false(slot_page_followed(&page));
        assert_true(slot_page_begin(&page));
        slot_page_follow(&page, true);
        assert_true(slot_page_followed(&page));
        assert_int_equal(slot_page_close(&page), 1);
        assert_true(slot_page_followed(&page));
        slot_page_follow(&page, false);
        assert_false(slot_page_followed(&page));
        assert_false(slot_page_begin(&page)); /* still closed */
        slot_page_open(&page, 1);
        assert_false(slot_page_followed(&page));
        assert_int_equal(slot_page_begun(&page), 1);
        assert_int_equal(sizeof(page), 64); /* one line of the cache, as before */
}

/* One thread begins runs, one recalls and opens again. What was begun, the worker must know of;
 * what was recalled, it must not begin. The worker tells what it did through `did`, one round after
 * the other: `turn` says whose it is after the race. */
typedef struct Race {
        SlotPage page;
        _Atomic uint64_t go, finished; /* rounds */
        _Atomic bool did;
        _Atomic bool stop;
} Race;

static void *worker(void *context)
{
        Race *race = context;

        for (uint64_t round = 1;; round++) {
                while (atomic_load(&race->go) < round)
                        if (atomic_load(&race->stop))
                                return NULL;
                atomic_store(&race->did, slot_page_begin(&race->page));
                atomic_store(&race->finished, round);
        }
}

static void a_run_is_either_begun_or_recalled_never_both(void **state UNUSED)
{
        enum { ROUNDS = 1000000 };
        Race race = { .page = { 0 } };
        usec_t end = clock_monotonic() + USEC_PER_SEC;
        uint32_t begun = 0;
        uint64_t round = 0, both = 0, recalled = 0;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, worker, &race), 0);
        while (round < ROUNDS && (round % 64 || clock_monotonic() < end)) {
                uint32_t seen;

                atomic_store(&race.go, ++round);
                for (volatile uint64_t i = 0; i < round % 97; i++) /* now early, now late */
                        ;
                seen = slot_page_close(&race.page);
                while (atomic_load(&race.finished) < round)
                        ;
                both += (seen != begun) != atomic_load(&race.did);
                recalled += seen == begun;
                begun = seen;
                slot_page_open(&race.page, begun);
        }
        atomic_store(&race.stop, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(both, 0);
        assert_int_equal(begun + recalled, round);
        assert_true(round > 0);
}

static void a_crash_is_noted_beside_the_count(void **state UNUSED)
{
        SlotPage pages[2] = { 0 };

        assert_int_equal(sizeof(SlotPage), 64); /* slots do not share a cache line */
        assert_true(slot_page_begin(&pages[1]));
        slot_page_crashed(&pages[1], 11);
        assert_int_equal(slot_page_crash(&pages[0]), 0);
        assert_int_equal(slot_page_crash(&pages[1]), 11);
        assert_int_equal(slot_page_begun(&pages[1]), 1);
        assert_false(slot_page_followed(&pages[1]));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_crash_is_noted_beside_the_count),
                cmocka_unit_test(runs_are_counted_as_they_begin),
                cmocka_unit_test(a_closed_page_lets_nothing_begin),
                cmocka_unit_test(opening_sets_the_count_to_what_was_seen),
                cmocka_unit_test(the_times_of_the_last_runs_are_there),
                cmocka_unit_test(the_count_wraps_without_closing),
                cmocka_unit_test(following_and_counting_do_not_touch_each_other),
                cmocka_unit_test(a_run_is_either_begun_or_recalled_never_both),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
