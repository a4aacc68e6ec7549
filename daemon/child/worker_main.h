/* SPDX-License-Identifier: MIT */
#pragma once

/* What a newborn worker does, whichever way it was born. */

#include "brood/handler.h"
#include "process/preparation.h"

/* Descriptors of a worker, all its own. */
typedef struct WorkerFds {
        int pages, control, sentinel;
        const int *slots;
        unsigned n_slots;
        int journal; /* a socket to journald that others may have, too; -1: jobs do not log */
        int group; /* its cgroup's directory; -1, or no directory: it has none */
} WorkerFds;

/* Serves until the end; returns a status for exit(). */
int worker_main(const Preparation *p, const BroodModule *module, const WorkerFds *fds);
