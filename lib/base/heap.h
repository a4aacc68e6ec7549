/* SPDX-License-Identifier: MIT */
#pragma once

/* A binary heap of pointers whose objects know their place, so that any of them can be taken out.
 *
 * `before` says which of two objects comes first; `index_of` gives the address of the object's
 * place, HEAP_NONE while it is in no heap. */

#include <stddef.h>
#include <stdint.h>

#define HEAP_NONE UINT32_MAX

typedef struct Heap {
        void **items;
        uint32_t count, capacity;
        int (*before)(const void *a, const void *b);
        uint32_t *(*index_of)(void *item);
} Heap;

void heap_fini(Heap *h);

/* Makes sure that the next push can not fail. Returns 0 or -ENOMEM. */
int heap_reserve(Heap *h, uint32_t more);

/* Returns 0 or -ENOMEM. The item must be in no heap. */
int heap_push(Heap *h, void *item);

/* Takes an item out; nothing happens if it is in no heap. */
void heap_remove(Heap *h, void *item);

/* How many items come before the one at this place; counted up to `limit`. */
uint32_t heap_count_before(const Heap *h, uint32_t index, uint32_t limit);

/* The first item, or NULL. */
static inline void *heap_peek(const Heap *h)
{
        return h->count ? h->items[0] : NULL;
}
