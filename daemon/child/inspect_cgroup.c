/* SPDX-License-Identifier: MIT */

/* The process is in a leaf, and what counts for the worker is the group above that
 * (pool/cgroup.h): that has the commands of the worker, too. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "child/inspect.h"
#include "process/cgroup.h"

static const struct {
        const char *file, *key, *name;
} figures[] = {
        { "memory.current", NULL, "memory_bytes" },   { "memory.peak", NULL, "memory_peak_bytes" },
        { "memory.max", NULL, "memory_max_bytes" },   { "memory.swap.current", NULL, "swap_bytes" },
        { "memory.events", "oom_kill", "oom_kills" }, { "pids.current", NULL, "tasks" },
        { "cpu.stat", "usage_usec", "cpu_usec" },
};

/* Goes up to the group that is the worker's as a whole. False: it has none of its own. */
static bool strip_leaf(char *path)
{
        char *slash = strrchr(path, '/');

        if (!slash || strcmp(slash, "/worker") != 0)
                return false;
        *slash = '\0';
        return true;
}

static void put_figures(json_t *o, const char *path)
{
        AUTO(fd_close) int group = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        uint64_t n;

        for (size_t i = 0; group >= 0 && i < ELEMENTS(figures); i++)
                if (cgroup_read(group, figures[i].file, figures[i].key, &n) == 0)
                        json_put(o, figures[i].name, json_integer((json_int_t)n));
}

json_t *inspect_cgroup(Target *t)
{
        AUTO(buffer_fini) Buffer self = BUFFER_INIT;
        AUTO(buffer_fini) Buffer mounts = BUFFER_INIT;
        char path[CGROUP_PATH];
        json_t *o;
        bool own;

        if (target_read(t, "cgroup", "cgroup", &self) < 0 ||
            target_read(t, "../self/mountinfo", NULL, &mounts) < 0 ||
            cgroup_find(buffer_bytes(&self), buffer_bytes(&mounts), path, sizeof(path)) < 0)
                return NULL;
        own = strip_leaf(path);
        o = json_object();
        json_put(o, "path", json_of_text(path));
        if (own)
                put_figures(o, path);
        return o;
}
