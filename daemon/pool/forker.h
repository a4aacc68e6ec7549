/* SPDX-License-Identifier: MIT */
#pragma once

/* A fork server, as the supervisor sees it: its process and the channel to it. */

#include <event2/event_struct.h>
#include <sys/types.h>

#include "base/list.h"
#include "pool/pool.h"

typedef struct Forker {
        List link; /* Pool.forkers */
        Pool *pool;
        pid_t pid;
        int pidfd, channel;
        Cgroup group; /* its cgroup; its workers have their own */
        struct event readable, start_timer;
        bool ready;
        bool given_up;     /* we have ended it */
        bool killed;       /* somebody else has, by SIGKILL: that is not its config's fault */
        bool retired;      /* it goes with its last worker */
        unsigned n_workers; /* that it has been asked for and that are not over */
        char *handlers;    /* what the module offers, a line each; NULL: not known */
        const char *about; /* what it says of itself, within that; NULL: nothing */
} Forker;

/* Starts one. It reports to pool_forker_ready() or pool_forker_failed(). Returns 0 or -errno. */
int forker_start(Pool *pool, const PoolSettings *settings, Forker **ret);

/* Asks for a worker; the descriptors are copied. Returns 0 or -errno. */
int forker_ask(Forker *forker, unsigned seat, unsigned generation, const int *fds, unsigned n_fds);

/* No more workers: it ends when it has none. */
void forker_retire(Forker *forker);

/* Ends it now, with everything below it. */
void forker_kill(Forker *forker, const char *why);

/* It was reaped: its workers are orphans. */
void forker_gone(Forker *forker);
void forker_free(Forker *forker);
