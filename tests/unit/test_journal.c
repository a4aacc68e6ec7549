/* SPDX-License-Identifier: MIT */

/* Entries for the journal, as the native protocol has them. */

#include "ops/journal.h"

#include "unit.h"

static JournalEntry entry;

static Slice text(void)
{
        return (Slice){ entry.bytes, entry.n };
}

static void a_message_goes_with_its_length_and_other_fields_as_lines(void **state)
{
        journal_begin(&entry, SLICE("a\nb\0c"), 5, "broodd");
        journal_add(&entry, "BROOD_POOL", "exec");
        journal_add_number(&entry, "BROOD_USER", 0);
        assert_true(slice_equal(text(), SLICE("MESSAGE\n\5\0\0\0\0\0\0\0a\nb\0c\nPRIORITY=5\n"
                                              "SYSLOG_IDENTIFIER=broodd\nBROOD_POOL=exec\n"
                                              "BROOD_USER=0\n")));
}

static void a_value_with_a_newline_makes_no_field_of_its_own(void **state)
{
        journal_begin(&entry, SLICE(""), 5, NULL);
        entry.n = 0;
        journal_add(&entry, "BROOD_HANDLER", "x\nPRIORITY=0");
        assert_true(slice_equal(text(),
                                SLICE("BROOD_HANDLER\n\x0c\0\0\0\0\0\0\0x\nPRIORITY=0\n")));
}

static void what_is_nothing_is_left_out(void **state)
{
        journal_begin(&entry, SLICE("m"), 5, NULL);
        entry.n = 0;
        journal_add(&entry, "BROOD_POOL", NULL);
        journal_add(&entry, "BROOD_POOL", "");
        assert_int_equal(entry.n, 0);
}

/* It asserts that there is room, so this is the worst that callers do. */
static void the_longest_entry_has_room(void **state)
{
        static char line[2 * JOURNAL_LINE_MAX], value[2 * JOURNAL_VALUE_MAX];

        memset(line, 'x', sizeof(line));
        memset(value, 'y', sizeof(value) - 1);
        journal_begin(&entry, (Slice){ line, sizeof(line) }, 5, value);
        for (int i = 0; i < 12; i++)
                journal_add(&entry, "SOME_FIELD_WITH_A_LONG_NAME", value);
        value[0] = '\n';
        journal_add(&entry, "SOME_FIELD_WITH_A_LONG_NAME", value);
        assert_true(entry.n > JOURNAL_LINE_MAX && entry.n <= JOURNAL_ENTRY_MAX);
}

static void a_cut_spares_characters(void **state)
{
        static const struct {
                const char *text;
                size_t cut;
        } rows[] = {
                { "abc", 3 },
                { "ab\xc3", 2 },         /* one of two bytes */
                { "ab\xc3\xa4", 4 },
                { "ab\xe2\x82", 2 },     /* two of three */
                { "ab\xe2\x82\xac", 5 },
                { "ab\xf0\x9f\x98", 2 }, /* three of four */
                { "ab\xf0\x9f\x98\x80", 6 },
                { "\x80\x80\x80\x80", 4 }, /* no text at all */
                { "\xf0", 1 },           /* never nothing */
        };

        for (size_t i = 0; i < ELEMENTS(rows); i++)
                CHECK(journal_cut(rows[i].text, strlen(rows[i].text)) == rows[i].cut, rows[i].text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_message_goes_with_its_length_and_other_fields_as_lines),
                cmocka_unit_test(a_value_with_a_newline_makes_no_field_of_its_own),
                cmocka_unit_test(what_is_nothing_is_left_out),
                cmocka_unit_test(the_longest_entry_has_room),
                cmocka_unit_test(a_cut_spares_characters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
