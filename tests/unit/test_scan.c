/* SPDX-License-Identifier: MIT */

#include "varlink/scan.h"

#include "unit.h"

DEFINE_FINI(VarlinkScan, varlink_scan_fini);

static const char example[] =
        "interface org.example.scan\n"
        "type Job (handler: string, priority: ?int, ratio: ?float, dry: ?bool, args: ?object,\n"
        "  tags: ?[]string, labels: ?[string]int, state: ?(queued, running), next: ?Job)\n"
        "error Top (job: Job, n: ?int)\n";

static VarlinkInterface *interface;
static const VarlinkType *top;

static int set_up(void **state UNUSED)
{
        char error[128];
        int r = varlink_interface_new(&interface, slice_of(example), error, sizeof(error));

        if (r == 0)
                top = interface->errors[0].in;
        return r;
}

static int tear_down(void **state UNUSED)
{
        varlink_interface_free(interface);
        return 0;
}

static int scan_top(VarlinkScan *scan, const char *text, uint32_t *root)
{
        return varlink_scan(scan, slice_of(text), top, root);
}

static const VarlinkNode *job_field(const VarlinkScan *scan, uint32_t root, unsigned field)
{
        return varlink_field(scan, varlink_field(scan, varlink_node(scan, root), 0), field);
}

static void every_field_is_where_it_stands_in_the_text(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;

        assert_int_equal(scan_top(&scan,
                                  " {\"n\":-7, \"job\" : {\"state\":\"running\",\"ratio\":2.5,"
                                  "\"args\":{\"a\":[1]},\"dry\":true,\"handler\":\"e\\u0063ho\"}} ",
                                  &root),
                         0);
        assert_int_equal(varlink_int(&scan, varlink_field(&scan, varlink_node(&scan, root), 1)),
                         -7);
        assert_int_equal(job_field(&scan, root, 7)->child, 1);
        assert_true(slice_is(varlink_slice(&scan, job_field(&scan, root, 4)), "{\"a\":[1]}"));
        assert_true(varlink_float(&scan, job_field(&scan, root, 2)) == 2.5);
        assert_true(varlink_bool(&scan, job_field(&scan, root, 3)));
        assert_true(job_field(&scan, root, 0)->escaped);
        assert_true(slice_is(varlink_slice(&scan, job_field(&scan, root, 0)), "e\\u0063ho"));
        assert_false(job_field(&scan, root, 1)->present);
}

static void a_string_comes_without_its_escapes(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;
        char *text;

        assert_int_equal(scan_top(&scan,
                                  "{\"job\":{\"handler\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t"
                                  "\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"}}",
                                  &root),
                         0);
        text = varlink_string(&scan, job_field(&scan, root, 0));
        assert_string_equal(text, "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
        free(text);
}

static void elements_are_chained_in_order(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        static const char *const tags[] = { "a", "b", "c" };
        uint32_t root, at;
        size_t n = 0;

        assert_int_equal(scan_top(&scan,
                                  "{\"job\":{\"handler\":\"h\",\"tags\":[\"a\", \"b\",\"c\"]}}",
                                  &root),
                         0);
        for (at = job_field(&scan, root, 5)->child; at; at = varlink_node(&scan, at)->next, n++)
                assert_true(slice_is(varlink_slice(&scan, varlink_node(&scan, at)), tags[n]));
        assert_int_equal(n, 3);
}

static void null_and_absent_are_the_same(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;

        assert_int_equal(scan_top(&scan, "{\"job\":{\"handler\":\"h\",\"priority\":null}}", &root),
                         0);
        assert_false(job_field(&scan, root, 1)->present);
        assert_int_equal(varlink_slice(&scan, job_field(&scan, root, 1)).len, 0);
        assert_false(varlink_field(&scan, varlink_node(&scan, root), 1)->present);
}

