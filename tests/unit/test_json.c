/* SPDX-License-Identifier: MIT */

#include "varlink/json.h"

#include <math.h>

#include "unit.h"

static void commas_stand_between_and_nowhere_else(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        emit_open(&b, '{');
        emit_int_member(&b, "a", 1);
        emit_key(&b, "b");
        emit_open(&b, '[');
        emit_bool(&b, true);
        emit_open(&b, '[');
        emit_close(&b, ']');
        emit_open(&b, '{');
        emit_close(&b, '}');
        emit_raw(&b, SLICE("null"));
        emit_close(&b, ']');
        emit_string_member(&b, "c", SLICE("x"));
        emit_bool_member(&b, "d", false);
        emit_raw_member(&b, "e", SLICE("{\"f\":[]}"));
        emit_close(&b, '}');
        assert_text(&b,
                    "{\"a\":1,\"b\":[true,[],{},null],\"c\":\"x\",\"d\":false,\"e\":{\"f\":[]}}");
}

static void no_comma_follows_the_end_of_a_message(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        emit_int(&b, 1);
        buffer_append_char(&b, '\0');
        emit_int(&b, 2);
        assert_true(slice_equal(buffer_slice(&b), SLICE("1\0002")));
}

static void strings_are_escaped_where_they_must_be(void **state UNUSED)
{
        static const struct {
                const char *plain, *text;
        } cases[] = {
                { "", "\"\"" },
                { "plain", "\"plain\"" },
                { "\"\\/", "\"\\\"\\\\/\"" },
                { "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
                { "\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"" },
                { "\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
                { "a\nb\nc", "\"a\\nb\\nc\"" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;

                emit_string(&b, slice_of(cases[i].plain));
                CHECK(buffer_is(&b, cases[i].text), cases[i].text);
        }
}

static void what_is_escaped_already_is_only_quoted(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        emit_escaped(&b, SLICE("a\\n\\u00e9"));
        assert_text(&b, "\"a\\n\\u00e9\"");
}

static void integers_reach_both_ends(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        emit_open(&b, '[');
        emit_int(&b, 0);
        emit_int(&b, INT64_MAX);
        emit_int(&b, INT64_MIN);
        emit_int(&b, -1);
        emit_close(&b, ']');
        assert_text(&b, "[0,9223372036854775807,-9223372036854775808,-1]");
}

static void floats_are_reals_that_read_back_as_themselves(void **state UNUSED)
{
        static const struct {
                double value;
                const char *text; /* NULL: any that is the value */
        } cases[] = {
                { 0, "0.0" },
                { 5, "5.0" },
                { -0.5, "-0.5" },
                { 0.1, "0.1" },
                { 1e20, "1e+20" },
                { 1.0 / 3, NULL },
                { 1.7976931348623157e308, NULL },
                { 5e-324, NULL },
                { NAN, "0.0" },
                { INFINITY, "0.0" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;

                emit_float(&b, cases[i].value);
                if (cases[i].text) {
                        assert_text(&b, cases[i].text);
                } else {
                        buffer_append_char(&b, '\0');
                        assert_true(strtod(buffer_bytes(&b), NULL) == cases[i].value);
                }
        }
}

static void bytes_that_are_no_text_travel_as_base64(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        emit_open(&b, '{');
        emit_bytes_member(&b, "a", SLICE("text"));
        emit_bytes_member(&b, "b", SLICE("\xff\xfe"));
        emit_bytes_member(&b, "c", SLICE("x\0y"));
        emit_bytes_member(&b, "d", (Slice){ NULL, 0 });
        emit_close(&b, '}');
        assert_text(&b, "{\"a\":\"text\",\"b_base64\":\"//4=\",\"c_base64\":\"eAB5\",\"d\":\"\"}");
}

static void an_id_is_its_text_in_quotes(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        Uuid u;

        assert_true(uuid_parse(SLICE("0192f0c1-2345-7678-9abc-def012345678"), &u));
        emit_key(&b, "id");
        emit_uuid(&b, &u);
        assert_text(&b, "\"id\":\"0192f0c1-2345-7678-9abc-def012345678\"");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(commas_stand_between_and_nowhere_else),
                cmocka_unit_test(no_comma_follows_the_end_of_a_message),
                cmocka_unit_test(strings_are_escaped_where_they_must_be),
                cmocka_unit_test(what_is_escaped_already_is_only_quoted),
                cmocka_unit_test(integers_reach_both_ends),
                cmocka_unit_test(floats_are_reals_that_read_back_as_themselves),
                cmocka_unit_test(bytes_that_are_no_text_travel_as_base64),
                cmocka_unit_test(an_id_is_its_text_in_quotes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
