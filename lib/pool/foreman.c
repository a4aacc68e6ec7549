/* SPDX-License-Identifier: MIT */

/* The thread that keeps the workers at work. */

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "pool/inside.h"

enum { EVENTS = 64, AHEAD = 1000 /* µs of work that may wait behind what a worker does */ };

void foreman_wake(BroodPool *pool)
{
        const uint64_t one = 1;

        (void)!write(pool->wake, &one, sizeof(one)); /* a counter that is read: there is room */
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

/* Starts what is missing. Returns how many ms to wait until it may try again; -1: nothing is
 * missing. */
static int fill(BroodPool *pool, usec_t now)
{
        if (pool->terminating || pool->broken || (pool->closing && !at_work(pool)))
                return -1;
        for (unsigned n = count(pool); n < pool->size; n++) {
                if (now < pool->start_after)
                        return (int)((pool->start_after - now) / 1000) + 1;
                if (hand_start(pool) < 0)
                        pool->start_after = now + 100 * USEC_PER_MSEC;
        }
        return -1;
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

        if (!h->ready || h->leaving || h->n_line == HAND_LINE)
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
        if (!part)
                return NULL;
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
                        if (!c)
                                continue;
                        hand_give(h, c, now);
                        if (!allowance(pool, h))
                                hand_leave(h);
                }
        LIST_FOREACH(&pool->hands, h, link)
                if (buffer_len(&h->out) && !h->wants_out)
                        hand_send(pool, h);
}

static void bury_dead(BroodPool *pool, usec_t now)
{
        Hand *h, *next;

        LIST_FOREACH_SAFE(&pool->hands, h, next, link)
                if (h->dead)
                        hand_bury(pool, h, now);
}

static void wind_up(BroodPool *pool)
{
        Hand *h;

        if (pool->terminating)
                chunks_cancel(pool, pool_terminated);
        else if (pool->broken)
                chunks_cancel(pool, pool->broken);
        LIST_FOREACH(&pool->hands, h, link)
                if (pool->terminating)
                        (void)brood_process_kill(h->process);
                else if (pool->closing && !at_work(pool) && !h->leaving)
                        hand_leave(h);
}

/* --- the thread --- */

static void listen_for(BroodPool *pool, int timeout)
{
        struct epoll_event events[EVENTS];
        uint64_t count_;
        int n;

        (void)pthread_mutex_unlock(&pool->mutex);
        n = epoll_wait(pool->epoll, events, EVENTS, timeout);
        (void)pthread_mutex_lock(&pool->mutex);
        for (int i = 0; i < n; i++) {
                Hand *h = (Hand *)(uintptr_t)(events[i].data.u64 & ~(uint64_t)HAND_ENDED);

                if (!h)
                        (void)!read(pool->wake, &count_, sizeof(count_));
                else if (events[i].data.u64 & HAND_ENDED)
                        h->dead = true;
                else
                        h->dead |= !hand_talk(pool, h, clock_monotonic());
        }
}

static bool is_over(const BroodPool *pool)
{
        return (pool->closing || pool->terminating) && list_empty(&pool->hands) &&
               list_empty(&pool->chunks);
}

void *foreman(void *context)
{
        BroodPool *pool = context;

        (void)pthread_mutex_lock(&pool->mutex);
        for (;;) {
                usec_t now = clock_monotonic();
                int wait;

                bury_dead(pool, now);
                wind_up(pool);
                if (is_over(pool))
                        break;
                wait = fill(pool, now);
                hand_out(pool, now);
                if (pool->broken && !list_empty(&pool->chunks))
                        continue;
                listen_for(pool, wait);
        }
        pool->over = true;
        (void)pthread_cond_broadcast(&pool->ended);
        (void)pthread_mutex_unlock(&pool->mutex);
        return NULL;
}
