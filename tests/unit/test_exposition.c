/* SPDX-License-Identifier: MIT */

/* Figures as text, in both formats. */

#include "ops/exposition.h"

#include <string.h>

#include "base/cleanup.h"

#include "unit.h"

static Exposition begin(Buffer *b, bool openmetrics)
{
        return (Exposition){ .out = b, .openmetrics = openmetrics };
}

static void a_gauge_is_the_same_in_both_formats(void **state)
{
        for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                Exposition e = begin(&b, openmetrics);

                exposition_family(&e, EXPOSITION_GAUGE, "x_jobs", "Jobs, now.");
                exposition_count(&e, NO_LABELS, 7);
                assert_text(&b, "# HELP x_jobs Jobs, now.\n# TYPE x_jobs gauge\nx_jobs 7\n");
        }
}

static void the_family_of_a_counter_has_the_suffix_in_the_older_format_alone(void **state)
{
        AUTO(buffer_fini) Buffer old = BUFFER_INIT, new = BUFFER_INIT;
        Exposition e = begin(&old, false);

        exposition_family(&e, EXPOSITION_COUNTER, "x", "Xs.");
        exposition_count(&e, NO_LABELS, UINT64_MAX);
        assert_text(&old, "# HELP x_total Xs.\n# TYPE x_total counter\n"
                          "x_total 18446744073709551615\n");
        e = begin(&new, true);
        exposition_family(&e, EXPOSITION_COUNTER, "x", "Xs.");
        exposition_count(&e, NO_LABELS, 0);
        assert_text(&new, "# HELP x Xs.\n# TYPE x counter\nx_total 0\n");
}

static void labels_stand_in_their_order_and_up_to_three(void **state)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Exposition e = begin(&b, true);

        e.name = "x";
        exposition_count(&e, LABELS({ "a", "1" }), 1);
        exposition_count(&e, LABELS({ "a", "1" }, { "b", "2" }), 2);
        exposition_count(&e, LABELS({ "a", "1" }, { "b", "2" }, { "c", "" }), 3);
        assert_text(&b, "x{a=\"1\"} 1\nx{a=\"1\",b=\"2\"} 2\nx{a=\"1\",b=\"2\",c=\"\"} 3\n");
}

