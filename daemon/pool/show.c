/* SPDX-License-Identifier: MIT */

#include "pool/show.h"

#include <stdio.h>
#include <string.h>

#include "ops/board.h"
#include "pool/obituary.h"
#include "pool/pools.h"

_Static_assert((int)BOARD_STATES == JOB_N_STATES && (int)BOARD_OUTCOMES == OUTCOME_NONE &&
                       (int)BOARD_DEATHS == N_DEATH_CAUSES,
               "the board has room for each");

static Board *board_of(const Pool *pool)
{
        return pool->pools->board;
}

/* --- slots --- */

static BoardState state_of(const Slot *slot)
{
        switch (slot->worker->state) {
        case WORKER_STARTING:
                return BOARD_STARTING;
        case WORKER_SPARE:
                return BOARD_SPARE;
        case WORKER_ACTIVE:
                return slot->count ? BOARD_BUSY : BOARD_IDLE;
        default:
                return BOARD_LEAVING;
        }
}

/* Without a job that runs: it was recalled, or there is none. */
static void write_job(BoardSlot *b, const Job *job)
{
        uint32_t number = job ? job->handler->number : UINT16_MAX;

        b->has_job = job != NULL;
        b->handler = (uint16_t)MIN(number, (uint32_t)UINT16_MAX);
        if (!job)
                return;
        memcpy(b->job, job->id.bytes, sizeof(b->job));
        b->attempt = job->attempt;
        b->uid = job->uid;
}

void show_slot(const Slot *slot)
{
        const Worker *w = slot->worker;
        BoardSlot *b = slot->shown;

        if (!b)
                return;
        board_begin(&b->seq);
        b->pid = w->pid;
        b->state = (uint8_t)state_of(slot);
        b->done = w->jobs_done;
        b->line = (uint16_t)slot->count;
        b->since = slot->count ? slot->since : 0;
        write_job(b, slot->count ? slot_job(slot, 0) : NULL);
        board_end(&b->seq);
}

void show_worker(const Worker *w)
{
        for (unsigned i = 0; i < w->n_slots; i++)
                show_slot(&w->slots[i]);
}

/* What stays as it is as long as it lives. */
static void introduce(const Worker *w, unsigned i)
{
        BoardSlot *b = w->slots[i].shown;

        if (!b)
                return;
        board_begin(&b->seq);
        b->pool = (uint32_t)(w->pool->shown ? w->pool->shown - board_of(w->pool)->map->pools
                                            : BOARD_MAX_POOLS);
        b->seat = w->seat;
        b->generation = w->generation;
        b->slot = (uint16_t)i;
        b->started = w->started;
        b->in_use = 1;
        board_end(&b->seq);
}

void show_worker_came(Worker *w)
{
        Board *board = board_of(w->pool);

        for (unsigned i = 0; board && i < w->n_slots; i++) {
                w->slots[i].shown = board_take_slot(board);
                introduce(w, i);
        }
        show_worker(w);
}

void show_worker_gone(Worker *w)
{
        Board *board = board_of(w->pool);

        for (unsigned i = 0; board && i < w->n_slots; i++)
                board_give_slot(board, w->slots[i].shown);
}

/* --- pools --- */

/* The place that it had before, or one that is free. */
static BoardPool *find_place(Board *board, const char *name)
{
        BoardHead *h = &board->map->head;
        BoardPool *free_one = NULL;

        for (uint32_t i = 0; i < h->n_pools; i++) {
                BoardPool *p = &board->map->pools[i];

                if (strcmp(p->name, name) == 0)
                        return p;
                if (!p->name[0] && !free_one)
                        free_one = p;
        }
        if (!free_one && h->n_pools < BOARD_MAX_POOLS)
                free_one = &board->map->pools[h->n_pools++];
        return free_one;
}

void show_pool_came(Pool *pool)
{
        Board *board = board_of(pool);

        pool->shown = board ? find_place(board, pool->core->name) : NULL;
        show_pool(pool);
}

void show_pool(const Pool *pool)
{
        BoardPool *b = pool->shown;

        if (!b)
                return;
        board_begin(&b->seq);
        b->min_workers = pool->bounds.min;
        b->max_workers = pool->bounds.max;
        b->spares = pool->spares;
        (void)snprintf(b->name, sizeof(b->name), "%s", pool->core->name);
        (void)snprintf(b->state, sizeof(b->state), "%s", pool_state(pool));
        (void)snprintf(b->why, sizeof(b->why), "%s", pool->start_error);
        memcpy(b->jobs, pool->core->count, sizeof(b->jobs));
        b->done = pool->core->done;
        memcpy(b->deaths, pool->deaths_by, sizeof(b->deaths));
        board_end(&b->seq);
}

void show_pool_gone(Pool *pool)
{
        BoardPool *b = pool->shown;

        if (!b)
                return;
        board_begin(&b->seq);
        b->name[0] = '\0';
        board_end(&b->seq);
        pool->shown = NULL;
}
