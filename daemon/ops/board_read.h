/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading the scoreboard of a daemon, whether that answers or not (board_layout.h says what it is).
 *
 * What is copied is consistent, and texts end, whatever the file holds. */

#include <stdbool.h>

#include "ops/board_layout.h"

typedef struct BoardView {
        const BoardLayout *map; /* NULL: none */
} BoardView;

/* Maps it; the descriptor may be closed then. Returns 0, or -errno (-EBADMSG: it is no scoreboard,
 * or one of another version). */
int board_view_open(BoardView *v, int fd);
void board_view_close(BoardView *v);

/* Copies of the records; false: it is not in use (or was still being written after many tries, by
 * somebody who has been stopped in the middle). */
bool board_read_head(const BoardView *v, BoardHead *ret);
bool board_read_pool(const BoardView *v, uint32_t i, BoardPool *ret);
bool board_read_handler(const BoardView *v, uint32_t i, BoardHandler *ret);
bool board_read_slot(const BoardView *v, uint32_t i, BoardSlot *ret);

/* How many records of a kind there may be; places that are not in use are among them. */
uint32_t board_pools(const BoardView *v);
uint32_t board_handlers(const BoardView *v);
uint32_t board_slots(const BoardView *v);

const char *board_state_name(uint8_t state);
