/* SPDX-License-Identifier: MIT */

#include "core/pool_policy.h"

#include "base/macros.h"

PoolBounds pool_bounds(PoolScaling scaling, unsigned min_workers, unsigned max_workers)
{
        switch (scaling) {
        case POOL_ONDEMAND:
                return (PoolBounds){ 0, max_workers };
        case POOL_DYNAMIC:
                return (PoolBounds){ min_workers, MAX(min_workers, max_workers) };
        default:
                return (PoolBounds){ min_workers, min_workers };
        }
}

/* Nothing waits: those that are not there need not come, and those that idle may go. */
static void relax(PoolAim *aim, const PoolNeed *n)
{
        unsigned stay = n->active + n->starting - MIN(n->idle_long, n->active);

        aim->step = 1;
        aim->target = MAX(MIN(aim->target, stay), n->bounds.min);
}

/* Up to so many workers more. */
static usec_t grow(PoolAim *aim, const PoolNeed *n, unsigned lack, usec_t now)
{
        unsigned room = n->bounds.max - aim->target, more = MIN(lack, room);

        if (n->in_steps && more) {
                if (now < aim->next)
                        return aim->next;
                more = MIN(more, MAX(aim->step, 1u));
                aim->step = MIN(MAX(aim->step, 1u) * 2, (unsigned)POOL_MAX_STEP);
                aim->next = usec_add(now, USEC_PER_SEC);
        }
        aim->target += more;
        return more < MIN(lack, room) ? aim->next : USEC_INFINITY;
}

usec_t pool_aim(PoolAim *aim, const PoolNeed *n, usec_t now)
{
        uint64_t wanted = n->waiting / n->slots + (n->waiting % n->slots > 0);
        unsigned coming;

        aim->target = MIN(MAX(aim->target, n->bounds.min), n->bounds.max);
        if (!wanted) {
                relax(aim, n);
                return USEC_INFINITY;
        }
        coming = aim->target > n->active ? aim->target - n->active : 0;
        if (wanted <= coming)
                return USEC_INFINITY;
        return grow(aim, n, (unsigned)MIN(wanted - coming, (uint64_t)n->bounds.max), now);
}

PoolWish pool_wish(const PoolCensus *c)
{
        unsigned lack = c->min > c->active ? c->min - c->active : 0;
        unsigned wanted = c->min + c->spares, have = c->active + c->spare + c->starting;
        PoolWish w = { .promote = MIN(lack, c->spare) };

        w.demote = c->active > c->min ? c->active - c->min : 0;
        if (c->spare - w.promote > c->spares)
                w.leave = c->spare - w.promote - c->spares;
        if (have - w.demote - w.leave < wanted)
                w.start = wanted - (have - w.demote - w.leave);
        if (c->breaker_open)
                w.start = MIN(w.start, c->starting ? 0u : 1u);
        return w;
}
