/* SPDX-License-Identifier: MIT */

/* Blocks of different processes never overlap; what a dead one had is known but for one block, and
 * all else comes back. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <brood/shared.h>

#include "scene.h"

enum { WORKERS = 4, BLOCKS = 64, ARENA = 1 << 20, LARGE = 5000 };

/* Shared: what a seat has. */
typedef struct Hand {
        uint64_t blocks[BLOCKS];
        uint32_t sizes[BLOCKS];
        unsigned char signs[BLOCKS];
        uint32_t at_work; /* the number of the block that is being taken or given back, plus one */
} Hand;

static BroodHeap *heap;
static Hand *hands;
static size_t in_doubt; /* bytes */

static void begin(void)
{
        CLAIM(brood_heap_new(&heap, ARENA) == 0);
        hands = scene_memory(sizeof(Hand) * WORKERS);
        in_doubt = 0;
}

static void check(const Hand *hand, unsigned k)
{
        const unsigned char *at = brood_heap_at(heap, hand->blocks[k]);

        CLAIM(at);
        for (uint32_t i = 0; i < hand->sizes[k]; i++)
                CLAIM(at[i] == hand->signs[k]);
}

static void give_back(Hand *hand, unsigned k)
{
        check(hand, k);
        hand->at_work = k + 1;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        CLAIM(brood_heap_release(heap, hand->blocks[k]) == 0);
        hand->blocks[k] = 0;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        hand->at_work = 0;
}

static void take(Hand *hand, unsigned k, uint32_t *seed)
{
        uint64_t block = 0;
        unsigned char *at;
        int r;

        hand->sizes[k] = dice(seed) % (dice(seed) % 8 ? 300 : LARGE);
        hand->signs[k] = (unsigned char)(1 + dice(seed) % 255);
        hand->at_work = k + 1;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        r = brood_heap_alloc(heap, hand->sizes[k], &block);
        CLAIM(r == 0 || r == -ENOMEM);
        if (r == 0) {
                at = brood_heap_at(heap, block);
                for (uint32_t i = 0; i < hand->sizes[k]; i++)
                        CLAIM(at[i] == 0);
                memset(at, hand->signs[k], hand->sizes[k]);
                hand->blocks[k] = block;
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        hand->at_work = 0;
}

static void work(unsigned seat, uint32_t seed)
{
        Hand *hand = &hands[seat];

        if (dice(&seed) % 2)
                CLAIM(brood_heap_open(&heap, dup(brood_heap_fd(heap))) == 0);
        while (!stopped()) {
                unsigned k = dice(&seed) % BLOCKS;

                if (hand->blocks[k])
                        give_back(hand, k);
                else
                        take(hand, k, &seed);
                stage->seats[seat].turns++;
        }
        for (unsigned k = 0; k < BLOCKS; k++)
                if (hand->blocks[k])
                        give_back(hand, k);
        brood_heap_free(heap);
}

/* The parent gives back what it had, but for the one of which nobody knows. */
static void mourn(unsigned seat)
{
        Hand *hand = &hands[seat];

        for (unsigned k = 0; k < BLOCKS; k++) {
                if (hand->at_work == k + 1)
                        in_doubt += hand->sizes[k] + 64;
                else if (hand->blocks[k]) {
                        check(hand, k);
                        CLAIM(brood_heap_release(heap, hand->blocks[k]) == 0);
                }
                hand->blocks[k] = 0;
        }
        hand->at_work = 0;
}

static void end(void)
{
        CLAIM(brood_heap_used(heap) <= in_doubt);
        if (!brood_heap_used(heap)) {
                uint64_t block;

                CLAIM(brood_heap_alloc(heap, ARENA - 16, &block) == 0); /* in one piece */
        }
        brood_heap_free(heap);
}

const Scene heap_scene = { "heap", WORKERS, begin, work, mourn, NULL, end };
