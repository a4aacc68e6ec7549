/* SPDX-License-Identifier: MIT */

#include "base/list.h"

#include "unit.h"

typedef struct Item {
        char name;
        List link;
} Item;

/* The names of what is in the list, in order; and backwards they are the same. */
static void assert_list(const List *head, const char *names)
{
        size_t n = strlen(names);
        const List *l = head->next;

        for (size_t i = 0; i < n; i++, l = l->next) {
                assert_ptr_not_equal(l, head);
                assert_int_equal(CONTAINER_OF(l, Item, link)->name, names[i]);
                assert_ptr_equal(l->next->prev, l);
        }
        assert_ptr_equal(l, head);
        assert_ptr_equal(head->next->prev, head);
}

static void items_stand_where_they_were_put(void **state UNUSED)
{
        List head = LIST_INIT(head);
        Item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };

        assert_true(list_empty(&head));
        assert_null(LIST_FIRST(&head, Item, link));
        list_append(&head, &a.link);
        list_append(&head, &b.link);
        list_prepend(&head, &c.link);
        assert_list(&head, "cab");
        assert_ptr_equal(LIST_FIRST(&head, Item, link), &c);
}

static void removing_twice_is_harmless(void **state UNUSED)
{
        List head = LIST_INIT(head);
        Item a = { .name = 'a' }, b = { .name = 'b' };

        list_append(&head, &a.link);
        list_append(&head, &b.link);
        list_remove(&a.link);
        list_remove(&a.link);
        assert_list(&head, "b");
        assert_true(list_empty(&a.link));
}

static void splicing_moves_all_to_the_end(void **state UNUSED)
{
        List to = LIST_INIT(to), from = LIST_INIT(from);
        Item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };

        list_append(&to, &a.link);
        list_append(&from, &b.link);
        list_append(&from, &c.link);
        list_splice(&to, &from);
        assert_list(&to, "abc");
        assert_true(list_empty(&from));
        list_splice(&to, &from);
        assert_list(&to, "abc");
}

static void a_safe_walk_survives_the_removal_of_its_item(void **state UNUSED)
{
        List head = LIST_INIT(head);
        Item items[4] = { { .name = 'a' }, { .name = 'b' }, { .name = 'c' }, { .name = 'd' } };
        Item *item, *next;
        int seen = 0;

        for (int i = 0; i < 4; i++)
                list_append(&head, &items[i].link);
        LIST_FOREACH_SAFE(&head, item, next, link) {
                seen++;
                if (item->name != 'c')
                        list_remove(&item->link);
        }
        assert_int_equal(seen, 4);
        assert_list(&head, "c");
        LIST_FOREACH(&head, item, link)
                assert_int_equal(item->name, 'c');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(items_stand_where_they_were_put),
                cmocka_unit_test(removing_twice_is_harmless),
                cmocka_unit_test(splicing_moves_all_to_the_end),
                cmocka_unit_test(a_safe_walk_survives_the_removal_of_its_item),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