static void what_does_not_fit_the_type_is_named_by_its_path(void **state UNUSED)
{
        static const struct {
                const char *text, *fault;
        } cases[] = {
                { "{\"job\":{\"handler\":1}}", "job.handler" },
                { "{\"job\":{\"handler\":\"h\",\"priority\":\"1\"}}", "job.priority" },
                { "{\"job\":{\"handler\":\"h\",\"priority\":1.0}}", "job.priority" },
                { "{\"job\":{\"handler\":\"h\",\"priority\":1e2}}", "job.priority" },
                { "{\"job\":{\"handler\":\"h\",\"priority\":9223372036854775808}}",
                  "job.priority" },
                { "{\"job\":{\"handler\":\"h\",\"ratio\":\"x\"}}", "job.ratio" },
                { "{\"job\":{\"handler\":\"h\",\"ratio\":1e999}}", "job.ratio" },
                { "{\"job\":{\"handler\":\"h\",\"dry\":1}}", "job.dry" },
                { "{\"job\":{\"handler\":\"h\",\"args\":[]}}", "job.args" },
                { "{\"job\":{\"handler\":\"h\",\"args\":{\"a\":1,\"a\":2}}}", "job.args" },
                { "{\"job\":{\"handler\":\"h\",\"tags\":{}}}", "job.tags" },
                { "{\"job\":{\"handler\":\"h\",\"tags\":[1]}}", "job.tags" },
                { "{\"job\":{\"handler\":\"h\",\"tags\":[null]}}", "job.tags" },
                { "{\"job\":{\"handler\":\"h\",\"labels\":{\"a\":\"b\"}}}", "job.labels" },
                { "{\"job\":{\"handler\":\"h\",\"labels\":{\"a\":1,\"a\":1}}}", "job.labels" },
                { "{\"job\":{\"handler\":\"h\",\"state\":\"asleep\"}}", "job.state" },
                { "{\"job\":{\"handler\":\"h\",\"state\":0}}", "job.state" },
                { "{\"job\":{\"handler\":\"h\",\"next\":{\"handler\":0}}}", "job.next.handler" },
                { "{\"job\":{\"handler\":\"h\",\"next\":{}}}", "job.next.handler" },
                { "{\"job\":{\"handler\":\"h\",\"handler\":\"h\"}}", "job.handler" },
                { "{\"job\":{\"handler\":\"h\",\"prio\":1}}", "job.prio" },
                { "{\"job\":{}}", "job.handler" },
                { "{\"job\":null}", "job" },
                { "{\"job\":[]}", "job" },
                { "{}", "job" },
                { "{\"job\":{\"handler\":\"h\"},\"N\":1}", "N" },
                { "{\"job\":{\"handler\":1,\"priority\":\"1\"}}", "job.handler" },
                { "[]", "" },
                { "1", "" },
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                CHECK(scan_top(&scan, cases[i].text, &root) == VARLINK_E_PARAMETER, cases[i].text);
                CHECK(strcmp(scan.fault, cases[i].fault) == 0, cases[i].text);
        }
}

static void keys_are_compared_without_their_escapes(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
        } cases[] = {
                { "{\"job\":{\"h\\u0061ndler\":\"h\"}}", 0 },
                { "{\"job\":{\"handler\":\"h\",\"h\\u0061ndler\":\"h\"}}", VARLINK_E_PARAMETER },
                { "{\"job\":{\"handler\":\"h\",\"state\":\"queue\\u0064\"}}", 0 },
                { "{\"job\":{\"handler\":\"h\",\"args\":{\"a\":1,\"\\u0061\":2}}}",
                  VARLINK_E_PARAMETER },
                { "{\"job\":{\"handler\":\"h\",\"args\":{\"a\":{\"a\":{}},\"b\":{\"a\":1}}}}", 0 },
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(scan_top(&scan, cases[i].text, &root) == cases[i].result, cases[i].text);
}

