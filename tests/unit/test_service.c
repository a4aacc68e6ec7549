/* SPDX-License-Identifier: MIT */

#include "varlink/service.h"

#include "unit.h"
#include "varlink/json.h"

static const char example[] =
        "interface org.example.service\n"
        "method Now(n: int) -> (n: int)\n"
        "method Later(n: int) -> (n: int)\n"
        "error TooLarge (limit_bytes: int)\n";

enum { LIMIT = 200, MOST_CALLS = 8 };

/* A service that answers Now at once, and keeps the calls of Later. */
typedef struct Fixture {
        VarlinkService service;
        VarlinkServer server;
        VarlinkInterface *interface;
        VarlinkCall *later[64];
        int n_later, n_gone;
} Fixture;

static void answer(VarlinkCall *call, int64_t n, bool continues)
{
        emit_int_member(varlink_reply_begin(call), "n", n);
        varlink_reply_end(call, continues);
}

static void on_call(VarlinkServer *server, VarlinkCall *call, const VarlinkMessage *m,
                    const VarlinkScan *scan)
{
        Fixture *f = CONTAINER_OF(server, Fixture, server);
        const VarlinkNode *parameters = varlink_node(scan, m->parameters);
        int64_t n = varlink_int(scan, varlink_field(scan, parameters, 0));

        assert_true(n >= 0 && n < (int64_t)ELEMENTS(f->later));
        if (slice_is(m->method->name, "Now")) {
                answer(call, n, false);
        } else {
                f->later[n] = call;
                f->n_later++;
        }
}

static void on_gone(VarlinkServer *server, VarlinkCall *call)
{
        Fixture *f = CONTAINER_OF(server, Fixture, server);

        f->n_gone++;
        for (size_t i = 0; i < ELEMENTS(f->later); i++)
                if (f->later[i] == call)
                        f->later[i] = NULL;
}

static int set_up(void **state)
{
        Fixture *f = calloc(1, sizeof(*f));
        char error[128];

        assert_non_null(f);
        f->service = (VarlinkService){
                .vendor = "V", .product = "P", .version = "1", .url = "U",
                .too_large = "org.example.service.TooLarge",
                .call = on_call, .gone = on_gone,
                .max_outstanding = MOST_CALLS,
        };
        assert_int_equal(varlink_service_init(&f->service), 0);
        assert_int_equal(
                varlink_interface_new(&f->interface, slice_of(example), error, sizeof(error)), 0);
        varlink_service_add(&f->service, f->interface);
        varlink_server_init(&f->server, &f->service, LIMIT);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        Fixture *f = *state;

        varlink_server_fini(&f->server);
        varlink_service_fini(&f->service);
        varlink_interface_free(f->interface);
        free(f);
        return 0;
}

/* Feeds one message, with its NUL. */
static int feed(Fixture *f, const char *text)
{
        return varlink_server_feed(&f->server, text, strlen(text) + 1);
}

static void feed_call(Fixture *f, const char *method, int n, const char *flags)
{
        char text[LIMIT];

        (void)snprintf(text, sizeof(text),
                       "{\"method\":\"org.example.service.%s\",\"parameters\":{\"n\":%d}%s}",
                       method, n, flags);
        assert_int_equal(feed(f, text), 0);
}

/* What went out since the last time, a line for each message. */
static void assert_sent(Fixture *f, const char *text)
{
        AUTO(buffer_fini) Buffer lines = BUFFER_INIT;
        Slice out = buffer_slice(&f->server.out);

        for (size_t i = 0; i < out.len; i++)
                buffer_append_char(&lines, out.data[i] ? out.data[i] : '\n');
        assert_text(&lines, text);
        buffer_clear(&f->server.out, SIZE_MAX);
}

#define REPLY(n) "{\"parameters\":{\"n\":" #n "}}\n"
#define PROGRESS(n) "{\"parameters\":{\"n\":" #n "},\"continues\":true}\n"

