/* SPDX-License-Identifier: MIT */

/* The scoreboard has slots; people think of workers. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/board.h"

/* Slots of one worker stand together, and those with a job come first. */
static int by_worker(const void *a, const void *b)
{
        const BoardSlot *x = a, *y = b;

        if (x->pool != y->pool)
                return x->pool < y->pool ? -1 : 1;
        if (x->seat != y->seat)
                return x->seat < y->seat ? -1 : 1;
        if (x->generation != y->generation)
                return x->generation < y->generation ? -1 : 1;
        if (x->has_job != y->has_job)
                return x->has_job ? -1 : 1;
        return (x->slot > y->slot) - (x->slot < y->slot);
}

static bool same_worker(const BoardSlot *a, const BoardSlot *b)
{
        return a->pool == b->pool && a->seat == b->seat && a->generation == b->generation;
}

static const char *pool_name(const BoardAt *b, uint32_t i, BoardPool *pool)
{
        return i < board_pools(&b->view) && board_read_pool(&b->view, i, pool) ? pool->name : "?";
}

static int copy_slots(const BoardAt *b, const char *pool, BoardWorkers *w)
{
        uint32_t n = board_slots(&b->view);
        BoardPool p;

        w->slots = calloc(n ? n : 1, sizeof(*w->slots));
        w->list = calloc(n ? n : 1, sizeof(*w->list));
        if (!w->slots || !w->list)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++) {
                BoardSlot *slot = &w->slots[w->n_slots];

                if (!board_read_slot(&b->view, i, slot))
                        continue;
                slot->has_job = slot->has_job != 0; /* whatever the file holds */
                w->n_slots += !pool || strcmp(pool_name(b, slot->pool, &p), pool) == 0;
        }
        qsort(w->slots, w->n_slots, sizeof(*w->slots), by_worker);
        return 0;
}

static void gather(const BoardAt *b, BoardWorker *w, const BoardSlot *slots, uint32_t n)
{
        BoardPool p;

        w->first = slots[0];
        w->jobs = slots;
        w->n_slots = n;
        for (uint32_t i = 0; i < n; i++) {
                w->n_jobs += slots[i].has_job;
                w->busy |= slots[i].state == BOARD_BUSY;
        }
        (void)snprintf(w->pool, sizeof(w->pool), "%s", pool_name(b, w->first.pool, &p));
        (void)snprintf(w->name, sizeof(w->name), "%s.%u", w->pool, w->first.seat);
        proc_figures(w->first.pid, &w->figures);
}

int board_workers(const BoardAt *b, const char *pool, BoardWorkers *ret)
{
        uint32_t at = 0;
        int r;

        *ret = (BoardWorkers){ 0 };
        r = copy_slots(b, pool, ret);
        while (r == 0 && at < ret->n_slots) {
                uint32_t n = 1;

                while (at + n < ret->n_slots && same_worker(&ret->slots[at], &ret->slots[at + n]))
                        n++;
                gather(b, &ret->list[ret->n++], &ret->slots[at], n);
                at += n;
        }
        return r;
}

void board_workers_fini(BoardWorkers *w)
{
        free(w->slots);
        free(w->list);
        *w = (BoardWorkers){ 0 };
}

const char *board_worker_state(const BoardWorker *w)
{
        return board_state_name(w->busy ? BOARD_BUSY : w->first.state);
}

bool board_has_pool(const BoardAt *b, const char *name)
{
        BoardPool pool;

        for (uint32_t i = 0; i < board_pools(&b->view); i++)
                if (board_read_pool(&b->view, i, &pool) && strcmp(pool.name, name) == 0)
                        return true;
        return false;
}
