/* SPDX-License-Identifier: MIT */
#pragma once

/* The bytes of many results in one piece of memory, which goes with the last of them.
 *
 * What a worker sends in one go is copied in one go: an allocation for each of a million small
 * results, in the one thread that all of them come through, costs more than the results. Where in
 * its block the bytes of a result stand is in the result (`place`). */

#include <brood/pool.h>

typedef struct Block Block;

/* What bytes of a result take there. */
static inline size_t block_room(size_t size)
{
        return (size + 16) / 16 * 16;
}

/* For so many results, with so much room in all. NULL: there is no memory. It is freed when each of
 * them was put there and released. */
Block *block_new(size_t n, size_t room);

/* The next one: a copy with a 0 behind it, aligned to 16. */
BroodResult block_put(Block *block, const void *bytes, size_t size);

/* Releases results, by any thread: those of a block that follow each other together. */
typedef struct BlockRun {
        Block *block;
        size_t n;
} BlockRun;

#define BLOCK_RUN_INIT { NULL, 0 }

void block_run_add(BlockRun *run, const BroodResult *result);
void block_run_end(BlockRun *run);