static void a_call_is_answered(void **state)
{
        Fixture *f = *state;

        feed_call(f, "Now", 7, "");
        assert_sent(f, REPLY(7));
        assert_int_equal(f->server.n_calls, 0);
}

static void calls_in_one_piece_are_answered_in_order(void **state)
{
        Fixture *f = *state;
        static const char text[] =
                "{\"method\":\"org.example.service.Now\",\"parameters\":{\"n\":1}}\0"
                "{\"method\":\"org.example.service.Now\",\"parameters\":{\"n\":2}}\0"
                "{\"method\":\"org.example.service.Now\",\"parameters\":{\"n\":3}}";

        assert_int_equal(varlink_server_feed(&f->server, text, sizeof(text)), 0);
        assert_sent(f, REPLY(1) REPLY(2) REPLY(3));
}

static void a_held_call_holds_the_replies_behind_it(void **state)
{
        Fixture *f = *state;

        feed_call(f, "Later", 1, "");
        feed_call(f, "Now", 2, "");
        feed_call(f, "Later", 3, "");
        feed_call(f, "Now", 4, "");
        assert_sent(f, "");
        assert_int_equal(f->n_later, 2);
        assert_true(f->server.held_bytes > 0);
        answer(f->later[1], 1, false);
        assert_sent(f, REPLY(1) REPLY(2));
        answer(f->later[3], 3, false);
        assert_sent(f, REPLY(3) REPLY(4));
        assert_int_equal(f->server.n_calls, 0);
        assert_int_equal(f->server.held_bytes, 0);
}

static void replies_leave_in_call_order_whichever_comes_first(void **state)
{
        Fixture *f = *state;

        feed_call(f, "Later", 1, "");
        feed_call(f, "Later", 2, "");
        feed_call(f, "Later", 3, "");
        answer(f->later[3], 3, false);
        answer(f->later[2], 2, false);
        assert_sent(f, "");
        answer(f->later[1], 1, false);
        assert_sent(f, REPLY(1) REPLY(2) REPLY(3));
}

static void what_continues_flows_while_its_call_is_the_oldest(void **state)
{
        Fixture *f = *state;

        feed_call(f, "Later", 1, ",\"more\":true");
        feed_call(f, "Later", 2, ",\"more\":true");
        answer(f->later[1], 10, true);
        answer(f->later[2], 20, true);
        assert_sent(f, PROGRESS(10));
        answer(f->later[1], 11, false);
        assert_sent(f, REPLY(11) PROGRESS(20));
        answer(f->later[2], 21, true);
        assert_sent(f, PROGRESS(21));
        answer(f->later[2], 22, false);
        assert_sent(f, REPLY(22));
        assert_int_equal(f->server.held_bytes, 0);
}

static void a_oneway_call_is_done_and_never_answered(void **state)
{
        Fixture *f = *state;

        feed_call(f, "Later", 1, ",\"oneway\":true");
        feed_call(f, "Now", 2, ",\"oneway\":true");
        feed_call(f, "Now", 3, "");
        assert_int_equal(f->n_later, 1);
        answer(f->later[1], 1, false);
        assert_sent(f, REPLY(3));
        assert_int_equal(feed(f, "{\"method\":\"org.none.M\",\"oneway\":true}"), 0);
        assert_sent(f, "");
        assert_int_equal(f->server.n_calls, 0);
}

static void the_service_interface_is_answered_here(void **state)
{
        Fixture *f = *state;

        assert_int_equal(feed(f, "{\"method\":\"org.varlink.service.GetInfo\"}"), 0);
        assert_sent(f, "{\"parameters\":{\"vendor\":\"V\",\"product\":\"P\",\"version\":\"1\","
                       "\"url\":\"U\","
                       "\"interfaces\":[\"org.varlink.service\",\"org.example.service\"]}}\n");
        assert_int_equal(feed(f, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                                 "\"parameters\":{\"interface\":\"org.example.service\"}}"),
                         0);
        assert_sent(f, "{\"parameters\":{\"description\":\"interface org.example.service\\n"
                       "method Now(n: int) -> (n: int)\\nmethod Later(n: int) -> (n: int)\\n"
                       "error TooLarge (limit_bytes: int)\\n\"}}\n");
}

