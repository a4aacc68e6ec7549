/* SPDX-License-Identifier: MIT */
#pragma once

/* The scoreboard of the daemon behind a socket: found, read, and what it says of that daemon, which
 * is asked nothing. */

#include "ctl/ctl.h"
#include "ops/board_read.h"
#include "process/proc.h"

typedef struct BoardAt {
        BoardView view;
        BoardHead head;
        usec_t now;     /* by the daemon's clock */
        char path[512]; /* of the file, or of the one that could not be read */
} BoardAt;

/* Looks in --runtime-directory, in the directory of the daemon that the options mean, beside the
 * socket, and at what the process that listens there has open. Returns 0, or -errno (-ENOENT: there
 * is none; -EACCES: this user may not read it; ret->path says which) without a word. */
int board_find(const Ctl *ctl, BoardAt *ret);
void board_forget(BoardAt *b);

/* Reads the head again. */
void board_refresh(BoardAt *b);

/* Has the daemon that wrote it ended? */
bool board_is_left(const BoardAt *b);

/* What is wrong with the daemon, in words that go on "broodd (pid 1) …"; NULL: nothing that can be
 * seen without asking it. */
const char *board_ailment(const BoardAt *b, char *to, size_t size);

/* A worker, from the records of its slots. */
typedef struct BoardWorker {
        char name[96];
        char pool[64];
        BoardSlot first;      /* of its slots; their states differ if some are busy */
        bool busy;
        uint32_t n_slots, n_jobs;
        const BoardSlot *jobs; /* those of its slots that have one; within the list that it is of */
        ProcFigures figures;
} BoardWorker;

typedef struct BoardWorkers {
        BoardSlot *slots;     /* copies, sorted */
        uint32_t n_slots;
        BoardWorker *list;
        uint32_t n;
} BoardWorkers;

/* All workers, or those of one pool, sorted by pool, seat and generation. Returns 0 or -ENOMEM. */
int board_workers(const BoardAt *b, const char *pool, BoardWorkers *ret);
void board_workers_fini(BoardWorkers *w);

static inline void board_workers_fini_cleanup(BoardWorkers *w)
{
        board_workers_fini(w);
}

/* "busy" … of a worker. */
const char *board_worker_state(const BoardWorker *w);

/* Is there a pool of that name? */
bool board_has_pool(const BoardAt *b, const char *name);