static void what_would_end_a_value_or_the_line_is_escaped(void **state)
{
        static const struct {
                const char *value, *text;
        } cases[] = {
                { "a\"b", "x{l=\"a\\\"b\"} 0\n" },   { "a\\b", "x{l=\"a\\\\b\"} 0\n" },
                { "a\nb", "x{l=\"a\\nb\"} 0\n" },    { "\"", "x{l=\"\\\"\"} 0\n" },
                { "\\n", "x{l=\"\\\\n\"} 0\n" },     { "a{b}=,#", "x{l=\"a{b}=,#\"} 0\n" },
                { "µ ✓ 日", "x{l=\"µ ✓ 日\"} 0\n" }, { "a b", "x{l=\"a b\"} 0\n" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                Exposition e = begin(&b, true);

                e.name = "x";
                exposition_count(&e, LABELS({ "l", cases[i].value }), 0);
                CHECK(buffer_is(&b, cases[i].text), cases[i].value);
        }
}

static void times_are_seconds_to_the_microsecond(void **state)
{
        static const struct {
                usec_t value;
                const char *text;
        } cases[] = {
                { 0, "x 0.000000\n" },
                { 1, "x 0.000001\n" },
                { 999999, "x 0.999999\n" },
                { USEC_PER_SEC, "x 1.000000\n" },
                { 1700000000000001, "x 1700000000.000001\n" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                Exposition e = begin(&b, true);

                e.name = "x";
                exposition_usec(&e, NO_LABELS, cases[i].value);
                CHECK(buffer_is(&b, cases[i].text), cases[i].text);
        }
}

/* The number that a sample has; fails if there is none. */
static unsigned long long value_of(const Buffer *b, const char *sample)
{
        AUTO(buffer_fini) Buffer text = BUFFER_INIT;
        const char *at;

        buffer_append_slice(&text, buffer_slice(b));
        buffer_append_char(&text, '\0');
        at = strstr(buffer_bytes(&text), sample);
        if (!at)
                fail_msg("no %s in:\n%s", sample, buffer_bytes(&text));
        return strtoull(at + strlen(sample), NULL, 10);
}

static unsigned count_of(const Buffer *b, const char *word)
{
        AUTO(buffer_fini) Buffer text = BUFFER_INIT;
        unsigned n = 0;

        buffer_append_slice(&text, buffer_slice(b));
        buffer_append_char(&text, '\0');
        for (const char *at = buffer_bytes(&text); (at = strstr(at, word)); at++)
                n++;
        return n;
}

static void a_histogram_has_its_buckets_its_sum_and_its_number(void **state)
{
        static const char bound[] = "x_bucket{p=\"q\",le=\"";
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Exposition e = begin(&b, false);
        Histogram h = { 0 };

        histogram_add(&h, 3);
        histogram_add(&h, 63);
        histogram_add(&h, 64);
        histogram_add(&h, 3 * USEC_PER_SEC);
        histogram_add(&h, (usec_t)1 << 39); /* longer than all bounds but the last */
        exposition_family(&e, EXPOSITION_HISTOGRAM, "x", "Xs.");
        exposition_histogram(&e, LABELS({ "p", "q" }), &h);
        assert_int_equal(count_of(&b, bound), 16);
        assert_int_equal(value_of(&b, "x_bucket{p=\"q\",le=\"0.000016\"} "), 1);
        assert_int_equal(value_of(&b, "x_bucket{p=\"q\",le=\"0.000064\"} "), 2);
        assert_int_equal(value_of(&b, "x_bucket{p=\"q\",le=\"0.000256\"} "), 3);
        assert_int_equal(value_of(&b, "x_bucket{p=\"q\",le=\"1.048576\"} "), 3);
        assert_int_equal(value_of(&b, "x_bucket{p=\"q\",le=\"4.194304\"} "), 4);
        assert_int_equal(value_of(&b, "x_bucket{p=\"q\",le=\"4294.967296\"} "), 4);
        assert_int_equal(value_of(&b, "x_bucket{p=\"q\",le=\"+Inf\"} "), 5);
        assert_int_equal(value_of(&b, "x_count{p=\"q\"} "), 5);
        assert_int_equal(value_of(&b, "x_sum{p=\"q\"} "), (((usec_t)1 << 39) + 3000130) / 1000000);
        assert_int_equal(count_of(&b, "# TYPE x histogram\n"), 1);
}

static void a_histogram_without_labels_has_the_bound_alone(void **state)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Exposition e = begin(&b, true);
        const Histogram none = { 0 };

        e.name = "x";
        exposition_histogram(&e, NO_LABELS, &none);
        assert_int_equal(value_of(&b, "x_bucket{le=\"+Inf\"} "), 0);
        assert_int_equal(count_of(&b, "x_sum 0.000000\nx_count 0\n"), 1);
}

static void openmetrics_alone_has_an_end(void **state)
{
        AUTO(buffer_fini) Buffer old = BUFFER_INIT, new = BUFFER_INIT;
        Exposition e = begin(&old, false);

        exposition_end(&e);
        assert_int_equal(buffer_len(&old), 0);
        e = begin(&new, true);
        exposition_end(&e);
        assert_text(&new, "# EOF\n");
}

static void each_format_has_the_media_type_of_its_specification(void **state)
{
        assert_string_equal(exposition_media_type(true),
                            "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert_string_equal(exposition_media_type(false),
                            "text/plain; version=0.0.4; charset=utf-8");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_gauge_is_the_same_in_both_formats),
                cmocka_unit_test(the_family_of_a_counter_has_the_suffix_in_the_older_format_alone),
                cmocka_unit_test(labels_stand_in_their_order_and_up_to_three),
                cmocka_unit_test(what_would_end_a_value_or_the_line_is_escaped),
                cmocka_unit_test(times_are_seconds_to_the_microsecond),
                cmocka_unit_test(a_histogram_has_its_buckets_its_sum_and_its_number),
                cmocka_unit_test(a_histogram_without_labels_has_the_bound_alone),
                cmocka_unit_test(openmetrics_alone_has_an_end),
                cmocka_unit_test(each_format_has_the_media_type_of_its_specification),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
