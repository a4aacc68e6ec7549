/* SPDX-License-Identifier: MIT */

#include "child/job_group.h"

#include <stdint.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "process/cgroup.h"

#define LEAF "job"

enum { PATIENCE_MS = 100 }; /* then the supervisor has it, when this worker ends */

static int above = -1;

void job_group_init(int group)
{
        struct stat st;

        if (group >= 0 && fstat(group, &st) == 0 && S_ISDIR(st.st_mode))
                above = group;
}

/* Without it the command stays with its worker, and is ended with that at the latest. */
void job_group_make(JobGroup *g)
{
        if (above < 0)
                return;
        g->group = cgroup_make(above, LEAF);
        g->procs = g->group < 0 ? -1 : cgroup_open_procs(g->group);
        if (g->procs < 0)
                (void)job_group_end(g);
}

void job_group_kill(const JobGroup *g)
{
        if (g->group >= 0)
                (void)cgroup_kill(g->group);
}

bool job_group_end(JobGroup *g)
{
        uint64_t kills = 0;

        if (g->group < 0)
                return false;
        (void)cgroup_read(g->group, "memory.events", "oom_kill", &kills); /* none: nobody counts */
        (void)cgroup_end(above, LEAF, PATIENCE_MS);
        g->procs = fd_close(g->procs);
        g->group = fd_close(g->group);
        return kills > 0;
}
