/* SPDX-License-Identifier: MIT */

#include "ops/status_line.h"

#include "base/utf8.h"
#include "unit.h"

static const StatusFacts facts = { .state = "running", .pools = 4, .serving = 3, .workers = 8,
                                   .busy = 5, .queued = 12, .running = 6, .done = 1234567890123 };

static void the_figures_come_first(void **state UNUSED)
{
        char text[512];
        StatusLine line;

        status_line_begin(&line, text, sizeof(text), &facts);
        assert_string_equal(text, "Running: 3 of 4 pools serve, 5 of 8 workers busy; jobs: 12 "
                                  "queued, 6 running, 1234567890123 done");
}

static void then_come_remarks(void **state UNUSED)
{
        StatusFacts f = { .state = "stopping", .detail = "SIGTERM",
                          .store_error = "the disk is full",
                          .refused = "/etc/brood/brood.conf:3: what" };
        char text[512];
        StatusLine line;

        status_line_begin(&line, text, sizeof(text), &f);
        status_line_add(&line, "pool %s is paused", "thumbs");
        assert_string_equal(text, "Stopping (SIGTERM): 0 of 0 pools serve, 0 of 0 workers busy; "
                                  "jobs: 0 queued, 0 running, 0 done; the store fails: the disk is "
                                  "full; reload refused: /etc/brood/brood.conf:3: what; pool "
                                  "thumbs is paused");
}

static void what_does_not_fit_is_cut(void **state UNUSED)
{
        for (size_t size = 1; size < 200; size++) {
                char text[201];
                StatusLine line;

                memset(text, 'x', sizeof(text));
                status_line_begin(&line, text, size, &facts);
                for (int i = 0; i < 20; i++)
                        status_line_add(&line, "remark %d", i);
                assert_int_equal(strlen(text), size - 1);
                assert_int_equal(text[size], 'x');
        }
}

static void what_is_not_text_on_one_line_is_replaced(void **state UNUSED)
{
        static const struct {
                const char *dirty, *clean;
        } cases[] = {
                { "", "" },
                { "as it is", "as it is" },
                { "two\nlines\r\n", "two lines  " },
                { "\x1b[31mred\x7f", " [31mred " },
                { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
                { "cut \xc3", "cut ?" },
                { "\xff\xc0\x80", "???" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                char text[64];

                (void)snprintf(text, sizeof(text), "%s", cases[i].dirty);
                status_line_clean(text);
                assert_string_equal(text, cases[i].clean);
                assert_true(utf8_valid(slice_of(text)));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_figures_come_first),
                cmocka_unit_test(then_come_remarks),
                cmocka_unit_test(what_does_not_fit_is_cut),
                cmocka_unit_test(what_is_not_text_on_one_line_is_replaced),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
