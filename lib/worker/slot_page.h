/* SPDX-License-Identifier: MIT */
#pragma once

/* The memory that the supervisor and one worker share for each slot.
 *
 * The worker answers several short runs with one write, so the supervisor cannot tell from the
 * socket which of them has begun. The worker therefore counts here each run just before it begins.
 * When it dies, what is counted was begun (an attempt), and what is not was never touched.
 *
 * The supervisor can also recall what has not begun: it closes the window, and a worker that finds
 * it closed does not begin another run but answers it with kind `recalled`. Both changes are one
 * compare-and-swap on the same word, so a run is either begun or recalled, never both.
 *
 * Beside that word stand three others. One is of the supervisor alone: does anybody follow what
 * runs here? Only then does the worker send what its handlers write. In one the worker notes that
 * what ran here has crashed, where other slots fall with it. And it notes how long each of the last
 * runs took in its handler, without what it takes to wake and to be heard. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SLOT_PAGE_TIMES = 16 };

typedef struct SlotPage {
        _Alignas(64) _Atomic uint64_t word; /* low half: runs begun; top bit: closed */
        _Atomic uint32_t followed;          /* 1: output is wanted; else 0 */
        _Atomic uint32_t crashed;           /* a signal; 0: it has not */
        _Atomic uint16_t took[SLOT_PAGE_TIMES]; /* microseconds, by the number of the run */
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

/* Supervisor: from now on output is wanted, or not. Set before a run is written, it holds for all
 * of that run. */
static inline void slot_page_follow(SlotPage *page, bool wanted)
{
        atomic_store_explicit(&page->followed, wanted, memory_order_relaxed);
}

/* Worker: is output wanted? */
static inline bool slot_page_followed(const SlotPage *page)
{
        return atomic_load_explicit(&page->followed, memory_order_relaxed) != 0;
}

/* Worker: the run that began last took so long, or 65 ms if that is less. Before it is answered. */
static inline void slot_page_end(SlotPage *page, uint64_t usec)
{
        uint32_t run = (uint32_t)atomic_load_explicit(&page->word, memory_order_relaxed) - 1;

        atomic_store_explicit(&page->took[run % SLOT_PAGE_TIMES],
                              (uint16_t)(usec < UINT16_MAX ? usec : UINT16_MAX),
                              memory_order_release);
}

/* Supervisor: how long a run took that has been answered, by its number, from 0. Returns false if
 * later ones have begun in its place. */
static inline bool slot_page_took(SlotPage *page, uint32_t run, uint16_t *ret_usec)
{
        *ret_usec = atomic_load_explicit(&page->took[run % SLOT_PAGE_TIMES],
                                         memory_order_acquire);
        return slot_page_begun(page) - run <= SLOT_PAGE_TIMES;
}

/* Worker: the job of this slot has crashed by this signal. Async-signal-safe. */
static inline void slot_page_crashed(SlotPage *page, int signal)
{
        atomic_store(&page->crashed, (uint32_t)signal);
}

/* Supervisor: the signal by which it has; 0: it has not. */
static inline uint32_t slot_page_crash(const SlotPage *page)
{
        return atomic_load(&page->crashed);
}