#define SERVICE_ERROR(name, member, value)                                                         \
        "{\"error\":\"org.varlink.service." name "\",\"parameters\":{\"" member "\":\"" value      \
        "\"}}\n"

static void what_is_wrong_with_a_call_is_the_answer(void **state)
{
        static const struct {
                const char *call, *answer;
        } cases[] = {
                { "{\"method\":\"org.none.M\"}",
                  SERVICE_ERROR("InterfaceNotFound", "interface", "org.none") },
                { "{\"method\":\"M\"}", SERVICE_ERROR("InterfaceNotFound", "interface", "M") },
                { "{\"method\":\"org.example.service.M\"}",
                  SERVICE_ERROR("MethodNotFound", "method", "org.example.service.M") },
                { "{\"method\":\"org.varlink.service.M\"}",
                  SERVICE_ERROR("MethodNotFound", "method", "org.varlink.service.M") },
                { "{\"method\":\"org.example.service.Now\"}",
                  SERVICE_ERROR("InvalidParameter", "parameter", "n") },
                { "{\"method\":\"org.example.service.Now\",\"parameters\":{\"n\":\"1\"}}",
                  SERVICE_ERROR("InvalidParameter", "parameter", "n") },
                { "{\"method\":\"org.example.service.Now\",\"parameters\":{\"n\":1,\"m\\\"\":1}}",
                  SERVICE_ERROR("InvalidParameter", "parameter", "m\\\"") },
                { "{\"method\":\"org.example.service.Now\",\"parameters\":7}",
                  SERVICE_ERROR("InvalidParameter", "parameter", "parameters") },
                { "{\"parameters\":{}}", SERVICE_ERROR("InvalidParameter", "parameter", "method") },
                { "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                  "{\"interface\":\"org.no\\\"ne\"}}",
                  SERVICE_ERROR("InterfaceNotFound", "interface", "org.no\\\"ne") },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                assert_int_equal(feed(f, cases[i].call), 0);
                assert_sent(f, cases[i].answer);
                assert_false(f->server.broken);
        }
        feed_call(f, "Now", 1, "");
        assert_sent(f, REPLY(1));
}

static void an_error_waits_its_turn_too(void **state)
{
        Fixture *f = *state;

        feed_call(f, "Later", 1, "");
        assert_int_equal(feed(f, "{\"method\":\"org.none.M\"}"), 0);
        assert_sent(f, "");
        varlink_invalid_parameter(f->later[1], "n");
        assert_sent(f, SERVICE_ERROR("InvalidParameter", "parameter", "n")
                               SERVICE_ERROR("InterfaceNotFound", "interface", "org.none"));
}

static void what_is_no_json_object_ends_the_connection(void **state)
{
        static const char *const cases[] = { "", "x", "[]", "{\"method\":}", "{} {}" };

        (void)tear_down(state);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Fixture *f;

                (void)set_up(state);
                f = *state;
                CHECK(feed(f, cases[i]) == -EPROTO, cases[i]);
                assert_sent(f, "");
                (void)tear_down(state);
        }
        (void)set_up(state);
}

