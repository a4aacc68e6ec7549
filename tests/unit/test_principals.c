/* SPDX-License-Identifier: MIT */

/* The names are those that every Debian has (root 0, daemon 1, sys 3; the group adm is 4). */

#include "settings/principals.h"

#include "unit.h"

static Principals *parse(const char *text)
{
        char why[256] = "";
        Principals *p = NULL;

        if (principals_parse(&p, text, why, sizeof(why)) != 0)
                fail_msg("%s: %s", text, why);
        return p;
}

static void users_groups_and_numbers_are_matched(void **state UNUSED)
{
        static const struct {
                const char *text;
                uint32_t uid, gids[3];
                unsigned n_gids;
                bool meant;
        } cases[] = {
                { "root", 0, { 7 }, 1, true },
                { "root", 1, { 0 }, 1, false }, /* a user is no group */
                { "@root", 1, { 0 }, 1, true },
                { "@root", 0, { 1 }, 1, false },
                { "daemon 5000 sys", 1, { 0 }, 0, true },
                { "daemon 5000 sys", 3, { 0 }, 0, true },
                { "daemon 5000 sys", 5000, { 0 }, 0, true },
                { "daemon 5000 sys", 500, { 5000 }, 1, false },
                { "daemon 5000 sys", 2, { 0 }, 0, false },
                { "@adm", 77, { 1, 9, 4 }, 3, true },
                { "@adm", 77, { 1, 9, 4 }, 2, false },
                { "@adm", 4, { 0 }, 0, false },
                { "@6000", 77, { 6000 }, 1, true },
                { "6000", 77, { 6000 }, 1, false },
                { "0", 0, { 0 }, 0, true },
                { "@0", 7, { 0 }, 1, true },
                { "007", 7, { 0 }, 0, true },
                { "4294967294", 4294967294, { 0 }, 0, true },
                { "*", 4294967294, { 0 }, 0, true },
                { "daemon *", 77, { 0 }, 0, true },
                { "", 0, { 0 }, 1, false },
                { " \t ", 77, { 77 }, 1, false },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(principals_free) Principals *p = parse(cases[i].text);

                CHECK(principals_match(p, cases[i].uid, cases[i].gids, cases[i].n_gids) ==
                              cases[i].meant,
                      cases[i].text);
        }
}

static void what_names_nobody_is_refused_with_the_word(void **state UNUSED)
{
        static const struct {
                const char *text, *why;
        } cases[] = {
                { "root no-such-user", "there is no user 'no-such-user'; expected names or" },
                { "@adm @no-such-group", "there is no group 'no-such-group'; expected names or" },
                { "@", "there is no group ''; expected" },
                { "@@adm", "there is no group '@adm'; expected" },
                { "root,daemon", "there is no user 'root,daemon'; expected" },
                { "**", "there is no user '**'; expected" },
                { "@*", "there is no group '*'; expected" },
                { "-1", "there is no user '-1'; expected" },
                { "+1", "there is no user '+1'; expected" },
                { "0x0", "there is no user '0x0'; expected" },
                { "4294967295", "4294967295 is no number of a user, which are below 4294967295" },
                { "@4294967295", "4294967295 is no number of a group, which are below" },
                { "4294967296", "4294967296 is no number of a user" },
                { "18446744073709551616", "18446744073709551616 is no number of a user" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                char why[256] = "";
                Principals *p = NULL;

                CHECK(principals_parse(&p, cases[i].text, why, sizeof(why)) == -EINVAL,
                      cases[i].text);
                CHECK(p == NULL, cases[i].text);
                if (strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
                        fail_msg("%s\nfound:    %s\nexpected: %s", cases[i].text, why,
                                 cases[i].why);
        }
}

static void equal_is_what_means_the_same(void **state UNUSED)
{
        static const struct {
                const char *a, *b; /* NULL: not set */
                bool equal;
        } cases[] = {
                { NULL, NULL, true },
                { NULL, "", false }, /* not set is not nobody */
                { "", " ", true },
                { "root daemon", "daemon 0 root", true },
                { "root daemon", "daemon", false },
                { "root", "@root", false },
                { "@adm @3", "@sys @4", true },
                { "*", "* *", true },
                { "*", "root", false },
                { "* root", "*", false },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(principals_free) Principals *a = cases[i].a ? parse(cases[i].a) : NULL;
                AUTO(principals_free) Principals *b = cases[i].b ? parse(cases[i].b) : NULL;
                const char *row = cases[i].b ? cases[i].b : "(not set)";

                CHECK(principals_equal(a, b) == cases[i].equal, row);
                CHECK(principals_equal(b, a) == cases[i].equal, row);
        }
}

static void nobody_is_told_from_somebody(void **state UNUSED)
{
        static const char *const somebody[] = { "*", "root", "@root" };
        AUTO(principals_free) Principals *empty = parse("");

        assert_true(principals_nobody(NULL));
        assert_true(principals_nobody(empty));
        for (size_t i = 0; i < ELEMENTS(somebody); i++) {
                AUTO(principals_free) Principals *p = parse(somebody[i]);

                CHECK(!principals_nobody(p), somebody[i]);
        }
}

static void sets_are_sorted_and_have_nothing_twice(void **state UNUSED)
{
        PrincipalIds set = { 0 };

        for (uint32_t i = 0; i < 2000; i++) /* 3 has no factor in common with 1000 */
                assert_int_equal(principal_ids_add(&set, i * 3 % 1000 * 2), 0);
        assert_int_equal(set.n, 1000);
        for (unsigned i = 0; i < set.n; i++)
                assert_int_equal(set.ids[i], i * 2);
        for (uint32_t id = 0; id < 2002; id++)
                assert_int_equal(principal_ids_have(&set, id), id % 2 == 0 && id < 2000);
        principal_ids_clear(&set);
        assert_false(principal_ids_have(&set, 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(users_groups_and_numbers_are_matched),
                cmocka_unit_test(what_names_nobody_is_refused_with_the_word),
                cmocka_unit_test(equal_is_what_means_the_same),
                cmocka_unit_test(nobody_is_told_from_somebody),
                cmocka_unit_test(sets_are_sorted_and_have_nothing_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
