/* SPDX-License-Identifier: MIT */

#include "base/hashtable.h"

#include "unit.h"

enum { N = 1000 };

typedef struct Item {
        HashLink link;
        int key;
} Item;

static void fill(HashTable *t, Item items[N], uint64_t hashes)
{
        for (int i = 0; i < N; i++) {
                items[i].key = i;
                assert_int_equal(hashtable_add(t, &items[i].link, (uint64_t)i % hashes), 0);
        }
}

/* How many objects with this hash are found, and every one is of it. */
static int count_of(const HashTable *t, uint64_t hash, uint64_t hashes)
{
        int n = 0;

        for (HashLink *l = hashtable_first(t, hash); l; l = hashtable_next(t, l), n++)
                assert_int_equal((uint64_t)CONTAINER_OF(l, Item, link)->key % hashes, hash);
        return n;
}

static void an_empty_table_has_nothing(void **state UNUSED)
{
        HashTable t = { 0 };

        assert_null(hashtable_first(&t, 0));
        hashtable_fini(&t);
}

static void every_object_of_a_hash_is_found(void **state UNUSED)
{
        HashTable t = { 0 };
        Item items[N];

        fill(&t, items, 50);
        assert_int_equal(t.count, N);
        for (uint64_t h = 0; h < 50; h++)
                assert_int_equal(count_of(&t, h, 50), N / 50);
        assert_null(hashtable_first(&t, 50));
        hashtable_fini(&t);
}

static void what_is_removed_is_not_found_and_the_rest_is(void **state UNUSED)
{
        HashTable t = { 0 };
        Item items[N];

        fill(&t, items, N);
        for (int i = 0; i < N; i += 2)
                hashtable_remove(&t, &items[i].link);
        for (int i = 0; i < N; i++)
                assert_int_equal(count_of(&t, (uint64_t)i, N), i % 2);
        assert_int_equal(t.count, N / 2);
        hashtable_fini(&t);
}

static void the_hash_of_bytes_depends_on_every_byte(void **state UNUSED)
{
        char text[41];
        uint64_t before;

        for (size_t n = 0; n + 1 < sizeof(text); n++) {
                memset(text, 'x', sizeof(text));
                before = hash_bytes(text, n);
                assert_true(before == hash_bytes(text, n));
                assert_true(before != hash_bytes(text, n + 1));
                for (size_t i = 0; i < n; i++) {
                        text[i]++;
                        assert_true(before != hash_bytes(text, n));
                        text[i]--;
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_table_has_nothing),
                cmocka_unit_test(every_object_of_a_hash_is_found),
                cmocka_unit_test(what_is_removed_is_not_found_and_the_rest_is),
                cmocka_unit_test(the_hash_of_bytes_depends_on_every_byte),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