static void too_many_open_calls_stop_the_reading(void **state)
{
        Fixture *f = *state;

        for (int i = 0; i < MOST_CALLS; i++) {
                assert_false(varlink_server_full(&f->server));
                feed_call(f, "Later", i, "");
        }
        assert_true(varlink_server_full(&f->server));
        feed_call(f, "Later", MOST_CALLS, "");
        feed_call(f, "Now", MOST_CALLS + 1, "");
        assert_int_equal(f->n_later, MOST_CALLS);

        answer(f->later[0], 0, false);
        assert_sent(f, REPLY(0));
        assert_false(varlink_server_full(&f->server));
        assert_int_equal(varlink_server_feed(&f->server, NULL, 0), 0);
        assert_int_equal(f->n_later, MOST_CALLS + 1);
        assert_true(varlink_server_full(&f->server));
        for (int i = 1; i <= MOST_CALLS; i++)
                answer(f->later[i], i, false);
        assert_int_equal(varlink_server_feed(&f->server, NULL, 0), 0);
        assert_sent(f, REPLY(1) REPLY(2) REPLY(3) REPLY(4) REPLY(5) REPLY(6) REPLY(7) REPLY(8)
                               REPLY(9));
}

static void calls_of_a_connection_that_goes_are_told(void **state)
{
        Fixture *f = *state;

        feed_call(f, "Later", 1, "");
        feed_call(f, "Later", 2, "");
        feed_call(f, "Later", 3, "");
        feed_call(f, "Now", 4, "");
        answer(f->later[2], 2, false);
        f->later[2] = NULL;
        varlink_server_fini(&f->server);
        assert_int_equal(f->n_gone, 2);
        assert_null(f->later[1]);
        assert_null(f->later[3]);
        varlink_server_init(&f->server, &f->service, LIMIT);
}

static void a_message_over_the_limit_is_answered_and_the_last(void **state)
{
        Fixture *f = *state;
        char text[LIMIT + 1];

        memset(text, ' ', sizeof(text));
        assert_int_equal(varlink_server_feed(&f->server, text, sizeof(text)), 0);
        assert_sent(f, "{\"error\":\"org.example.service.TooLarge\",\"parameters\":{\"limit_"
                       "bytes\":200}}\n");
        assert_true(f->server.broken);
        feed_call(f, "Now", 1, "");
        assert_sent(f, "");
}

static void a_message_of_the_limit_is_read(void **state)
{
        Fixture *f = *state;
        static const char call[] =
                "{\"method\":\"org.example.service.Now\",\"parameters\":{\"n\":5}}";
        char text[LIMIT + 1];

        memset(text, ' ', sizeof(text));
        memcpy(text, call, sizeof(call) - 1);
        text[LIMIT] = '\0';
        assert_int_equal(varlink_server_feed(&f->server, text, sizeof(text)), 0);
        assert_sent(f, REPLY(5));
}

static void a_message_that_is_too_deep_is_answered_and_the_last(void **state)
{
        Fixture *f = *state;
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        f->server.in.max_message = 10000;
        buffer_append_literal(&b, "{\"parameters\":");
        for (int i = 0; i < 3000; i++)
                buffer_append_char(&b, '[');
        buffer_append_char(&b, '\0');
        assert_int_equal(varlink_server_feed(&f->server, buffer_bytes(&b), buffer_len(&b)), 0);
        assert_sent(f, SERVICE_ERROR("InvalidParameter", "parameter", "nesting"));
        assert_true(f->server.broken);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(a_call_is_answered),
                TEST(calls_in_one_piece_are_answered_in_order),
                TEST(a_held_call_holds_the_replies_behind_it),
                TEST(replies_leave_in_call_order_whichever_comes_first),
                TEST(what_continues_flows_while_its_call_is_the_oldest),
                TEST(a_oneway_call_is_done_and_never_answered),
                TEST(the_service_interface_is_answered_here),
                TEST(what_is_wrong_with_a_call_is_the_answer),
                TEST(an_error_waits_its_turn_too),
                TEST(what_is_no_json_object_ends_the_connection),
                TEST(too_many_open_calls_stop_the_reading),
                TEST(calls_of_a_connection_that_goes_are_told),
                TEST(a_message_over_the_limit_is_answered_and_the_last),
                TEST(a_message_of_the_limit_is_read),
                TEST(a_message_that_is_too_deep_is_answered_and_the_last),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
