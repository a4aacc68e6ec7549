/* SPDX-License-Identifier: MIT */

#include "base/parse.h"

#include <time.h>

#include "unit.h"

static void whole_numbers_are_read_and_nothing_else(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
                uint64_t value;
        } cases[] = {
                { "0", 0, 0 },
                { "42", 0, 42 },
                { "007", 0, 7 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "1.0", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                uint64_t v = 0;

                CHECK(parse_u64(cases[i].text, &v) == cases[i].result, cases[i].text);
                CHECK(v == cases[i].value, cases[i].text);
        }
}

static void signed_numbers_reach_both_ends(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
                int64_t value;
        } cases[] = {
                { "0", 0, 0 },
                { "-1", 0, -1 },
                { "9223372036854775807", 0, INT64_MAX },
                { "-9223372036854775808", 0, INT64_MIN },
                { "9223372036854775808", -ERANGE, 0 },
                { "-9223372036854775809", -ERANGE, 0 },
                { "-", -EINVAL, 0 },
                { "--1", -EINVAL, 0 },
                { "", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                int64_t v = 0;

                CHECK(parse_i64(cases[i].text, &v) == cases[i].result, cases[i].text);
                CHECK(v == cases[i].value, cases[i].text);
        }
}

static void switches_have_twelve_words(void **state UNUSED)
{
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on", "YES", "On" };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off", "False" };
        static const char *const neither[] = { "", "2", "maybe", "yes ", "01" };
        bool v;

        for (size_t i = 0; i < ELEMENTS(yes); i++) {
                v = false;
                CHECK(parse_bool(yes[i], &v) == 0 && v, yes[i]);
        }
        for (size_t i = 0; i < ELEMENTS(no); i++) {
                v = true;
                CHECK(parse_bool(no[i], &v) == 0 && !v, no[i]);
        }
        for (size_t i = 0; i < ELEMENTS(neither); i++)
                CHECK(parse_bool(neither[i], &v) == -EINVAL, neither[i]);
}

static void spans_are_spelled_as_systemd_spells_them(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
                usec_t value;
        } cases[] = {
                { "0", 0, 0 },
                { "5", 0, 5000000 },
                { "5s", 0, 5000000 },
                { "5 sec", 0, 5000000 },
                { "250ms", 0, 250000 },
                { "7us", 0, 7 },
                { "7µs", 0, 7 },
                { "1.5s", 0, 1500000 },
                { ".5s", 0, 500000 },
                { "2min", 0, 120000000 },
                { "2m", 0, 120000000 },
                { "1h 30min", 0, 5400000000 },
                { "1h30min", 0, 5400000000 },
                { " 1 hour 1 second ", 0, 3601000000 },
                { "1d", 0, 86400000000 },
                { "1w", 0, 604800000000 },
                { "infinity", 0, USEC_INFINITY },
                { "", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "5 parsecs", -EINVAL, 0 },
                { "-5s", -EINVAL, 0 },
                { "5s,", -EINVAL, 0 },
                { "1.s", -EINVAL, 0 },
                { "1..5s", -EINVAL, 0 },
                { "infinity 5s", -EINVAL, 0 },
                { "99999999999999999999s", -ERANGE, 0 },
                { "300000w 300000w", 0, 362880000000000000 },
                { "20000000w", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                usec_t v = 0;

                CHECK(parse_span(cases[i].text, &v) == cases[i].result, cases[i].text);
                CHECK(v == cases[i].value, cases[i].text);
        }
}

static void sizes_go_by_1024(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
                uint64_t value;
        } cases[] = {
                { "0", 0, 0 },
                { "512", 0, 512 },
                { "512B", 0, 512 },
                { "64K", 0, 65536 },
                { "1M", 0, 1048576 },
                { "1.5M", 0, 1572864 },
                { "2 G", 0, 2147483648 },
                { "1T", 0, 1099511627776 },
                { "infinity", 0, UINT64_MAX },
                { "", -EINVAL, 0 },
                { "M", -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1MB", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "8E", -ERANGE, 0 },
                { "99999999999999999999", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                uint64_t v = 0;

                CHECK(parse_size(cases[i].text, &v) == cases[i].result, cases[i].text);
                CHECK(v == cases[i].value, cases[i].text);
        }
}

/* Thursday, 15 January 2026, 10:20:30 UTC */
#define NOW 1768472430123456ULL
#define UTC(seconds) ((seconds) * USEC_PER_SEC)

static void points_in_time_are_read_in_local_time_or_utc(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
                usec_t value;
        } cases[] = {
                { "now", 0, NOW },
                { "+5min", 0, NOW + 300000000 },
                { "@1700000000", 0, UTC(1700000000) },
                { "@1.5", 0, 1500000 },
                { "2026-02-01 00:00:00 UTC", 0, UTC(1769904000) },
                { "2026-02-01T00:00:00Z", 0, UTC(1769904000) },
                { "2026-02-01 12:30Z", 0, UTC(1769949000) },
                { "2026-02-01", 0, UTC(1769896800) },
                { "2026-02-01 12:30", 0, UTC(1769941800) },
                { "2026-07-01 12:30", 0, UTC(1782898200) },
                { "13:00", 0, UTC(1768474800) },
                { "13:00:05", 0, UTC(1768474805) },
                { "2024-02-29Z", 0, UTC(1709164800) },
                { "2026-02-29", -EINVAL, 0 },
                { "2026-04-31 10:00", -EINVAL, 0 },
                { "2026-13-01", -EINVAL, 0 },
                { "25:00", -EINVAL, 0 },
                { "tomorrow", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { "+", -EINVAL, 0 },
                { "+infinity", -ERANGE, 0 },
                { "2026-02-01 CET", -EINVAL, 0 },
        };

        assert_int_equal(setenv("TZ", "EET-2EEST,M3.5.0/3,M10.5.0/4", 1), 0);
        tzset();
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                usec_t v = 0;

                CHECK(parse_time(cases[i].text, NOW, &v) == cases[i].result, cases[i].text);
                CHECK(v == cases[i].value, cases[i].text);
        }
}

static void spans_are_written_as_their_largest_two_units(void **state UNUSED)
{
        static const struct {
                usec_t span;
                const char *text;
        } cases[] = {
                { 0, "0" },
                { 1, "1us" },
                { 1500, "1ms 500us" },
                { 1000000, "1s" },
                { 90000000, "1min 30s" },
                { 5400000001, "1h 30min" },
                { 604800000000, "1w" },
                { USEC_INFINITY, "infinity" },
        };
        char text[64];

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(strcmp(format_span(cases[i].span, text, sizeof(text)), cases[i].text) == 0,
                      cases[i].text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_numbers_are_read_and_nothing_else),
                cmocka_unit_test(signed_numbers_reach_both_ends),
                cmocka_unit_test(switches_have_twelve_words),
                cmocka_unit_test(spans_are_spelled_as_systemd_spells_them),
                cmocka_unit_test(sizes_go_by_1024),
                cmocka_unit_test(points_in_time_are_read_in_local_time_or_utc),
                cmocka_unit_test(spans_are_written_as_their_largest_two_units),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
