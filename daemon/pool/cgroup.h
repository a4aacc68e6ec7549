/* SPDX-License-Identifier: MIT */
#pragma once

/* The daemon's cgroups, where it has a delegated one (pool/delegation.h):
 *
 *     supervisor/                    broodd itself
 *     pool-NAME/                     what the pool's MemoryMax=, TasksMax= and CPUWeight= are for
 *         forkserver-N/              a fork server
 *         SEAT.GENERATION/           a worker with all that it has started
 *             worker/                the worker itself
 *             job/                   the command of an exec job (child/job_group.h)
 *
 * A group that is not needed any more is killed and removed; one that cannot be removed at once is
 * tried again. Where there is no delegated cgroup, a Cgroup stays empty, and nothing is done with
 * it. */

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "pool/delegation.h"
#include "process/exit.h"

typedef enum CgroupController { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU,
                                N_CGROUP_CONTROLLERS } CgroupController;

extern const char *const cgroup_controller_names[N_CGROUP_CONTROLLERS];

typedef struct Cgroups {
        Delegation own;    /* group -1: there is none */
        bool has[N_CGROUP_CONTROLLERS];
        List doomed;       /* groups that could not be removed yet */
        struct event *timer;
        struct event_base *base;
} Cgroups;

enum { GROUP_NAME = 128 };

/* A group that we made. */
typedef struct Cgroup {
        int dir;                /* -1: none */
        char name[GROUP_NAME];  /* below our own */
} Cgroup;

#define GROUP_NONE { .dir = -1 }

/* A worker's. */
typedef struct WorkerCgroup {
        Cgroup top;
        int leaf;               /* -1: none */
        uint64_t kills_before;  /* for lack of memory */
} WorkerCgroup;

#define WORKER_GROUP_NONE { .top = GROUP_NONE, .leaf = -1 }

/* Empty, and nothing is done until it is opened. */
void cgroups_init(Cgroups *c, struct event_base *base);
/* Looks for our own, ends what an earlier run has left in it, and enters it; says in the log what
 * it found. Waits, bounded, for what it kills. No process may have been started yet. */
void cgroups_open(Cgroups *c);
/* Removes all that is left, and leaves. */
void cgroups_close(Cgroups *c);

/* Makes pool-NAME and forkserver-N. A group that cannot be made is logged, and empty. */
void group_make_pool(Cgroup *to, Cgroups *c, const char *pool);
void group_make_forker(Cgroup *to, Cgroups *c, const Cgroup *pool, unsigned n);
/* Makes a worker's; the user (-1: none), if another than ours, may make groups in it. */
void group_make_worker(WorkerCgroup *to, Cgroups *c, const Cgroup *pool, unsigned seat,
                       unsigned generation, uid_t uid, gid_t gid);

/* Its cgroup.procs, or -1. */
int group_open_procs(const Cgroup *g);
void group_kill(const Cgroup *g);
/* Everything in it is killed, and it goes. */
void group_end(Cgroup *g, Cgroups *c);

/* It is ready: is it where it should be? The log is told if not. */
void worker_group_look(const WorkerCgroup *g, const char *name);
/* What it has used goes into the verdict, where that is known. Returns whether the kernel has
 * killed it for lack of memory. */
bool worker_group_judge(const WorkerCgroup *g, ExitVerdict *verdict);
void worker_group_end(WorkerCgroup *g, Cgroups *c);
