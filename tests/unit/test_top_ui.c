/* SPDX-License-Identifier: MIT */

/* The tables of `top`, and the keys that move in them. */

#include <locale.h>
#include <stdlib.h>
#include <wchar.h>

#include "ctl/top/screen.h"
#include "ctl/top/ui.h"

#include "unit.h"

static TopSample sample;
static TopPool pools[4];
static TopWorker workers[2];
static TopModel model;
static TopUi ui;

static TopPool pool_of(const char *name, const char *state, uint64_t queued, double rate)
{
        TopPool p = { .queued = queued, .done_rate = rate, .wait = { 1000, 2000, TOP_NO_TIME } };

        (void)snprintf(p.name, sizeof(p.name), "%s", name);
        (void)snprintf(p.state, sizeof(p.state), "%s", state);
        return p;
}

static int set_up(void **state)
{
        pools[0] = pool_of("mail", "running", 7, 0.5);
        pools[1] = pool_of("images", "paused", 123456, 0);
        pools[2] = pool_of("p10", "running", 0, 12345);
        pools[3] = pool_of("p9", "failed", 0, 3);
        memset(workers, 0, sizeof(workers));
        (void)snprintf(workers[0].name, sizeof(workers[0].name), "mail.0");
        (void)snprintf(workers[0].job, sizeof(workers[0].job), "some-job");
        (void)snprintf(workers[1].name, sizeof(workers[1].name), "mail.1");
        model = (TopModel){ .now = &sample, .pools = pools, .n_pools = 4, .workers = workers,
                            .n_workers = 2 };
        top_ui_init(&ui);
        ui.body = 3;
        assert_int_equal(top_ui_update(&ui, &model), 0);
        return 0;
}

static int tear_down(void **state)
{
        top_ui_fini(&ui);
        return 0;
}

/* The names of the rows, in order. */
static const char *rows(void)
{
        static char text[256];
        size_t n = 0;

        text[0] = '\0';
        for (uint32_t i = 0; i < ui.n; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "",
                                      top_row_name(&model, ui.view, ui.order[i]));
        return text;
}

static TopWish key(int k)
{
        return top_ui_key(&ui, &model, k);
}

static void keys(const char *text)
{
        for (; *text; text++)
                (void)key(*text);
}

static void rows_are_sorted_by_any_column_either_way(void **state)
{
        assert_string_equal(rows(), "images mail p9 p10"); /* numbers in names count */
        keys("r");
        assert_string_equal(rows(), "p10 p9 mail images");
        keys(">>>"); /* state, busy, queue: numbers begin with the greatest */
        assert_string_equal(rows(), "images mail p9 p10");
        assert_non_null(strstr(ui.words, "QUEUE"));
        keys("r");
        assert_string_equal(rows(), "p9 p10 mail images");
        keys("<");
        assert_non_null(strstr(ui.words, "BUSY"));
        keys("<<<"); /* round to the last one that is shown */
        assert_non_null(strstr(ui.words, "DONE ("));
}

static void the_cursor_goes_with_its_row(void **state)
{
        (void)key(SCREEN_DOWN);
        assert_string_equal(ui.selected, "mail");
        keys("r");
        assert_string_equal(ui.selected, "mail");
        assert_int_equal(ui.cursor, 2);
        pools[0] = pool_of("zzz", "running", 1, 1); /* it is gone */
        assert_int_equal(top_ui_update(&ui, &model), 0);
        assert_int_equal(ui.cursor, 2);
        assert_ptr_equal(top_ui_row(&ui, &model), &pools[ui.order[2]]);
        (void)key(SCREEN_END);
        assert_int_equal(ui.cursor, 3);
        (void)key(SCREEN_DOWN);
        assert_int_equal(ui.cursor, 3);
        (void)key(SCREEN_PAGE_UP);
        assert_int_equal(ui.cursor, 1);
        (void)key(SCREEN_HOME);
        (void)key(SCREEN_UP);
        assert_int_equal(ui.cursor, 0);
}

static void a_filter_takes_any_text_of_the_row(void **state)
{
        keys("/PAUS"); /* keys that mean something in the table are text here */
        assert_int_equal(ui.mode, TOP_TYPING);
        assert_string_equal(rows(), "images");
        (void)key(SCREEN_BACKSPACE);
        (void)key(SCREEN_BACKSPACE);
        (void)key(SCREEN_BACKSPACE);
        (void)key(SCREEN_ENTER);
        assert_int_equal(ui.mode, TOP_LIST);
        assert_string_equal(rows(), "images p9 p10");
        (void)key(SCREEN_ESCAPE);
        assert_string_equal(rows(), "images mail p9 p10");
        keys("/nothing like it");
        assert_int_equal(ui.n, 0);
        (void)key(SCREEN_ENTER);
        assert_null(top_ui_row(&ui, &model));
        (void)key(SCREEN_DOWN);
        (void)key(SCREEN_END);
        assert_int_equal(ui.cursor, 0);
        assert_int_equal(key('z'), TOP_WISH_PAUSE); /* who does it finds no row */
        keys("/");
        (void)key(SCREEN_ESCAPE);
        assert_string_equal(rows(), "images mail p9 p10");
        keys("/");
        for (int i = 0; i < 200; i++)
                (void)key(0xe4);
        assert_true(strlen(ui.filter) < sizeof(ui.filter));
}

