/* SPDX-License-Identifier: MIT */

/* The thread that keeps the workers at work. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "pool/inside.h"

enum {
        EVENTS = 64,
        AHEAD = 1000,   /* µs of work that may wait behind what a worker does */
        NO_STARTS = 50, /* in a row, at RETRY: five seconds without any worker */
        RETRY = 100 * 1000,
};

void foreman_wake(BroodPool *pool)
{
        const uint64_t one = 1;

        (void)!write(pool->wake, &one, sizeof(one)); /* a counter that is read: there is room */
}

void foreman_break(BroodPool *pool, const char *format, ...)
{
        va_list args;

        if (pool->broken)
                return;
        va_start(args, format);
        if (vasprintf(&pool->broken, format, args) < 0)
                pool->broken = strdup("its workers do not start");
        va_end(args);
}

/* --- what should be --- */

static unsigned count(const BroodPool *pool)
{
        const Hand *h;
        unsigned n = 0;

        LIST_FOREACH(&pool->hands, h, link)
                n += !h->leaving;
        return n;
}

static bool at_work(const BroodPool *pool)
{
        const Hand *h;

        LIST_FOREACH(&pool->hands, h, link)
                if (h->n_line)
                        return true;
        return !list_empty(&pool->chunks);
}

/* It was closed, and all was done. */
static bool is_done(const BroodPool *pool)
{
        return pool->closing && !pool->imaps && !at_work(pool);
}

static void start_one(BroodPool *pool, usec_t now)
{
        int r = hand_start(pool);

        if (r == 0) {
                pool->no_starts = 0;
                return;
        }
        pool->start_after = now + RETRY;
        if (list_empty(&pool->hands) && ++pool->no_starts >= NO_STARTS)
                foreman_break(pool, "the workers of the pool can not be started: %s", strerror(-r));
}

/* Starts one of those that are missing. Returns how many ms to wait until it has to be called
 * again; -1: nothing is missing. */
static int fill(BroodPool *pool, usec_t now)
{
        if (pool->terminating || pool->broken || is_done(pool) || count(pool) >= pool->size)
                return -1;
        if (now < pool->start_after)
                return (int)((pool->start_after - now) / 1000) + 1;
        start_one(pool, now);
        return 0;
}

/* Tasks that it may still be given. */
static size_t allowance(const BroodPool *pool, const Hand *h)
{
        if (!pool->tasks_per_child)
                return SIZE_MAX;
        return pool->tasks_per_child > h->given ? pool->tasks_per_child - h->given : 0;
}

/* More than one only where what it does is known to be over soon. */
static bool takes_more(const Hand *h)
{
        usec_t usec = h->n_line ? h->line[h->first]->batch->chunk_usec : 0;

        if (!h->ready || h->leaving || h->closed || h->dead || h->n_line == HAND_LINE)
                return false;
        return !h->n_line || (usec && usec * h->n_line < AHEAD);
}

/* As much of the first chunk as it may have. */
static Chunk *take_chunk(BroodPool *pool, size_t most)
{
        Chunk *c = LIST_FIRST(&pool->chunks, Chunk, link), *part;

        if (c->n <= most) {
                list_remove(&c->link);
                return c;
        }
        part = calloc(1, sizeof(*part));
        if (!part) { /* then that worker lives longer */
                list_remove(&c->link);
                return c;
        }
        *part = (Chunk){ .batch = c->batch, .first = c->first, .n = most, .deaths = c->deaths };
        list_init(&part->link);
        c->first += most;
        c->n -= most;
        c->deaths = 0;
        return part;
}

