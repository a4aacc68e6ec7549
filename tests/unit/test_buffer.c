/* SPDX-License-Identifier: MIT */

#include "unit.h"

static void what_is_appended_is_there_in_order(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        buffer_append_literal(&b, "one");
        buffer_append_char(&b, ' ');
        buffer_append_string(&b, "two");
        buffer_append_slice(&b, SLICE(" three"));
        buffer_printf(&b, " %d%s", 4, "!");
        assert_text(&b, "one two three 4!");
}

static void appending_nothing_changes_nothing(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        buffer_append(&b, NULL, 0);
        buffer_append_slice(&b, (Slice){ NULL, 0 });
        assert_int_equal(buffer_len(&b), 0);
        assert_false(b.failed);
}

static void consuming_moves_the_front(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        buffer_append_literal(&b, "abcdef");
        buffer_consume(&b, 2);
        assert_text(&b, "cdef");
        buffer_consume(&b, 4);
        assert_int_equal(buffer_len(&b), 0);
        assert_int_equal(b.start, 0);
}

static void a_queue_that_is_read_as_fast_as_written_does_not_grow(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        char block[100];
        size_t capacity;

        memset(block, 'x', sizeof(block));
        buffer_append(&b, block, 50);
        buffer_append(&b, block, 100);
        capacity = b.capacity;
        for (int i = 0; i < 1000; i++) {
                buffer_consume(&b, 100);
                buffer_append(&b, block, 100);
        }
        assert_int_equal(b.capacity, capacity);
        assert_int_equal(buffer_len(&b), 150 - 100 + 100);
}

static void growing_keeps_what_is_there(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        for (int i = 0; i < 10000; i++)
                buffer_append_char(&b, (char)('a' + i % 26));
        assert_int_equal(buffer_len(&b), 10000);
        for (int i = 0; i < 10000; i++)
                if (buffer_bytes(&b)[i] != 'a' + i % 26)
                        fail_msg("byte %d is wrong", i);
}

static void what_no_memory_can_hold_makes_it_fail_for_good(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        buffer_append_literal(&b, "abc");
        assert_null(buffer_reserve(&b, SIZE_MAX - 10));
        assert_true(b.failed);
        buffer_append_literal(&b, "def");
        assert_text(&b, "abc");
        buffer_clear(&b, 4096);
        assert_false(b.failed);
        buffer_append_literal(&b, "def");
        assert_text(&b, "def");
}

static void clearing_gives_back_only_large_memory(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        buffer_append_literal(&b, "abc");
        buffer_clear(&b, 4096);
        assert_non_null(b.data);
        assert_non_null(buffer_reserve(&b, 5000));
        buffer_clear(&b, 4096);
        assert_null(b.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_appended_is_there_in_order),
                cmocka_unit_test(appending_nothing_changes_nothing),
                cmocka_unit_test(consuming_moves_the_front),
                cmocka_unit_test(a_queue_that_is_read_as_fast_as_written_does_not_grow),
                cmocka_unit_test(growing_keeps_what_is_there),
                cmocka_unit_test(what_no_memory_can_hold_makes_it_fail_for_good),
                cmocka_unit_test(clearing_gives_back_only_large_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
