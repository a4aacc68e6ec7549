/* SPDX-License-Identifier: MIT */

#include "base/uuid.h"

#include "unit.h"

#define TEXT "0192f0c1-2345-7678-9abc-def012345678"

static void its_text_reads_back_as_itself(void **state UNUSED)
{
        Uuid u;

        assert_true(uuid_parse(SLICE(TEXT), &u));
        assert_int_equal(u.bytes[0], 0x01);
        assert_int_equal(u.bytes[15], 0x78);
        assert_string_equal(uuid_text(&u).text, TEXT);
}

static void capital_letters_are_the_same_id(void **state UNUSED)
{
        Uuid a, b;

        assert_true(uuid_parse(SLICE(TEXT), &a));
        assert_true(uuid_parse(SLICE("0192F0C1-2345-7678-9ABC-DEF012345678"), &b));
        assert_true(uuid_equal(&a, &b));
}

static void what_is_no_uuid_is_refused(void **state UNUSED)
{
        static const char *const cases[] = {
                "",
                "0192f0c1-2345-7678-9abc-def01234567",
                "0192f0c1-2345-7678-9abc-def0123456789",
                "0192f0c12345-7678-9abc-def0123456789",
                "0192f0c1-2345-7678-9abcddef012345678",
                "g192f0c1-2345-7678-9abc-def012345678",
                "{192f0c1-2345-7678-9abc-def01234567}",
                "0192f0c1-2345-7678-9abc-def01234567 ",
        };
        Uuid u;

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(!uuid_parse(slice_of(cases[i]), &u), cases[i]);
}

static void new_ones_say_their_version_variant_and_time(void **state UNUSED)
{
        usec_t now = 1768472430123456;
        Uuid u = uuid_new(now);
        uint64_t ms = 0;

        for (int i = 0; i < 6; i++)
                ms = ms << 8 | u.bytes[i];
        assert_int_equal(ms, now / 1000);
        assert_int_equal(u.bytes[6] >> 4, 7);
        assert_int_equal(u.bytes[8] >> 6, 2);
}

static void new_ones_sort_as_they_were_made(void **state UNUSED)
{
        usec_t now = 1768472430200000;
        Uuid last = uuid_new(now);

        for (int i = 0; i < 50000; i++) {
                usec_t at = i % 7 == 0 ? now - 5000 : now + (usec_t)i / 100; /* a clock may step */
                Uuid u = uuid_new(at);

                if (memcmp(&last, &u, sizeof(u)) >= 0)
                        fail_msg("the %dth id is not after the one before", i);
                last = u;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(its_text_reads_back_as_itself),
                cmocka_unit_test(capital_letters_are_the_same_id),
                cmocka_unit_test(what_is_no_uuid_is_refused),
                cmocka_unit_test(new_ones_say_their_version_variant_and_time),
                cmocka_unit_test(new_ones_sort_as_they_were_made),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
