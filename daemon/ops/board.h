/* SPDX-License-Identifier: MIT */
#pragma once

/* Writing the scoreboard (board_layout.h says what it is).
 *
 * Nothing of it may cost the daemon more than memory: where the file can not be made, or its pages
 * can not be had (a full file system, somebody who shortens it), the daemon goes on writing where
 * nobody looks, and says so once. */

#include <stdatomic.h>
#include <stdbool.h>

#include "ops/board_layout.h"

typedef struct Board {
        BoardLayout *map;  /* never NULL after board_open() */
        int directory;     /* where the file is; -1: there is none. Not ours */
        int fd;            /* stays open: who knows our pid finds the file by it */
        uint32_t *free_slots; /* a stack of places that were in use */
        uint32_t n_free;
} Board;

/* Replaces the file of a daemon before us. Returns 0, or -errno with a map that nobody sees;
 * -ENOMEM: not even that. */
int board_open(Board *b, int directory, const char *socket);
/* Removes the file. */
void board_close(Board *b);

/* Has the file lost its pages? True once: then what it says is old, and it is removed, so that who
 * looks asks the daemon. */
bool board_is_lost(Board *b);

/* A record for a slot; NULL: there are too many. */
BoardSlot *board_take_slot(Board *b);
void board_give_slot(Board *b, BoardSlot *slot);

/* Around every change of a record; one writer. */
static inline void board_begin(uint32_t *seq)
{
        __atomic_store_n(seq, *seq + 1, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
}

static inline void board_end(uint32_t *seq)
{
        __atomic_store_n(seq, *seq + 1, __ATOMIC_RELEASE);
}
