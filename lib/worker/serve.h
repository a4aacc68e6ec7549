/* SPDX-License-Identifier: MIT */
#pragma once

/* A worker: serves io.brood.Worker on its slot connections and one control connection with the
 * handlers of a module, until it is told to leave or its supervisor is gone. */

#include <jansson.h>

#include "brood/handler.h"
#include "worker/slot_page.h"

struct JobLog;
struct AsyncLoop;

typedef struct WorkerOptions {
        const int *slots;  /* connected sockets, one for each slot: so many jobs at a time */
        unsigned n_slots;
        int control;       /* one, too */
        int sentinel;      /* see process/sentinel.h */
        SlotPage *pages;   /* one for each slot */
        const BroodModule *module;
        size_t max_message;
        const struct AsyncLoop *loop; /* see worker/async.h; NULL: a thread for each slot */
        const struct JobLog *const *logs; /* one for each slot, see worker/job.h; NULL: none */
} WorkerOptions;

/* Does not return before the end: 0 after Leave or when the supervisor closed the connections, else
 * a status for exit(). When the sentinel says that the supervisor is gone, the process ends at
 * once, after everything that it started. */
int worker_serve(const WorkerOptions *options);