static void hand_out(BroodPool *pool, usec_t now)
{
        Hand *h;

        for (unsigned line = 0; line < HAND_LINE && !list_empty(&pool->chunks); line++)
                LIST_FOREACH(&pool->hands, h, link) {
                        Chunk *c;

                        if (list_empty(&pool->chunks) || h->n_line != line || !takes_more(h))
                                continue;
                        c = take_chunk(pool, allowance(pool, h));
                        if (!hand_give(h, c, now)) {
                                list_append(&pool->refused, &c->link);
                                foreman_wake(pool);
                        }
                        if (!allowance(pool, h)) {
                                hand_leave(h);
                                foreman_wake(pool); /* another one is wanted */
                        }
                }
        LIST_FOREACH(&pool->hands, h, link)
                if (buffer_len(&h->out) && !h->wants_out)
                        hand_send(pool, h);
}

void foreman_feed(BroodPool *pool)
{
        hand_out(pool, clock_monotonic());
        if (pool->broken)
                foreman_wake(pool); /* to cancel it */
}

static void bury_dead(BroodPool *pool, usec_t now)
{
        Hand *h, *next;

        LIST_FOREACH_SAFE(&pool->hands, h, next, link)
                if (h->dead)
                        hand_bury(pool, h, now);
                else if (h->gone_by && now >= h->gone_by)
                        (void)brood_process_kill(h->process);
}

static void wind_up(BroodPool *pool)
{
        Hand *h;

        chunks_end(&pool->refused, BROOD_TASK_FAILED, "there is no memory to send its input");
        if (pool->terminating)
                chunks_end(&pool->chunks, BROOD_TASK_CANCELLED, pool_terminated);
        else if (pool->broken)
                chunks_end(&pool->chunks, BROOD_TASK_CANCELLED, pool->broken);
        LIST_FOREACH(&pool->hands, h, link)
                if (pool->terminating)
                        (void)brood_process_kill(h->process);
                else if (is_done(pool) && !h->leaving)
                        hand_leave(h);
}

/* --- the thread --- */

/* It has closed its socket: it is dead, or is made so, and then is buried. */
static void dismiss(BroodPool *pool, Hand *h)
{
        h->closed = true;
        (void)epoll_ctl(pool->epoll, EPOLL_CTL_DEL, h->fd, NULL);
        (void)brood_process_kill(h->process);
}

/* When the next of those that were told to go is killed if it has not gone, if that is sooner. */
static int farewells(const BroodPool *pool, int wait, usec_t now)
{
        const Hand *h;

        LIST_FOREACH(&pool->hands, h, link) {
                int ms = h->gone_by > now ? (int)((h->gone_by - now) / 1000) + 1 : 1000;

                if (h->gone_by && (wait < 0 || ms < wait))
                        wait = ms;
        }
        return wait;
}

static void listen_for(BroodPool *pool, int timeout)
{
        struct epoll_event events[EVENTS];
        uint64_t count_;
        int n;

        pool_unlock(pool);
        n = epoll_wait(pool->epoll, events, EVENTS, timeout);
        pool_lock(pool);
        for (int i = 0; i < n; i++) {
                Hand *h = (Hand *)(uintptr_t)(events[i].data.u64 & ~(uint64_t)HAND_ENDED);

                if (!h)
                        (void)!read(pool->wake, &count_, sizeof(count_));
                else if (events[i].data.u64 & HAND_ENDED)
                        h->dead = true;
                else if (!hand_talk(pool, h, clock_monotonic()))
                        dismiss(pool, h);
        }
}

static bool is_over(const BroodPool *pool)
{
        return (pool->terminating || is_done(pool)) && list_empty(&pool->hands) &&
               list_empty(&pool->chunks);
}

void *foreman(void *context)
{
        BroodPool *pool = context;

        pool_lock(pool);
        for (;;) {
                usec_t now = clock_monotonic();
                int wait;

                bury_dead(pool, now);
                wind_up(pool);
                if (is_over(pool))
                        break;
                wait = fill(pool, now);
                hand_out(pool, now);
                if ((pool->broken && !list_empty(&pool->chunks)) || !list_empty(&pool->refused))
                        continue;
                listen_for(pool, farewells(pool, wait, now));
        }
        pool->over = true;
        (void)pthread_cond_broadcast(&pool->ended);
        pool_release(pool);
        return NULL;
}
