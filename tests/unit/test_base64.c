/* SPDX-License-Identifier: MIT */

#include "base/base64.h"

#include "unit.h"

/* RFC 4648, section 10, and the two last letters */
static const struct {
        const char *plain, *text;
} vectors[] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xfb\xef\xff", "++//" },
};

static void the_vectors_of_the_rfc_are_encoded(void **state UNUSED)
{
        for (size_t i = 0; i < ELEMENTS(vectors); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;

                base64_append(&b, slice_of(vectors[i].plain));
                CHECK(buffer_is(&b, vectors[i].text), vectors[i].plain);
        }
}

static void the_vectors_of_the_rfc_are_decoded(void **state UNUSED)
{
        for (size_t i = 0; i < ELEMENTS(vectors); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;

                CHECK(base64_decode(&b, slice_of(vectors[i].text)) == 0, vectors[i].text);
                CHECK(buffer_is(&b, vectors[i].plain), vectors[i].text);
        }
}

static void what_is_not_base64_is_refused_and_leaves_nothing(void **state UNUSED)
{
        static const char *const cases[] = {
                "Z",    "Zg",   "Zg=",  "=",        "====",     "Z===", "Zg=a", "Z!==",
                "Zm9-", "Zm9_", "Zm 9", "Zg==Zg==", "Zm9vZ===", "Zm9\n",
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;

                buffer_append_literal(&b, "kept");
                CHECK(base64_decode(&b, slice_of(cases[i])) == -EINVAL, cases[i]);
                CHECK(buffer_is(&b, "kept"), cases[i]);
        }
}

static void a_text_that_is_cut_is_refused_whatever_follows_it(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        for (size_t n = 5; n < 8; n++)
                assert_int_equal(base64_decode(&b, (Slice){ "Zm9vYmFy", n }), -EINVAL);
        assert_int_equal(buffer_len(&b), 0);
}

static void every_byte_survives_the_way_there_and_back(void **state UNUSED)
{
        AUTO(buffer_fini) Buffer text = BUFFER_INIT, back = BUFFER_INIT;
        char bytes[256];

        for (int i = 0; i < 256; i++)
                bytes[i] = (char)i;
        base64_append(&text, (Slice){ bytes, sizeof(bytes) });
        assert_int_equal(base64_decode(&back, buffer_slice(&text)), 0);
        assert_int_equal(buffer_len(&back), 256);
        assert_memory_equal(buffer_bytes(&back), bytes, 256);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_vectors_of_the_rfc_are_encoded),
                cmocka_unit_test(the_vectors_of_the_rfc_are_decoded),
                cmocka_unit_test(what_is_not_base64_is_refused_and_leaves_nothing),
                cmocka_unit_test(a_text_that_is_cut_is_refused_whatever_follows_it),
                cmocka_unit_test(every_byte_survives_the_way_there_and_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
