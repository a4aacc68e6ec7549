/* SPDX-License-Identifier: MIT */
#pragma once

/* Where the daemon as a whole stands, and why.
 *
 *     STARTING ─▶ RUNNING ◀─▶ DRAINING
 *                    │            │
 *                    └────────────┴──▶ STOPPING: FINISH (jobs) ─▶ LEAVE (workers) ─▶ CLOSE
 *                                      (fork servers) ─▶ OVER */

#include <stdbool.h>

#include "base/clock.h"
#include "base/list.h"

struct Supervisor;

typedef enum LifecyclePhase {
        PHASE_STARTING,
        PHASE_RUNNING,
        PHASE_DRAINING,
        PHASE_FINISH,
        PHASE_LEAVE,
        PHASE_CLOSE,
        PHASE_OVER,
} LifecyclePhase;

typedef struct Lifecycle {
        LifecyclePhase phase;
        const char *why; /* it stops */
        bool force;      /* stop now: running jobs too */
        bool forkers_killed;
        int status;      /* exit status */
        List drain_calls; /* who waits until nothing runs */
} Lifecycle;

void lifecycle_init(Lifecycle *l);

/* starting, running, reloading, draining or stopping. */
const char *lifecycle_state(const struct Supervisor *s);

/* The first config is in force. */
void lifecycle_run(struct Supervisor *s);

/* Take no new jobs; with a second call, or `force`, do not wait for the running ones. */
void lifecycle_stop(struct Supervisor *s, const char *why, bool force, int status);

/* No new jobs, and back. */
void lifecycle_drain(struct Supervisor *s);
void lifecycle_resume(struct Supervisor *s);

/* Goes on where what it waited for has come. Returns true if something changed. */
bool lifecycle_step(struct Supervisor *s, usec_t now);
