/* SPDX-License-Identifier: MIT */

#include "settings/environment_file.h"

#include "settings/words.h"
#include "unit.h"

/* The variables with a | after each. */
static bool words_are(char *const *words, const char *joined)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        for (char *const *w = words; w && *w; w++) {
                buffer_append_string(&b, *w);
                buffer_append_char(&b, '|');
        }
        return buffer_is(&b, joined);
}

static void lines_are_read_as_systemd_reads_them(void **state UNUSED)
{
        static const struct {
                const char *text, *variables;
        } cases[] = {
                { "", "" },
                { "\n\n \t\n\r\n", "" },
                { "A=1", "A=1|" },
                { "A=1\nB=2\n", "A=1|B=2|" },
                { "A=1\r\nB=2\r\n", "A=1|B=2|" },
                { "A=1\nB=2\nA=3\n", "A=3|B=2|" },
                { "A=\nB=\"\"\n", "A=|B=|" },
                { "  A \t= \t1 \t\n", "A=1|" },
                { "# c\n; d\n  #e\nA=1 # no comment\n", "A=1 # no comment|" },
                { "# a comment ends \\\nA=1\n", "A=1|" },
                { "A=b=c\n", "A=b=c|" },
                { "A=a  b\n", "A=a  b|" },
                { "A=$HOME ${X} `y` %i\n", "A=$HOME ${X} `y` %i|" },
                /* bare: the backslash goes, also with the end of a line */
                { "A=a\\b\\\\c\\ \n", "A=ab\\c |" },
                { "A=a\\\nb\nB=1", "A=ab|B=1|" },
                { "A=it's \"so\"\n", "A=it's \"so\"|" },
                /* '…': all as it stands */
                { "A='a\\b \"c\" '\n", "A=a\\b \"c\" |" },
                { "A='a\nb'\nB=1\n", "A=a\nb|B=1|" },
                /* "…": a backslash counts before some */
                { "A=\"a\\\"b\\\\c\\$d\\`e\\nf\"\n", "A=a\"b\\c$d`e\\nf|" },
                { "A=\"a\\\nb\nc\"\n", "A=ab\nc|" },
                /* pieces */
                { "A='a ' \"b\"c d\n", "A=a bc d|" },
                { "A= 'x' \n", "A=x|" },
                { "A='\xc3\xa9'\n", "A=\xc3\xa9|" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(words_free) char **variables = NULL;
                SettingsError error = { 0 };

                CHECK(environment_file_parse(&variables, "f", slice_of(cases[i].text), &error) == 0,
                      cases[i].text);
                CHECK(words_are(variables, cases[i].variables), cases[i].text);
        }
}

static void what_is_no_assignment_is_told_with_its_line(void **state UNUSED)
{
        static const struct {
                Slice text;
                int line;
                const char *message;
        } cases[] = {
                { SLICE("A=1\nnonsense\n"), 2, "expected NAME=value or a # comment" },
                { SLICE("\n\nexport A=1\n"), 3, "expected the name of a variable" },
                { SLICE("=1\n"), 1, "expected the name of a variable" },
                { SLICE("1A=1\n"), 1, "expected the name of a variable" },
                { SLICE("A-B=1\n"), 1, "expected the name of a variable" },
                { SLICE("A='x\n\nB=1\n"), 1, "a quote is not closed: expected another '" },
                { SLICE("A='x\n'\nB=\"x\\\""), 3, "a quote is not closed: expected another \"" },
                { SLICE("A=\"\\"), 1, "a quote is not closed" },
                { SLICE("A=1\nB=\xff\n"), 2, "expected UTF-8 without NUL" },
                { SLICE("A=1\0x\n"), 1, "expected UTF-8 without NUL" },
                { SLICE("A\0=1\n"), 1, "expected UTF-8 without NUL" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(words_free) char **variables = NULL;
                SettingsError error = { 0 };

                CHECK(environment_file_parse(&variables, "/f", cases[i].text, &error) == -EINVAL,
                      cases[i].text.data);
                CHECK(error.line == cases[i].line, cases[i].text.data);
                CHECK(strstr(error.message, cases[i].message), error.message);
                assert_string_equal(error.file, "/f");
        }
}

/* Every start of a text is read without harm. */
static void a_text_may_end_anywhere(void **state UNUSED)
{
        const char text[] = "# c\\\nA=a\\\nb 'c'\nB=\"d\\\"\\\n\" 'e' f\\\nC =\t'g\nh'\n";

        for (size_t n = 0; n < sizeof(text); n++) {
                AUTO(words_free) char **variables = NULL;
                AUTO(free) char *copy = malloc(n + 1); /* no byte more, for the sanitizer */
                SettingsError error = { 0 };
                int r;

                memcpy(copy, text, n);
                r = environment_file_parse(&variables, "f", (Slice){ copy, n }, &error);
                assert_true(r == 0 || (r == -EINVAL && error.line > 0));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lines_are_read_as_systemd_reads_them),
                cmocka_unit_test(what_is_no_assignment_is_told_with_its_line),
                cmocka_unit_test(a_text_may_end_anywhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
