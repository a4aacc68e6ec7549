/* SPDX-License-Identifier: MIT */

#include "pool/block.h"

#include <stdlib.h>
#include <string.h>

struct Block {
        size_t users; /* results that were not released */
        char *next;   /* where the bytes of the next one go */
};

enum { GRAIN = 16 }; /* malloc() gives what is aligned to it */

Block *block_new(size_t n, size_t room)
{
        Block *b = malloc(sizeof(*b) + room);

        if (!b)
                return NULL;
        b->users = n;
        b->next = (char *)(b + 1);
        return b;
}

BroodResult block_put(Block *b, const void *bytes, size_t size)
{
        char *to = b->next;

        b->next += block_room(size);
        memcpy(to, bytes, size);
        to[size] = '\0';
        return (BroodResult){ .place = (unsigned)((to - (char *)b) / GRAIN), .data = to,
                              .size = size };
}

void block_run_add(BlockRun *run, const BroodResult *r)
{
        Block *b = r->data ? (Block *)(void *)((char *)r->data - (size_t)r->place * GRAIN) : NULL;

        if (!b)
                return;
        if (b != run->block)
                block_run_end(run);
        run->block = b;
        run->n++;
}

void block_run_end(BlockRun *run)
{
        if (run->n && __atomic_sub_fetch(&run->block->users, run->n, __ATOMIC_ACQ_REL) == 0)
                free(run->block);
        *run = (BlockRun)BLOCK_RUN_INIT;
}
