/* SPDX-License-Identifier: MIT */

#include "base/heap.h"

#include "unit.h"

typedef struct Item {
        int key;
        uint32_t place;
} Item;

static int item_before(const void *a, const void *b)
{
        return ((const Item *)a)->key < ((const Item *)b)->key;
}

static uint32_t *item_place(void *item)
{
        return &((Item *)item)->place;
}

enum { N = 500 };

/* N items whose keys are a shuffle of 0 to N - 1. */
static void fill(Heap *h, Item items[N])
{
        for (int i = 0; i < N; i++) {
                items[i] = (Item){ i * 7 % N, HEAP_NONE }; /* 7 and 500 have no common divisor */
                assert_int_equal(heap_push(h, &items[i]), 0);
        }
}

static Item *pop(Heap *h)
{
        Item *item = heap_peek(h);

        if (item)
                heap_remove(h, item);
        return item;
}

static void items_come_out_in_order(void **state UNUSED)
{
        Heap h = { .before = item_before, .index_of = item_place };
        Item items[N];

        fill(&h, items);
        for (int i = 0; i < N; i++)
                assert_int_equal(pop(&h)->key, i);
        assert_null(heap_peek(&h));
        heap_fini(&h);
}

static void any_item_can_be_taken_out(void **state UNUSED)
{
        Heap h = { .before = item_before, .index_of = item_place };
        Item items[N];

        fill(&h, items);
        for (int i = 0; i < N; i++)
                if (items[i].key % 3 != 0) {
                        heap_remove(&h, &items[i]);
                        assert_int_equal(items[i].place, HEAP_NONE);
                }
        for (int i = 0; i < N; i += 3)
                assert_int_equal(pop(&h)->key, i);
        assert_null(heap_peek(&h));
        heap_fini(&h);
}

static void every_item_knows_its_place(void **state UNUSED)
{
        Heap h = { .before = item_before, .index_of = item_place };
        Item items[N];

        fill(&h, items);
        for (int i = 0; i < N; i++)
                assert_ptr_equal(h.items[items[i].place], &items[i]);
        heap_fini(&h);
}

static void removing_what_is_not_there_does_nothing(void **state UNUSED)
{
        Heap h = { .before = item_before, .index_of = item_place };
        Item in = { 1, HEAP_NONE }, out = { 2, HEAP_NONE };

        assert_int_equal(heap_push(&h, &in), 0);
        heap_remove(&h, &out);
        assert_int_equal(h.count, 1);
        assert_ptr_equal(heap_peek(&h), &in);
        heap_fini(&h);
}

static void after_a_reserve_pushing_takes_no_memory(void **state UNUSED)
{
        Heap h = { .before = item_before, .index_of = item_place };
        Item items[N];
        void **place;

        assert_int_equal(heap_reserve(&h, N), 0);
        place = h.items;
        fill(&h, items);
        assert_ptr_equal(h.items, place);
        assert_true(h.capacity >= N);
        assert_int_equal(heap_reserve(&h, UINT32_MAX - 1), -ENOMEM);
        heap_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(items_come_out_in_order),
                cmocka_unit_test(any_item_can_be_taken_out),
                cmocka_unit_test(every_item_knows_its_place),
                cmocka_unit_test(removing_what_is_not_there_does_nothing),
                cmocka_unit_test(after_a_reserve_pushing_takes_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
