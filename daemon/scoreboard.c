/* SPDX-License-Identifier: MIT */

#include "scoreboard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ops/log.h"
#include "pool/show.h"
#include "store/store.h"
#include "supervisor.h"

static void write_head(const Supervisor *s, BoardHead *h, usec_t now)
{
        StoreStatus store;

        store_status(s->store, &store);
        board_begin(&h->seq);
        (void)snprintf(h->state, sizeof(h->state), "%s", lifecycle_state(s));
        h->written = now;
        memcpy(h->jobs, s->core.count, sizeof(h->jobs));
        h->clients = s->api.n_clients;
        h->store_bytes = store.bytes;
        h->store_failing = store_error(s->store) != NULL;
        h->n_handlers = MIN(s->core.n_handlers, (uint32_t)BOARD_MAX_HANDLERS);
        h->commits = store.commit_times;
        h->turns = s->scoreboard.turns;
        board_end(&h->seq);
}

static uint32_t place_of(const CoreHandler *h, const BoardLayout *map)
{
        const Pool *pool = h->pool ? h->pool->owner : NULL;

        return pool && pool->shown ? (uint32_t)(pool->shown - map->pools) : UINT32_MAX;
}

static void write_handler(BoardLayout *map, const CoreHandler *h)
{
        const HandlerFigures *f = &h->figures;
        BoardHandler *b = &map->handlers[h->number];

        board_begin(&b->seq);
        b->pool = place_of(h, map);
        (void)snprintf(b->name, sizeof(b->name), "%s", h->name);
        b->resting_until = h->breaker.broken ? h->breaker.until : 0;
        b->submitted = f->submitted;
        memcpy(b->ended, f->ended, sizeof(b->ended));
        memcpy(b->attempts, f->attempts, sizeof(b->attempts));
        b->waiting = f->waiting;
        b->running = f->running;
        board_end(&b->seq);
}

static void write_all(Supervisor *s, usec_t now)
{
        BoardLayout *map = s->scoreboard.board.map;
        const CoreHandler *h;
        const Pool *pool;

        write_head(s, &map->head, now);
        LIST_FOREACH(&s->pools.pools, pool, link)
                show_pool(pool);
        LIST_FOREACH(&s->core.handlers, h, link)
                if (h->number < BOARD_MAX_HANDLERS)
                        write_handler(map, h);
        if (board_is_lost(&s->scoreboard.board))
                log_error("the scoreboard has lost its pages (its file system is full, or somebody "
                          "has shortened it): until a restart broodctl top is blind, and broodctl "
                          "workers has to ask the daemon");
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        Scoreboard *b = context;

        /* The turn that it makes ends with scoreboard_turn(), which arms it again if it came early:
         * the clock of the loop is coarser than ours. */
        b->armed = false;
}

static void write_later(Scoreboard *b, usec_t left)
{
        struct timeval t = { 0, (suseconds_t)left };

        if (!b->armed)
                (void)evtimer_add(b->timer, &t);
        b->armed = true;
}

void scoreboard_turn(Supervisor *s)
{
        Scoreboard *b = &s->scoreboard;
        usec_t now = clock_steady(), began = *s->turn.began;

        if (began)
                histogram_add(&b->turns, now - began);
        if (now - b->written >= BOARD_PERIOD) {
                b->written = now;
                b->armed = false;
                write_all(s, now);
        } else {
                write_later(b, b->written + BOARD_PERIOD - now);
        }
        *s->turn.began = 0;
}

int scoreboard_open(Supervisor *s)
{
        Scoreboard *b = &s->scoreboard;
        char socket[256];
        int r;

        listener_path(&s->listener, socket, sizeof(socket));
        r = board_open(&b->board, s->pools.runtime_dir, socket);

        (void)snprintf(b->path, sizeof(b->path), "%s/" BOARD_FILE, s->options.runtime_directory);
        if (r < 0)
                log_warning("%s: %s: broodctl top is blind, and broodctl workers has to ask the "
                            "daemon",
                            b->path, strerror(-r));
        if (!b->board.map)
                return -ENOMEM;
        b->timer = evtimer_new(s->base, on_timer, b);
        if (!b->timer)
                return -ENOMEM;
        s->pools.board = &b->board;
        s->turn.began = &b->board.map->head.turn_began;
        return 0;
}

void scoreboard_close(Supervisor *s)
{
        s->turn.began = &s->turn.own_began;
        s->pools.board = NULL;
        if (s->scoreboard.timer)
                event_free(s->scoreboard.timer);
        board_close(&s->scoreboard.board);
}
