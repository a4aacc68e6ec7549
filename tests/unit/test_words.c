/* SPDX-License-Identifier: MIT */

#include "settings/words.h"

#include "unit.h"

/* The words with a | after each. */
static bool words_are(char *const *words, const char *joined)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        for (char *const *w = words; w && *w; w++) {
                buffer_append_string(&b, *w);
                buffer_append_char(&b, '|');
        }
        return buffer_is(&b, joined);
}

static void words_stand_between_blanks(void **state UNUSED)
{
        static const struct {
                const char *text, *words;
        } cases[] = {
                { "", "" },
                { " \t ", "" },
                { "one", "one|" },
                { "  one \t two  ", "one|two|" },
                { "\"a b\" c\\d", "\"a|b\"|c\\d|" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(words_free) char **words = NULL;

                CHECK(words_split(&words, cases[i].text) == 0, cases[i].text);
                CHECK(words_are(words, cases[i].words), cases[i].text);
        }
}

static void quotes_and_escapes_are_those_of_systemd(void **state UNUSED)
{
        static const struct {
                const char *text, *words;
        } cases[] = {
                { "", "" },
                { "/bin/sh -c 'a b; c'", "/bin/sh|-c|a b; c|" },
                { "\"a 'b' c\" 'd \"e\" f'", "a 'b' c|d \"e\" f|" },
                { "a\"b c\"d 'e'f", "ab cd|ef|" },
                { "\"\" ''", "||" },
                { "a\\\\b \\\"c\\' \\s", "a\\b|\"c'| |" },
                { "\"a\\\"b\" 'c\\'d'", "a\"b|c'd|" },
                { "\\a\\b\\f\\n\\r\\t\\v", "\a\b\f\n\r\t\v|" },
                { "\\x41\\101\\u00e9\\u20ac\\U0001f600",
                  "AA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|" },
                { "\\xc3\\xa9", "\xc3\xa9|" },
                { "\xc3\xa9 $HOME %h", "\xc3\xa9|$HOME|%h|" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(words_free) char **words = NULL;

                CHECK(words_split_quoted(&words, cases[i].text) == 0, cases[i].text);
                CHECK(words_are(words, cases[i].words), cases[i].text);
        }
}

static void open_quotes_and_unknown_escapes_are_refused(void **state UNUSED)
{
        static const char *const cases[] = {
                "\"a",     "'a",     "a\"",    "\\",          "\"a\\",     "\\q",      "\\ ",
                "\\x4",    "\\x4g",  "\\x00",  "\\000",       "\\400",     "\\18",     "\\u12",
                "\\ud800", "\\xff",  "\\u0000", "\\U00110000", "a \"b\" 'c",
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                char **words = NULL;

                CHECK(words_split_quoted(&words, cases[i]) == -EINVAL && !words, cases[i]);
        }
}

static void lists_are_equal_word_by_word(void **state UNUSED)
{
        char *const one[] = { "a", "b", NULL }, *const same[] = { "a", "b", NULL };
        char *const other[] = { "a", "c", NULL }, *const shorter[] = { "a", NULL };

        assert_true(words_equal(one, same));
        assert_false(words_equal(one, other));
        assert_false(words_equal(one, shorter));
        assert_false(words_equal(shorter, one));
        assert_false(words_equal(NULL, shorter));
        assert_true(words_equal(NULL, NULL));
        assert_int_equal(words_count(one), 2);
        assert_int_equal(words_count(NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_stand_between_blanks),
                cmocka_unit_test(quotes_and_escapes_are_those_of_systemd),
                cmocka_unit_test(open_quotes_and_unknown_escapes_are_refused),
                cmocka_unit_test(lists_are_equal_word_by_word),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
