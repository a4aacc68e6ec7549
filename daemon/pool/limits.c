/* SPDX-License-Identifier: MIT */

#include "pool/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ops/log.h"
#include "pool/pools.h"

typedef struct PoolLimit {
        const char *key, *file;
        CgroupController controller;
        const char *none; /* what stands for "no limit" */
} PoolLimit;

static const PoolLimit limits[N_POOL_LIMITS] = {
        { "MemoryMax=", "memory.max", CGROUP_MEMORY, "max" },
        { "TasksMax=", "pids.max", CGROUP_PIDS, "max" },
        { "CPUWeight=", "cpu.weight", CGROUP_CPU, "100" },
};

/* Why it is not in force; NULL: it is. */
static const char *apply(const Pool *pool, const PoolLimit *limit, uint64_t value)
{
        const Cgroups *c = &pool->pools->cgroups;
        char text[32];
        int r;

        if (pool->group.dir < 0)
                return "there is no delegated cgroup";
        if (!c->has[limit->controller])
                return "our cgroup has no such controller";
        (void)snprintf(text, sizeof(text), "%" PRIu64, value);
        r = cgroup_write(pool->group.dir, limit->file,
                         value == SETTING_UNSET ? limit->none : text);
        return r < 0 ? strerror(-r) : NULL;
}

void limits_apply(Pool *pool)
{
        const PoolSettings *s = pool->settings;
        const uint64_t wanted[N_POOL_LIMITS] = { s->memory_max, s->tasks_max, s->cpu_weight };
        bool new = memcmp(wanted, pool->limits, sizeof(wanted)) != 0;

        memcpy(pool->limits, wanted, sizeof(wanted));
        for (size_t i = 0; i < N_POOL_LIMITS; i++) {
                const char *why = apply(pool, &limits[i], wanted[i]);

                if (why && new && wanted[i] != SETTING_UNSET)
                        log_warning("pool=%s: %s can not be applied: %s", pool->core->name,
                                    limits[i].key, why);
        }
}
