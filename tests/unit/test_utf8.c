/* SPDX-License-Identifier: MIT */

#include "base/utf8.h"

#include "unit.h"

static void the_ends_of_each_length_are_well_formed(void **state UNUSED)
{
        static const char *const cases[] = {
                "",
                "plain",
                "\x7f",
                "\xc2\x80",
                "\xdf\xbf",
                "\xe0\xa0\x80",
                "\xed\x9f\xbf",
                "\xee\x80\x80",
                "\xef\xbf\xbf",
                "\xf0\x90\x80\x80",
                "\xf4\x8f\xbf\xbf",
                "a\xc3\xa9z\xe2\x82\xac\xf0\x9f\x98\x80.",
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(utf8_valid(slice_of(cases[i])), cases[i]);
}

static void what_lies_outside_is_not(void **state UNUSED)
{
        static const struct {
                const char *name, *text;
        } cases[] = {
                { "a continuation alone", "\x80" },
                { "overlong /", "\xc0\xaf" },
                { "overlong DEL", "\xc1\xbf" },
                { "overlong in three bytes", "\xe0\x9f\xbf" },
                { "overlong in four bytes", "\xf0\x8f\xbf\xbf" },
                { "the first surrogate", "\xed\xa0\x80" },
                { "the last surrogate", "\xed\xbf\xbf" },
                { "above U+10FFFF", "\xf4\x90\x80\x80" },
                { "a first byte above F4", "\xf5\x80\x80\x80" },
                { "FF", "\xff" },
                { "two bytes cut", "a\xc3" },
                { "three bytes cut", "a\xe2\x82" },
                { "four bytes cut", "a\xf0\x9f\x98" },
                { "a second byte that is none", "\xc3(" },
                { "a third byte that is none", "\xe2\x82(" },
                { "a fourth byte that is none", "\xf0\x9f\x98(" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(!utf8_valid(slice_of(cases[i].text)), cases[i].name);
}

static void nul_is_a_character_like_others(void **state UNUSED)
{
        assert_true(utf8_valid((Slice){ "a\0b", 3 }));
        assert_true(utf8_valid((Slice){ NULL, 0 }));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_ends_of_each_length_are_well_formed),
                cmocka_unit_test(what_lies_outside_is_not),
                cmocka_unit_test(nul_is_a_character_like_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
