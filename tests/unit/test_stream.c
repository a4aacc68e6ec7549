/* SPDX-License-Identifier: MIT */

#include "varlink/stream.h"

#include "unit.h"

DEFINE_FINI(VarlinkStream, varlink_stream_fini);

static bool next_is(VarlinkStream *s, const char *text)
{
        Slice message;

        return varlink_stream_next(s, &message) == 1 && slice_is(message, text);
}

static int next(VarlinkStream *s)
{
        Slice message;

        return varlink_stream_next(s, &message);
}

static void feed(VarlinkStream *s, Slice bytes)
{
        assert_int_equal(varlink_stream_feed(s, bytes.data, bytes.len), 0);
}

static void messages_end_with_a_nul(void **state UNUSED)
{
        AUTO(varlink_stream_fini) VarlinkStream s;

        varlink_stream_init(&s, 100);
        assert_int_equal(next(&s), 0);
        feed(&s, SLICE("one\0\0three\0fo"));
        assert_true(next_is(&s, "one"));
        assert_true(next_is(&s, ""));
        assert_true(next_is(&s, "three"));
        assert_int_equal(next(&s), 0);
        assert_int_equal(varlink_stream_unread(&s), 2);
        assert_int_equal(varlink_stream_keep(&s), 0);
        feed(&s, SLICE("ur\0"));
        assert_true(next_is(&s, "four"));
        assert_int_equal(varlink_stream_unread(&s), 0);
}

static void it_matters_not_where_the_bytes_are_cut(void **state UNUSED)
{
        const Slice all = SLICE("one\0\0a longer message\0x\0");

        for (size_t size = 1; size <= all.len; size++) {
                AUTO(varlink_stream_fini) VarlinkStream s;
                AUTO(buffer_fini) Buffer seen = BUFFER_INIT;
                Slice message;

                varlink_stream_init(&s, 100);
                for (size_t at = 0; at < all.len; at += size) {
                        feed(&s, (Slice){ all.data + at, MIN(size, all.len - at) });
                        while (varlink_stream_next(&s, &message) == 1) {
                                buffer_append_slice(&seen, message);
                                buffer_append_char(&seen, '|');
                        }
                        assert_int_equal(varlink_stream_keep(&s), 0);
                }
                assert_text(&seen, "one||a longer message|x|");
        }
}

static void what_is_not_yet_wanted_is_kept(void **state UNUSED)
{
        AUTO(varlink_stream_fini) VarlinkStream s;
        char bytes[] = "one\0two\0three";

        varlink_stream_init(&s, 100);
        feed(&s, (Slice){ bytes, sizeof(bytes) });
        assert_true(next_is(&s, "one"));
        assert_int_equal(varlink_stream_keep(&s), 0);
        memset(bytes, 'x', sizeof(bytes));
        assert_true(next_is(&s, "two"));
        assert_int_equal(varlink_stream_keep(&s), 0);
        assert_true(next_is(&s, "three"));
        assert_int_equal(next(&s), 0);
}

static void a_message_of_the_limit_passes_and_one_more_byte_does_not(void **state UNUSED)
{
        AUTO(varlink_stream_fini) VarlinkStream fits, over, early;

        varlink_stream_init(&fits, 5);
        feed(&fits, SLICE("12345\0"));
        assert_true(next_is(&fits, "12345"));
        varlink_stream_init(&over, 5);
        feed(&over, SLICE("123456\0"));
        assert_int_equal(next(&over), -VARLINK_E_TOO_LARGE);
        varlink_stream_init(&early, 5);
        feed(&early, SLICE("12345"));
        assert_int_equal(next(&early), 0);
        assert_int_equal(varlink_stream_keep(&early), 0);
        feed(&early, SLICE("6"));
        assert_int_equal(next(&early), -VARLINK_E_TOO_LARGE);
}

static void an_idle_stream_owns_no_large_memory(void **state UNUSED)
{
        AUTO(varlink_stream_fini) VarlinkStream s;
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        for (int i = 0; i < 10000; i++)
                buffer_append_char(&b, 'x');
        varlink_stream_init(&s, 20000);
        feed(&s, buffer_slice(&b));
        assert_int_equal(next(&s), 0);
        assert_int_equal(varlink_stream_keep(&s), 0);
        assert_non_null(s.kept.data);
        feed(&s, SLICE("\0"));
        assert_int_equal(next(&s), 1);
        assert_int_equal(varlink_stream_keep(&s), 0);
        assert_null(s.kept.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_end_with_a_nul),
                cmocka_unit_test(it_matters_not_where_the_bytes_are_cut),
                cmocka_unit_test(what_is_not_yet_wanted_is_kept),
                cmocka_unit_test(a_message_of_the_limit_passes_and_one_more_byte_does_not),
                cmocka_unit_test(an_idle_stream_owns_no_large_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
