/* SPDX-License-Identifier: MIT */
#pragma once

/* A circular doubly linked list whose links live in the objects.
 *
 * A List is a link that heads the ring; an object that is in no list has a link that points at
 * itself, so removing it twice is harmless and "is it listed?" is a comparison. */

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

typedef struct List {
        struct List *next, *prev;
} List;

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(List *l)
{
        l->next = l->prev = l;
}

static inline bool list_empty(const List *l)
{
        return l->next == l;
}

static inline void list_append(List *head, List *item)
{
        item->prev = head->prev;
        item->next = head;
        head->prev->next = item;
        head->prev = item;
}

static inline void list_prepend(List *head, List *item)
{
        list_append(head->next, item);
}

/* Takes item out of its list, if it is in one. */
static inline void list_remove(List *item)
{
        item->prev->next = item->next;
        item->next->prev = item->prev;
        list_init(item);
}

/* Moves everything from one list to the end of another. */
static inline void list_splice(List *to, List *from)
{
        if (list_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

#define LIST_FIRST(head, type, member)                                                             \
        (list_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))

#define LIST_FOREACH(head, item, member)                                                           \
        for (item = CONTAINER_OF((head)->next, __typeof__(*item), member);                         \
             &item->member != (head);                                                              \
             item = CONTAINER_OF(item->member.next, __typeof__(*item), member))

/* The same, where the body may remove (only) the current item. */
#define LIST_FOREACH_SAFE(head, item, following, member)                                           \
        for (item = CONTAINER_OF((head)->next, __typeof__(*item), member),                         \
            following = CONTAINER_OF(item->member.next, __typeof__(*item), member);                \
             &item->member != (head);                                                              \
             item = following,                                                                     \
            following = CONTAINER_OF(item->member.next, __typeof__(*item), member))
