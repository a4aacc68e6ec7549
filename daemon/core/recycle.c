/* SPDX-License-Identifier: MIT */

#include "core/recycle.h"

#include "base/macros.h"

/* Without overflow, though the limit may be any number. */
static uint64_t lower(uint64_t limit, unsigned percent, uint64_t random)
{
        uint64_t most = limit / 100 * percent + limit % 100 * percent / 100;

        return limit ? limit - random % (MIN(most, limit - 1) + 1) : 0; /* never off by chance */
}

RecycleLimits recycle_limits(const RecycleLimits *pool, unsigned percent, uint64_t random)
{
        return (RecycleLimits){ .jobs = lower(pool->jobs, percent, random),
                                .memory = lower(pool->memory, percent, random),
                                .age = lower(pool->age, percent, random) };
}

RecycleReason recycle_due(const RecycleLimits *own, const RecycleLimits *used)
{
        if (own->jobs && used->jobs >= own->jobs)
                return RECYCLE_JOBS;
        if (own->memory && used->memory >= own->memory)
                return RECYCLE_MEMORY;
        return own->age && used->age >= own->age ? RECYCLE_AGE : RECYCLE_NONE;
}

unsigned recycle_share(unsigned active)
{
        return MAX(active / 4, 1u);
}
