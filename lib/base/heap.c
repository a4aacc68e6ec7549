/* SPDX-License-Identifier: MIT */

#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

void heap_fini(Heap *h)
{
        free(h->items);
        h->items = NULL;
        h->count = h->capacity = 0;
}

int heap_reserve(Heap *h, uint32_t more)
{
        uint32_t capacity = h->capacity ? h->capacity : 64;
        void **items;

        if (h->capacity - h->count >= more)
                return 0;
        while (capacity - h->count < more) {
                if (capacity > UINT32_MAX / 4)
                        return -ENOMEM;
                capacity *= 2;
        }
        items = realloc(h->items, capacity * sizeof(*items));
        if (!items)
                return -ENOMEM;
        h->items = items;
        h->capacity = capacity;
        return 0;
}

static void put(Heap *h, uint32_t at, void *item)
{
        h->items[at] = item;
        *h->index_of(item) = at;
}

static void sift_up(Heap *h, uint32_t at, void *item)
{
        while (at) {
                uint32_t parent = (at - 1) / 2;

                if (!h->before(item, h->items[parent]))
                        break;
                put(h, at, h->items[parent]);
                at = parent;
        }
        put(h, at, item);
}

static void sift_down(Heap *h, uint32_t at, void *item)
{
        for (;;) {
                uint32_t child = 2 * at + 1;

                if (child >= h->count)
                        break;
                if (child + 1 < h->count && h->before(h->items[child + 1], h->items[child]))
                        child++;
                if (!h->before(h->items[child], item))
                        break;
                put(h, at, h->items[child]);
                at = child;
        }
        put(h, at, item);
}

int heap_push(Heap *h, void *item)
{
        int r = heap_reserve(h, 1);

        if (r < 0)
                return r;
        ASSERT(*h->index_of(item) == HEAP_NONE);
        sift_up(h, h->count++, item);
        return 0;
}

void heap_remove(Heap *h, void *item)
{
        uint32_t at = *h->index_of(item);
        void *last;

        if (at == HEAP_NONE)
                return;
        ASSERT(at < h->count && h->items[at] == item);
        *h->index_of(item) = HEAP_NONE;
        last = h->items[--h->count];
        if (last == item)
                return;
        if (at && h->before(last, h->items[(at - 1) / 2]))
                sift_up(h, at, last);
        else
                sift_down(h, at, last);
}

/* Only what comes before the item itself has children that may. */
static void count_below(const Heap *h, uint32_t at, const void *item, uint32_t limit, uint32_t *n)
{
        if (at >= h->count || *n >= limit || !h->before(h->items[at], item))
                return;
        (*n)++;
        count_below(h, 2 * at + 1, item, limit, n);
        count_below(h, 2 * at + 2, item, limit, n);
}

uint32_t heap_count_before(const Heap *h, uint32_t index, uint32_t limit)
{
        uint32_t n = 0;

        count_below(h, 0, h->items[index], limit, &n);
        return n;
}