static void what_is_no_json_is_no_json(void **state UNUSED)
{
        static const char *const cases[] = {
                "",
                "{",
                "{\"a\"",
                "{\"a\":",
                "{\"a\":}",
                "{\"a\":1",
                "{\"a\":1,}",
                "{,}",
                "{a:1}",
                "{\"a\":[1,]}",
                "{\"a\":[1}",
                "{\"a\":01}",
                "{\"a\":-}",
                "{\"a\":1.}",
                "{\"a\":.5}",
                "{\"a\":1e}",
                "{\"a\":+1}",
                "{\"a\":tru}",
                "{\"a\":truee}",
                "{\"a\":\"x}",
                "{\"a\":\"\\x41\"}",
                "{\"a\":\"\\u12\"}",
                "{\"a\":\"\\u0000\"}",
                "{\"\\u0000\":1}",
                "{\"a\":\"\\ud83d\"}",
                "{\"a\":\"\\ude00\"}",
                "{\"a\":\"\\ud83d\\u0041\"}",
                "{\"a\":\"\n\"}",
                "{\"a\":\"\x1f\"}",
                "{\"a\":\"\x80\"}",
                "{\"a\":\"\xc0\x80\"}",
                "{\"a\":\"\xed\xa0\x80\"}",
                "{\"a\":\"\xf4\x90\x80\x80\"}",
                "{\"a\":\"12345678\xe2\x82",
                "{} {}",
                "{}x",
                "\xef\xbb\xbf{}",
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(varlink_scan_object(&scan, slice_of(cases[i])) == VARLINK_E_SYNTAX, cases[i]);
        assert_int_equal(varlink_scan_object(&scan, (Slice){ "{}\0", 3 }), VARLINK_E_SYNTAX);
        assert_int_equal(varlink_scan_object(&scan, (Slice){ "{\"a\":\"\0\"}", 9 }),
                         VARLINK_E_SYNTAX);
}

static void any_object_is_an_object(void **state UNUSED)
{
        static const char *const cases[] = {
                "{}",
                " \t\r\n{ } ",
                "{\"\":{\"\":[[],{},null,true,false]}}",
                "{\"a\":[0,-0,1.5,1e5,1E+5,1e-400,9223372036854775807,-9223372036854775808]}",
                "{\"a\":\"\x7f\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf\"}",
                "{\"a\":\"12345678\\n12345678\\\"\"}",
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(varlink_scan_object(&scan, slice_of(cases[i])) == 0, cases[i]);
}

static void numbers_of_more_than_64_bits_are_refused(void **state UNUSED)
{
        static const char *const cases[] = {
                "{\"a\":9223372036854775808}",
                "{\"a\":-9223372036854775809}",
                "{\"a\":100000000000000000000}",
                "{\"a\":1e400}",
                "{\"a\":-1e400}",
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(varlink_scan_object(&scan, slice_of(cases[i])) == VARLINK_E_PARAMETER,
                      cases[i]);
}

static void the_ends_of_the_integers_keep_their_value(void **state UNUSED)
{
        static const struct {
                const char *text;
                int64_t value;
        } cases[] = {
                { "{\"job\":{\"handler\":\"h\"},\"n\":9223372036854775807}", INT64_MAX },
                { "{\"job\":{\"handler\":\"h\"},\"n\":-9223372036854775808}", INT64_MIN },
                { "{\"job\":{\"handler\":\"h\"},\"n\":-0}", 0 },
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                CHECK(scan_top(&scan, cases[i].text, &root) == 0, cases[i].text);
                CHECK(varlink_int(&scan, varlink_field(&scan, varlink_node(&scan, root), 1)) ==
                              cases[i].value,
                      cases[i].text);
        }
}

/* {"a":[[…inner…]]} with this many levels, not counting `inner`. */
static int scan_deep(int levels, const char *inner)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        buffer_append_literal(&b, "{\"a\":");
        for (int i = 1; i < levels; i++)
                buffer_append_char(&b, '[');
        buffer_append_string(&b, inner);
        for (int i = 1; i < levels; i++)
                buffer_append_char(&b, ']');
        buffer_append_char(&b, '}');
        return varlink_scan_object(&scan, buffer_slice(&b));
}

static void depth_ends_at_2048_levels(void **state UNUSED)
{
        assert_int_equal(scan_deep(2048, ""), 0);
        assert_int_equal(scan_deep(2049, ""), VARLINK_E_DEPTH);
        assert_int_equal(scan_deep(2047, "1"), 0);
        assert_int_equal(scan_deep(2048, "1"), VARLINK_E_DEPTH);
        assert_int_equal(scan_deep(2047, "{}"), 0);
        assert_int_equal(scan_deep(2047, "{\"a\":1}"), VARLINK_E_DEPTH);
}

/* A type that contains itself: the same limit, and a path that is longer than can be told. */
static int scan_recursive(VarlinkScan *scan, int levels, const char *inner)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        uint32_t root;

        buffer_append_literal(&b, "{\"job\":");
        for (int i = 0; i < levels; i++)
                buffer_append_literal(&b, "{\"handler\":\"h\",\"next\":");
        buffer_append_string(&b, inner);
        for (int i = 0; i < levels; i++)
                buffer_append_char(&b, '}');
        buffer_append_char(&b, '}');
        return varlink_scan(scan, buffer_slice(&b), top, &root);
}

static void a_type_may_contain_itself(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        assert_int_equal(scan_recursive(&scan, 100, "null"), 0);
        assert_int_equal(scan_recursive(&scan, 3, "1"), VARLINK_E_PARAMETER);
        assert_string_equal(scan.fault, "job.next.next.next");
        assert_int_equal(scan_recursive(&scan, 200, "1"), VARLINK_E_PARAMETER);
        assert_memory_equal(scan.fault, "job.next.next.", 14);
        assert_int_equal(scan_recursive(&scan, 2046, "null"), 0);
        assert_int_equal(scan_recursive(&scan, 2048, "null"), VARLINK_E_DEPTH);
}

static void a_fault_is_cut_between_characters(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        uint32_t root;

        buffer_append_literal(&b, "{\"x");
        for (int i = 0; i < 200; i++)
                buffer_append_literal(&b, "\xe2\x82\xac");
        buffer_append_literal(&b, "\":1}");
        assert_int_equal(varlink_scan(&scan, buffer_slice(&b), top, &root), VARLINK_E_PARAMETER);
        assert_int_equal(strlen(scan.fault), 1 + 84 * 3);
}

/* One key of many stands there twice, or none does. */
static int scan_keys(int n, bool twice)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        buffer_append_char(&b, '{');
        for (int i = 0; i < n; i++)
                buffer_printf(&b, "%s\"k%d\":%d", i ? "," : "", twice && i == n - 1 ? n / 3 : i, i);
        buffer_append_char(&b, '}');
        return varlink_scan_object(&scan, buffer_slice(&b));
}