static void a_job_is_cancelled_only_after_a_yes(void **state)
{
        assert_int_equal(key('k'), TOP_WISH_NOTHING);
        assert_true(ui.bad); /* a pool is no job */
        assert_int_equal(ui.mode, TOP_LIST);
        keys("wk");
        assert_int_equal(ui.mode, TOP_CONFIRM);
        assert_string_equal(ui.job, "some-job");
        assert_int_equal(key('q'), TOP_WISH_NOTHING);
        assert_int_equal(ui.mode, TOP_LIST);
        keys("k");
        assert_int_equal(key('y'), TOP_WISH_CANCEL);
        (void)key(SCREEN_DOWN);
        keys("k");
        assert_true(ui.bad); /* this worker has none */
}

static void a_page_is_read_and_closed(void **state)
{
        Buffer *b = top_ui_open_page(&ui, "A page");

        for (int i = 0; i < 10; i++)
                buffer_printf(b, "line %d\n", i);
        (void)key(SCREEN_END);
        assert_int_equal(ui.page_first, 7);
        (void)key(SCREEN_DOWN);
        assert_int_equal(ui.page_first, 7);
        (void)key(SCREEN_PAGE_UP);
        assert_int_equal(ui.page_first, 5);
        (void)key(SCREEN_HOME);
        assert_int_equal(ui.page_first, 0);
        assert_int_equal(key('q'), TOP_WISH_CLOSE);
        assert_int_equal(ui.mode, TOP_LIST);
        assert_int_equal(key('q'), TOP_WISH_QUIT);
}

static void columns_fit_whatever_the_width_is(void **state)
{
        unsigned widths[TOP_MAX_COLUMNS], n;

        for (TopView v = 0; v < TOP_N_VIEWS; v++)
                for (unsigned width = 1; width < 300; width++) {
                        unsigned sum = 0, shown = 0;

                        (void)top_columns(v, &n);
                        top_fit(&model, v, width, widths);
                        for (unsigned i = 0; i < TOP_MAX_COLUMNS; i++) {
                                shown += widths[i] > 0;
                                sum += widths[i];
                                assert_true(i < n || !widths[i]);
                        }
                        assert_true(widths[0] && sum + shown - 1 <= width);
                }
        top_fit(&model, TOP_POOLS, 80, widths);
        n = 0;
        for (unsigned i = 0; i < TOP_MAX_COLUMNS; i++)
                n += widths[i] > 0;
        assert_int_equal(n, 12); /* all quantiles are there */
}

static void text_is_cut_by_columns(void **state)
{
        static const struct {
                const char *text;
                unsigned columns;
                const char *cut;
                unsigned used;
        } table[] = {
                { "images", 10, "images", 6 },   { "images", 6, "images", 6 },
                { "images", 5, "imag…", 5 },     { "images", 1, "…", 1 },
                { "images", 0, "", 0 },          { "größer", 6, "größer", 6 },
                { "größer", 4, "grö…", 4 },      { "日本語", 6, "日本語", 6 },
                { "日本語", 5, "日本…", 5 },     { "日本語", 4, "日…", 3 },
                { "日本語", 2, "…", 1 },         { "a\tb", 3, "a b", 3 },
                { "e\xcc\x81t\xc3\xa9", 3, "e\xcc\x81t\xc3\xa9", 3 },
        };
        char cut[64];

        for (size_t i = 0; i < ELEMENTS(table); i++) {
                CHECK(top_clip(table[i].text, table[i].columns, cut, sizeof(cut)) ==
                              table[i].used,
                      table[i].text);
                CHECK(strcmp(cut, table[i].cut) == 0, table[i].text);
        }
        assert_true(top_clip("日本語日本語", 12, cut, 10) <= 12); /* no room in memory either */
        assert_true(strlen(cut) < 10);
}

static void numbers_have_five_characters(void **state)
{
        for (uint64_t v = 0; v < UINT64_MAX / 3; v = v + 1 + v / 7) {
                assert_true(strlen(top_count(v).text) <= 5);
                if (v / USEC_PER_SEC < 9999 * 86400ULL)
                        CHECK(strlen(top_span(v).text) <= 6, top_span(v).text);
                if (v < 99 * 3600 * USEC_PER_SEC)
                        CHECK(strlen(top_span(v).text) <= 5, top_span(v).text);
                CHECK(strlen(top_rate((double)v / 9).text) <= 5, top_rate((double)v / 9).text);
        }
        assert_string_equal(top_span(9960).text, "10ms");
        assert_string_equal(top_span(999700).text, "1.0s");
        assert_string_equal(top_span(205 * USEC_PER_SEC).text, "3m25");
        assert_string_equal(top_span(5 * 3600 * USEC_PER_SEC + 7 * 60 * USEC_PER_SEC).text, "5h7");
        assert_string_equal(top_span(50 * 3600 * USEC_PER_SEC).text, "2d2h");
        assert_string_equal(top_rate(0).text, "0");
        assert_string_equal(top_rate(0.25).text, "0.25");
        assert_string_equal(top_count(1234567).text, "1.2M");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
                TEST(rows_are_sorted_by_any_column_either_way),
                TEST(the_cursor_goes_with_its_row),
                TEST(a_filter_takes_any_text_of_the_row),
                TEST(a_job_is_cancelled_only_after_a_yes),
                TEST(a_page_is_read_and_closed),
                TEST(columns_fit_whatever_the_width_is),
                TEST(text_is_cut_by_columns),
                TEST(numbers_have_five_characters),
        };

        (void)setenv("LC_ALL", "C.UTF-8", 1);
        print_init();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
