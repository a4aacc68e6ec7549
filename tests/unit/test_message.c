/* SPDX-License-Identifier: MIT */

#include "varlink/message.h"

#include "unit.h"

DEFINE_FINI(VarlinkScan, varlink_scan_fini);

static const char example[] =
        "interface org.example.message\n"
        "method Ping() -> ()\n"
        "method Add(job: (name: string, n: ?int)) -> (id: string, n: ?int)\n"
        "error Refused (why: string)\n"
        "error Plain ()\n";

static VarlinkInterface *interface;
static const VarlinkInterface *interfaces[1];
static const VarlinkMember *add;

static int set_up(void **state UNUSED)
{
        char error[128];
        int r = varlink_interface_new(&interface, slice_of(example), error, sizeof(error));

        interfaces[0] = interface;
        if (r == 0)
                add = &interface->methods[1];
        return r;
}

static int tear_down(void **state UNUSED)
{
        varlink_interface_free(interface);
        return 0;
}

static int scan_call(VarlinkScan *scan, const char *text, VarlinkMessage *m)
{
        return varlink_message_scan(scan, slice_of(text), interfaces, 1, m);
}

static void a_call_is_read_in_any_order_of_its_keys(void **state UNUSED)
{
        static const char *const cases[] = {
                "{\"method\":\"org.example.message.Add\",\"parameters\":{\"job\":{\"name\":\"x\"}},"
                "\"more\":true}",
                "{\"parameters\":{\"job\":{\"name\":\"x\"}},\"more\":true,"
                "\"method\":\"org.example.message.Add\"}",
                "{\"more\":true,\"parameters\":{\"job\":{\"n\":null,\"name\":\"x\"}},"
                "\"oneway\":null,"
                "\"method\":\"org.example.message.Add\"}",
                " { \"more\" : true , \"method\" : \"org.example.message.Add\" ,"
                " \"upgrade\" : false ,"
                " \"parameters\" : { \"job\" : { \"name\" : \"x\" } } } ",
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkMessage m;
                const VarlinkNode *job;

                CHECK(scan_call(&scan, cases[i], &m) == 0, cases[i]);
                CHECK(m.interface == interface && m.method == add, cases[i]);
                CHECK(m.more && !m.oneway && !m.upgrade, cases[i]);
                job = varlink_field(&scan, varlink_node(&scan, m.parameters), 0);
                CHECK(slice_is(varlink_slice(&scan, varlink_field(&scan, job, 0)), "x"), cases[i]);
                CHECK(!varlink_field(&scan, job, 1)->present, cases[i]);
        }
}

static void parameters_may_be_absent_null_or_empty(void **state UNUSED)
{
        static const char *const cases[] = {
                "{\"method\":\"org.example.message.Ping\"}",
                "{\"method\":\"org.example.message.Ping\",\"parameters\":null}",
                "{\"method\":\"org.example.message.Ping\",\"parameters\":{}}",
                "{\"parameters\":null,\"method\":\"org.example.message.Ping\"}",
                "{\"parameters\":{},\"method\":\"org.example.message.Ping\"}",
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        VarlinkMessage m;

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                CHECK(scan_call(&scan, cases[i], &m) == 0, cases[i]);
                CHECK(m.method == &interface->methods[0], cases[i]);
        }
}

static void flags_are_true_only_where_it_says_so(void **state UNUSED)
{
        static const struct {
                const char *text;
                bool more, oneway, upgrade;
        } cases[] = {
                { "{\"method\":\"org.example.message.Ping\"}", false, false, false },
                { "{\"method\":\"org.example.message.Ping\",\"more\":true}", true, false, false },
                { "{\"method\":\"org.example.message.Ping\",\"oneway\":true}", false, true, false },
                { "{\"method\":\"org.example.message.Ping\",\"upgrade\":true}", false, false,
                  true },
                { "{\"method\":\"org.example.message.Ping\",\"more\":false,\"oneway\":null}", false,
                  false, false },
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkMessage m;

                CHECK(scan_call(&scan, cases[i].text, &m) == 0, cases[i].text);
                CHECK(m.more == cases[i].more && m.oneway == cases[i].oneway &&
                              m.upgrade == cases[i].upgrade,
                      cases[i].text);
        }
}

#define PING "\"method\":\"org.example.message.Ping\""
#define ADD "\"method\":\"org.example.message.Add\""

