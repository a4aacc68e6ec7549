/* SPDX-License-Identifier: MIT */

#include "core/pool_policy.h"

#include "base/macros.h"

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
