/* SPDX-License-Identifier: MIT */

#include "core/ladder.h"

#include "unit.h"

enum { NOW = 1000000000, GRACE = 10000000 };

static void nobody_climbs_before_somebody_asks(void **state UNUSED)
{
        Ladder l = LADDER_INIT;

        assert_false(ladder_climbing(&l));
        assert_int_equal(ladder_climb(&l, false, GRACE, USEC_INFINITY - 1), RUNG_NONE);
        assert_int_equal(l.next, USEC_INFINITY);
        assert_false(ladder_climbing(&l));
}

static void it_asks_then_terminates_then_kills(void **state UNUSED)
{
        Ladder l = LADDER_INIT;

        assert_int_equal(ladder_start(&l, false, GRACE, NOW), RUNG_ASK);
        assert_true(ladder_climbing(&l));
        assert_int_equal(l.next, NOW + GRACE);
        assert_int_equal(ladder_climb(&l, false, GRACE, NOW + GRACE - 1), RUNG_NONE);
        assert_int_equal(ladder_climb(&l, false, GRACE, NOW + GRACE), RUNG_TERM);
        assert_int_equal(l.next, NOW + GRACE + USEC_PER_SEC);
        assert_int_equal(ladder_climb(&l, false, GRACE, l.next - 1), RUNG_NONE);
        assert_int_equal(ladder_climb(&l, false, GRACE, l.next), RUNG_KILL);
        assert_int_equal(l.next, USEC_INFINITY);
        assert_int_equal(ladder_climb(&l, false, GRACE, USEC_INFINITY), RUNG_NONE);
        assert_int_equal(l.rung, RUNG_KILL);
}

static void the_grace_after_sigterm_is_never_longer_than_the_first(void **state UNUSED)
{
        static const struct {
                const char *name;
                usec_t grace, second;
        } cases[] = {
                { "none", 0, 0 },
                { "short", 50000, 50000 },
                { "a second", USEC_PER_SEC, USEC_PER_SEC },
                { "long", 90 * USEC_PER_SEC, USEC_PER_SEC },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Ladder l = LADDER_INIT;
                usec_t due;

                (void)ladder_start(&l, false, cases[i].grace, NOW);
                CHECK(l.next == NOW + cases[i].grace, cases[i].name);
                due = l.next;
                CHECK(ladder_climb(&l, false, cases[i].grace, due) == RUNG_TERM, cases[i].name);
                CHECK(l.next == due + cases[i].second, cases[i].name);
        }
}

static void starting_again_changes_nothing(void **state UNUSED)
{
        static const struct {
                const char *name;
                Rung at;
                bool force;
                Rung taken;
        } cases[] = {
                { "ask, from the floor", RUNG_NONE, false, RUNG_ASK },
                { "ask again", RUNG_ASK, false, RUNG_NONE },
                { "ask after SIGTERM", RUNG_TERM, false, RUNG_NONE },
                { "ask after SIGKILL", RUNG_KILL, false, RUNG_NONE },
                { "force, from the floor", RUNG_NONE, true, RUNG_KILL },
                { "force after asking", RUNG_ASK, true, RUNG_KILL },
                { "force after SIGTERM", RUNG_TERM, true, RUNG_KILL },
                { "force again", RUNG_KILL, true, RUNG_NONE },
                { "force at the top", RUNG_TOP, true, RUNG_NONE },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Ladder l = { cases[i].at, 42 };

                CHECK(ladder_start(&l, cases[i].force, GRACE, NOW) == cases[i].taken,
                      cases[i].name);
                CHECK(l.rung == MAX(cases[i].at, cases[i].taken), cases[i].name);
                CHECK((l.next == 42) == (cases[i].taken == RUNG_NONE), cases[i].name);
        }
}

static void who_shares_a_worker_is_only_asked(void **state UNUSED)
{
        Ladder l = LADDER_INIT;

        assert_int_equal(ladder_start(&l, false, GRACE, NOW), RUNG_ASK);
        assert_int_equal(ladder_climb(&l, true, GRACE, NOW + GRACE), RUNG_NONE);
        assert_int_equal(l.rung, RUNG_ASK);
        assert_int_equal(l.next, USEC_INFINITY);
        assert_int_equal(ladder_start(&l, true, GRACE, NOW + GRACE), RUNG_KILL);
}

static void an_endless_grace_never_ends(void **state UNUSED)
{
        Ladder l = LADDER_INIT;

        assert_int_equal(ladder_start(&l, false, USEC_INFINITY, NOW), RUNG_ASK);
        assert_int_equal(l.next, USEC_INFINITY);
        assert_int_equal(ladder_climb(&l, false, USEC_INFINITY, USEC_INFINITY - 1), RUNG_NONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nobody_climbs_before_somebody_asks),
                cmocka_unit_test(it_asks_then_terminates_then_kills),
                cmocka_unit_test(the_grace_after_sigterm_is_never_longer_than_the_first),
                cmocka_unit_test(starting_again_changes_nothing),
                cmocka_unit_test(who_shares_a_worker_is_only_asked),
                cmocka_unit_test(an_endless_grace_never_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