static void what_is_wrong_with_a_call_is_told(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
                const char *fault;
        } cases[] = {
                { "{\"method\":\"org.none.Ping\"}", VARLINK_E_INTERFACE, "org.none" },
                { "{\"method\":\"Ping\"}", VARLINK_E_INTERFACE, "Ping" },
                { "{\"method\":\"\"}", VARLINK_E_INTERFACE, "" },
                { "{\"method\":\"org.example.message.Pong\"}", VARLINK_E_METHOD,
                  "org.example.message.Pong" },
                { "{\"method\":\"org.example.message.\"}", VARLINK_E_METHOD,
                  "org.example.message." },
                { "{}", VARLINK_E_PARAMETER, "method" },
                { "{\"more\":true}", VARLINK_E_PARAMETER, "method" },
                { "{\"method\":1}", VARLINK_E_PARAMETER, "method" },
                { "{" PING "," PING "}", VARLINK_E_PARAMETER, "method" },
                { "{" PING ",\"more\":\"true\"}", VARLINK_E_PARAMETER, "more" },
                { "{" PING ",\"more\":\"false\"}", VARLINK_E_PARAMETER, "more" },
                { "{" PING ",\"oneway\":1}", VARLINK_E_PARAMETER, "oneway" },
                { "{" PING ",\"oneway\":[true]}", VARLINK_E_PARAMETER, "oneway" },
                { "{" PING ",\"more\":true,\"more\":true}", VARLINK_E_PARAMETER, "more" },
                { "{" PING ",\"fds\":1}", VARLINK_E_PARAMETER, "fds" },
                { "{" PING ",\"parameters\":{\"x\":1}}", VARLINK_E_PARAMETER, "x" },
                { "{" PING ",\"parameters\":5}", VARLINK_E_PARAMETER, "parameters" },
                { "{\"parameters\":[]," PING "}", VARLINK_E_PARAMETER, "parameters" },
                { "{" ADD "}", VARLINK_E_PARAMETER, "job" },
                { "{" ADD ",\"parameters\":null}", VARLINK_E_PARAMETER, "job" },
                { "{" ADD ",\"parameters\":{}}", VARLINK_E_PARAMETER, "job" },
                { "{" ADD ",\"parameters\":{\"job\":{\"name\":1}}}", VARLINK_E_PARAMETER,
                  "job.name" },
                { "{\"parameters\":{\"job\":{\"name\":1}}," ADD "}", VARLINK_E_PARAMETER,
                  "job.name" },
                { "", VARLINK_E_SYNTAX, "" },
                { "[]", VARLINK_E_SYNTAX, "" },
                { "{" PING ",}", VARLINK_E_SYNTAX, "" },
                { "{" PING "} x", VARLINK_E_SYNTAX, "" },
                { "{" PING, VARLINK_E_SYNTAX, "" },
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkMessage m;

                CHECK(scan_call(&scan, cases[i].text, &m) == cases[i].result, cases[i].text);
                if (cases[i].result != VARLINK_E_SYNTAX)
                        CHECK(strcmp(scan.fault, cases[i].fault) == 0, cases[i].text);
        }
}

static void the_flags_of_a_refused_call_are_known(void **state UNUSED)
{
        static const char *const cases[] = {
                "{\"method\":\"org.none.Ping\",\"oneway\":true}",
                "{\"method\":\"org.example.message.Pong\",\"oneway\":true}",
                "{\"oneway\":true," ADD "}",
                "{" ADD ",\"parameters\":{\"job\":1},\"oneway\":true}",
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkMessage m = { 0 };

                CHECK(scan_call(&scan, cases[i], &m) > 0 && m.oneway, cases[i]);
        }
}

static int scan_reply(VarlinkScan *scan, const char *text, VarlinkReply *reply)
{
        return varlink_reply_scan(scan, slice_of(text), interface, add, reply);
}

static void a_reply_is_read_with_the_output_of_its_method(void **state UNUSED)
{
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };
        const VarlinkNode *root;
        VarlinkReply reply;

        assert_int_equal(scan_reply(&scan,
                                    "{\"parameters\":{\"n\":5,\"id\":\"a\"},\"continues\":true}",
                                    &reply),
                         0);
        assert_true(reply.continues);
        assert_int_equal(reply.error.len, 0);
        root = varlink_node(&scan, reply.parameters);
        assert_true(slice_is(varlink_slice(&scan, varlink_field(&scan, root, 0)), "a"));
        assert_int_equal(varlink_int(&scan, varlink_field(&scan, root, 1)), 5);
}

