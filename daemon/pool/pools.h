/* SPDX-License-Identifier: MIT */
#pragma once

/* All pools of the daemon, and what they share. */

#include <event2/event.h>

#include "core/core.h"
#include "pool/deaths.h"
#include "pool/inspector.h"
#include "pool/pool.h"
#include "process/sentinel.h"
#include "settings/settings.h"
#include "varlink/event.h"
#include "varlink/interface.h"

typedef struct Pools {
        Core *core;
        Turn *turn;
        Settings *settings;            /* in force; owned by the supervisor */
        VarlinkInterface *interface;   /* io.brood.Worker */
        VarlinkScan scan;              /* the reply being read */
        Sentinel sentinel;
        Cgroups cgroups;
        int lock_fd;                   /* of the state directory */
        int runtime_dir;               /* where sockets of commands are born */
        uint64_t nofile_soft;          /* the soft limit of open files that children get back */
        List pools;                    /* Pool.link */
        bool dispatching;              /* jobs may be claimed */
        bool dirty;                    /* something changed: settle again */
        bool stopping;                 /* dead workers are not replaced */
        /* A forker of a candidate config, or of a restart, is ready or has failed. */
        void (*forker_decided)(struct Pools *pools, Pool *pool);
        /* A pool that was removed is about to be freed. */
        void (*pool_going)(struct Pools *pools, Pool *pool);
        /* What a job writes is for those who follow it. These three are the api's. */
        /* A worker's state has changed; NULL: nobody watches. `reason`: of its death. */
        void (*worker_changed)(struct Pools *pools, const Worker *worker, const char *state,
                               const char *reason);
        void *watcher; /* for whoever set it */
        bool restless; /* workers have become idle or busy since pools_tell_workers() */
        bool (*followed)(const Job *job);
        void (*output)(const Job *job, const JobOutput *output); /* only where somebody does */
        unsigned n_followers; /* of all jobs */
        struct event *stall_timer;
        Deaths deaths;
        struct Board *board; /* where it is shown how all are; NULL: nowhere */
        Inspector inspector;
        pid_t *strangers; /* children that we had before we started any (see pools_reap) */
        unsigned n_strangers;
        bool sweeping;                 /* a fork server died: what it had may be falling to us */
} Pools;

/* Starts nothing. Returns 0 or -errno. */
int pools_init(Pools *pools, Core *core, Turn *turn);
void pools_fini(Pools *pools);

Pool *pools_find(Pools *pools, Slice name);

/* Brings every pool to what it should be: workers started, spares promoted, jobs handed out. */
void pools_settle(Pools *pools, usec_t now);

/* The store has confirmed the claim of a job: it goes to a slot. */
void pools_run(Pools *pools, Job *job, usec_t now);

/* Somebody wants the end of a job that is on a slot. */
void pools_cancel(Pools *pools, Job *job, bool force, usec_t now);

/* How many slots have jobs; how many workers, and with fork servers and what looks into workers
 * how many processes there are. */
unsigned pools_running(const Pools *pools);
unsigned pools_workers(const Pools *pools);
unsigned pools_processes(const Pools *pools);

/* Tells who watches which workers are idle or busy now and were not when it was last told. */
void pools_tell_workers(Pools *pools);

/* Jobs that are on a slot and have not begun come back to the queue. */
void pools_recall(Pools *pools, usec_t now);
/* Every worker is told to leave; with `force` by SIGKILL. */
void pools_leave(Pools *pools, bool force, usec_t now);
/* Fork servers without workers are told to go, and what looks into workers is ended. */
void pools_close(Pools *pools);
/* Fork servers that do not go are ended. */
void pools_kill_forkers(Pools *pools);

/* SIGCHLD: what has looked into workers, fork servers that died, and what falls to us after them,
 * which is killed. Whoever started us by exec may have left us children of its own: those are none
 * of our business. */
void pools_reap(Pools *pools);
