/* SPDX-License-Identifier: MIT */
#pragma once

/* A word of memory that the supervisor and one worker share for each slot.
 *
 * The worker answers several short runs with one write, so the supervisor cannot tell from the
 * socket which of them has begun. The worker therefore counts here each run just before it begins.
 * When it dies, what is counted was begun (an attempt), and what is not was never touched.
 *
 * The supervisor can also recall what has not begun: it closes the window, and a worker that finds
 * it closed does not begin another run but answers it with kind `recalled`. Both changes are one
 * compare-and-swap on the same word, so a run is either begun or recalled, never both. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct SlotPage {
        _Alignas(64) _Atomic uint64_t word; /* low half: runs begun; top bit: closed */
} SlotPage;

#define SLOT_PAGE_CLOSED (1ULL << 63)

/* Worker: begins the next run; false if the window is closed. */
static inline bool slot_page_begin(SlotPage *page)
{
        uint64_t seen = atomic_load_explicit(&page->word, memory_order_relaxed), next;

        do {
                if (seen & SLOT_PAGE_CLOSED)
                        return false;
                next = (uint32_t)(seen + 1);
        } while (!atomic_compare_exchange_weak(&page->word, &seen, next));
        return true;
}

/* Supervisor: how many runs have begun, modulo 2^32. */
static inline uint32_t slot_page_begun(SlotPage *page)
{
        return (uint32_t)atomic_load(&page->word);
}

/* Supervisor: no further run begins. Returns how many have begun. */
static inline uint32_t slot_page_close(SlotPage *page)
{
        return (uint32_t)atomic_fetch_or(&page->word, SLOT_PAGE_CLOSED);
}

/* Supervisor: opens it again; only while the worker has nothing to begin. `begun` is set to what
 * the supervisor has seen answered, so that a worker that scribbled here harms itself alone. */
static inline void slot_page_open(SlotPage *page, uint32_t begun)
{
        atomic_store(&page->word, begun);
}