static void an_error_is_read_with_its_own_parameters(void **state UNUSED)
{
        static const char *const cases[] = {
                "{\"error\":\"org.example.message.Refused\",\"parameters\":{\"why\":\"no\"}}",
                "{\"parameters\":{\"why\":\"no\"},\"error\":\"org.example.message.Refused\"}",
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkReply reply;
                const VarlinkNode *root;

                CHECK(scan_reply(&scan, cases[i], &reply) == 0, cases[i]);
                CHECK(slice_is(reply.error, "org.example.message.Refused"), cases[i]);
                CHECK(reply.member == &interface->errors[0], cases[i]);
                root = varlink_node(&scan, reply.parameters);
                CHECK(slice_is(varlink_slice(&scan, varlink_field(&scan, root, 0)), "no"),
                      cases[i]);
        }
}

static void replies_are_judged_in_any_order_of_their_keys(void **state UNUSED)
{
        static const struct {
                const char *text;
                int result;
        } cases[] = {
                { "{\"parameters\":{\"id\":\"a\"}}", 0 },
                { "{\"error\":\"org.example.message.Plain\"}", 0 },
                { "{\"error\":\"org.other.Error\",\"parameters\":{\"x\":[1]}}", 0 },
                { "{\"parameters\":{\"x\":[1]},\"error\":\"org.other.Error\"}", 0 },
                { "{}", VARLINK_E_PARAMETER },
                { "{\"parameters\":{\"id\":1}}", VARLINK_E_PARAMETER },
                { "{\"parameters\":{\"id\":\"a\"},\"continues\":\"true\"}", VARLINK_E_PARAMETER },
                { "{\"error\":\"org.example.message.Refused\"}", VARLINK_E_PARAMETER },
                { "{\"error\":\"org.example.message.Refused\",\"parameters\":{\"id\":\"a\"}}",
                  VARLINK_E_PARAMETER },
                { "{\"parameters\":{\"id\":\"a\"},\"error\":\"org.example.message.Refused\"}",
                  VARLINK_E_PARAMETER },
                { "{\"parameters\":{\"x\":1,\"x\":2},\"error\":\"org.other.Error\"}",
                  VARLINK_E_PARAMETER },
                { "{\"bogus\":1,\"parameters\":{\"x\":1},\"error\":\"org.other.Error\"}",
                  VARLINK_E_PARAMETER },
                { "{\"parameters\":{\"x\":1},\"bogus\":1,"
                  "\"error\":\"org.example.message.Refused\"}",
                  VARLINK_E_PARAMETER },
                { "{\"parameters\":{}", VARLINK_E_SYNTAX },
        };
        AUTO(varlink_scan_fini) VarlinkScan scan = { 0 };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkReply reply;

                CHECK(scan_reply(&scan, cases[i].text, &reply) == cases[i].result, cases[i].text);
        }
}

static void what_is_written_is_one_line_of_json_and_a_nul(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        varlink_write_call(&b, "a.b.C", VARLINK_MORE | VARLINK_ONEWAY);
        buffer_append_literal(&b, "\"x\":1");
        varlink_write_end(&b, 0);
        assert_true(slice_equal(buffer_slice(&b),
                                SLICE("{\"method\":\"a.b.C\",\"more\":true,\"oneway\":true,"
                                      "\"parameters\":{\"x\":1}}\0")));
        buffer_clear(&b, 4096);
        varlink_write_reply(&b);
        varlink_write_end(&b, VARLINK_CONTINUES);
        assert_true(
                slice_equal(buffer_slice(&b), SLICE("{\"parameters\":{},\"continues\":true}\0")));
        buffer_clear(&b, 4096);
        varlink_write_error(&b, "a.b.E");
        varlink_write_end(&b, 0);
        assert_true(
                slice_equal(buffer_slice(&b), SLICE("{\"error\":\"a.b.E\",\"parameters\":{}}\0")));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_call_is_read_in_any_order_of_its_keys),
                cmocka_unit_test(parameters_may_be_absent_null_or_empty),
                cmocka_unit_test(flags_are_true_only_where_it_says_so),
                cmocka_unit_test(what_is_wrong_with_a_call_is_told),
                cmocka_unit_test(the_flags_of_a_refused_call_are_known),
                cmocka_unit_test(a_reply_is_read_with_the_output_of_its_method),
                cmocka_unit_test(an_error_is_read_with_its_own_parameters),
                cmocka_unit_test(replies_are_judged_in_any_order_of_their_keys),
                cmocka_unit_test(what_is_written_is_one_line_of_json_and_a_nul),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