static void a_key_that_is_there_twice_is_found_among_few_and_many(void **state UNUSED)
{
        static const int counts[] = { 2, 3, 11, 12, 13, 14, 100, 5000 };

        for (size_t i = 0; i < ELEMENTS(counts); i++) {
                assert_int_equal(scan_keys(counts[i], false), 0);
                assert_int_equal(scan_keys(counts[i], true), VARLINK_E_PARAMETER);
        }
}

static void syntax_wins_over_a_wrong_type(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;

        assert_int_equal(scan_top(&scan, "{\"job\":1,\"n\":}", &root), VARLINK_E_SYNTAX);
}

static void a_scan_can_be_used_again(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        uint32_t root;

        assert_int_equal(scan_top(&scan, "{\"job\":{\"handler\":0}}", &root),
                         VARLINK_E_PARAMETER);
        assert_int_equal(scan_top(&scan, "{\"job\":{\"handler\":\"h\"}}", &root), 0);
        assert_string_equal(scan.fault, "");
        assert_false(job_field(&scan, root, 1)->present);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_field_is_where_it_stands_in_the_text),
                cmocka_unit_test(a_string_comes_without_its_escapes),
                cmocka_unit_test(elements_are_chained_in_order),
                cmocka_unit_test(null_and_absent_are_the_same),
                cmocka_unit_test(what_does_not_fit_the_type_is_named_by_its_path),
                cmocka_unit_test(keys_are_compared_without_their_escapes),
                cmocka_unit_test(what_is_no_json_is_no_json),
                cmocka_unit_test(any_object_is_an_object),
                cmocka_unit_test(numbers_of_more_than_64_bits_are_refused),
                cmocka_unit_test(the_ends_of_the_integers_keep_their_value),
                cmocka_unit_test(depth_ends_at_2048_levels),
                cmocka_unit_test(a_type_may_contain_itself),
                cmocka_unit_test(a_fault_is_cut_between_characters),
                cmocka_unit_test(a_key_that_is_there_twice_is_found_among_few_and_many),
                cmocka_unit_test(syntax_wins_over_a_wrong_type),
                cmocka_unit_test(a_scan_can_be_used_again),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
