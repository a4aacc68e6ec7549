/* SPDX-License-Identifier: MIT */

#include "child/job_group.h"

#include <sys/stat.h>

#include "base/fd.h"

#define LEAF "job"

enum { PATIENCE_MS = 100 }; /* then the supervisor has it, when this worker ends */

static int above = -1;

void job_group_init(int group)
{
        struct stat st;

        if (group >= 0 && fstat(group, &st) == 0 && S_ISDIR(st.st_mode))
                above = group;
}

/* For lack of memory, of what was in it; where nobody counts, 0. */
static uint64_t kills(const JobGroup *g)
{
        uint64_t n;

        return cgroup_read(g->door.group, "memory.events", "oom_kill", &n) < 0 ? 0 : n;
}

/* Without it the command stays with its worker, and is ended with that at the latest. */
const CgroupDoor *job_group_make(JobGroup *g)
{
        if (above < 0)
                return NULL;
        g->door.group = cgroup_make(above, LEAF);
        g->door.procs = g->door.group < 0 ? -1 : cgroup_open_procs(g->door.group);
        if (g->door.procs < 0) {
                (void)job_group_end(g);
                return NULL;
        }
        g->kills_before = kills(g);
        return &g->door;
}

void job_group_kill(const JobGroup *g)
{
        if (g->door.group >= 0)
                (void)cgroup_kill(g->door.group);
}

bool job_group_end(JobGroup *g)
{
        bool oom;

        if (g->door.group < 0)
                return false;
        oom = kills(g) > g->kills_before;
        if (cgroup_remove(above, LEAF) < 0) /* most leave nothing behind */
                (void)cgroup_end(above, LEAF, PATIENCE_MS);
        g->door.procs = fd_close(g->door.procs);
        g->door.group = fd_close(g->door.group);
        return oom;
}
