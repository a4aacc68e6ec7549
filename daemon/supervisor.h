/* SPDX-License-Identifier: MIT */
#pragma once

/* The supervisor: owns every part, and decides.
 *
 * Callbacks record what happened and return; after each turn of the loop supervisor_settle() makes
 * what is into what should be, until nothing is left to do; then everything that was written is
 * sent. */

#include "announce.h"
#include "api/api.h"
#include "api/listener.h"
#include "api/metrics_http.h"
#include "core/core.h"
#include "lifecycle.h"
#include "pool/ending.h"
#include "pool/pools.h"
#include "scoreboard.h"
#include "settings/settings.h"

typedef struct SupervisorOptions {
        const char *config, *socket, *state_directory, *runtime_directory;
        bool config_optional; /* a missing directory means defaults */
        int log_level;        /* 0: what the config says */
} SupervisorOptions;

typedef struct Supervisor {
        SupervisorOptions options;
        Settings *settings;   /* in force */
        Settings *candidate;  /* being tried; NULL: none */
        Settings **old;       /* replaced, and perhaps still in use by a pool that goes */
        unsigned n_old;
        bool reload_wanted;
        List reload_calls, next_reload_calls; /* who waits for this one, and for the next */
        struct event_base *base;
        Turn turn;
        Core core;
        struct Store *store;
        Pools pools;
        Api api;
        Listener listener;
        MetricsHttp metrics;
        Scoreboard scoreboard;
        Lifecycle lifecycle;
        EndingLog ending;
        Announce announce;
        struct event *signals[4], *core_timer, *stop_timer;
        struct event *log_ready; /* the journal has room again; NULL: lines go elsewhere */
        usec_t armed; /* what core_timer is set to */
        int own_lock;   /* of the state directory, that no child has */
        bool listening; /* clients are served */
        bool dirty;
} Supervisor;

/* Runs the daemon to its end; returns its exit status. */
int supervisor_run(const SupervisorOptions *options);

/* Reads the config again; `call` is answered when it is in force or was refused; NULL: nobody. */
void supervisor_reload(Supervisor *s, VarlinkCall *call);
