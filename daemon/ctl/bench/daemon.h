/* SPDX-License-Identifier: MIT */
#pragma once

/* A private daemon with one pool, `bench`, and a connection to it.
 *
 * Functions that return bool say with false that something went wrong; what it was, in the daemon's
 * own words where it had some, stands in `words` then. */

#include <jansson.h>
#include <stdbool.h>

#include "ctl/bench/keeper.h"
#include "varlink/client.h"

enum { BENCH_PATIENCE_SECONDS = 30 }; /* for any answer */

typedef struct BenchDaemon {
        BenchKeeper keeper;
        VarlinkClient *client;
        unsigned workers; /* of the pool */
        char socket[128];
        char words[1024];
} BenchDaemon;

#define BENCH_DAEMON_NONE { .keeper = { .fd = -1 } }

/* Where broodd is: $BROOD_DAEMON, or where it was installed. */
const char *bench_daemon_program(void);

/* Starts it, and waits until its pool has so many workers that are ready. */
bool bench_daemon_start(BenchDaemon *d, const BenchKeeperSpec *spec, unsigned workers);
void bench_daemon_end(BenchDaemon *d);

static inline void bench_daemon_end_cleanup(BenchDaemon *d)
{
        bench_daemon_end(d);
}

/* Sets the words; returns false. */
bool bench_daemon_wrong(BenchDaemon *d, const char *format, ...) PRINTF(2, 3);

/* Says that the connection is lost, and why; returns false. */
bool bench_daemon_lost(BenchDaemon *d, int error);

/* A call of io.brood. Steals `parameters` (NULL: none); *ret is to be freed. */
bool bench_daemon_call(BenchDaemon *d, const char *method, json_t *parameters, json_t **ret);

/* The number of its workers becomes this, and they are ready. */
bool bench_daemon_scale(BenchDaemon *d, unsigned workers);
/* Waits until the pool has so many workers, all of them ready. */
bool bench_daemon_settle(BenchDaemon *d, unsigned workers);

/* The pid of the i-th worker. */
bool bench_daemon_worker(BenchDaemon *d, unsigned i, pid_t *ret);

/* Bytes of memory that the pool's workers and their fork server have, without what is of files:
 * those pages are shared with whoever else has the file, and are there once. */
bool bench_daemon_memory(BenchDaemon *d, double *ret);
