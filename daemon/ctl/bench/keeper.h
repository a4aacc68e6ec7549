/* SPDX-License-Identifier: MIT */
#pragma once

/* A process that starts a broodd in a directory of its own, and sees to it that nothing is left of
 * both: when the process that asked for it closes its end of the connection, or is gone, by
 * whatever way, the keeper ends the daemon and removes what was made. */

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct BenchKeeperSpec {
        const char *program; /* broodd */
        const char *pool;    /* the text of its one pool file, bench.pool */
        const char *state;   /* where a directory for its state is made; NULL: in its own */
} BenchKeeperSpec;

typedef struct BenchKeeper {
        int fd;          /* -1: none; a hang-up says that the daemon has ended */
        pid_t pid;       /* of the keeper */
        pid_t daemon;
        char directory[80];       /* in $TMPDIR or /tmp; `sock` and `log` are in it */
        char state[PATH_MAX + 32]; /* its state directory */
        char words[PATH_MAX + 128]; /* what went wrong; "": nothing */
} BenchKeeper;

/* Returns whether there is a daemon, which will soon take connections; if not, `words` say why. */
bool bench_keeper_start(BenchKeeper *k, const BenchKeeperSpec *spec);

/* Ends it all, and waits until it is done. */
void bench_keeper_end(BenchKeeper *k);
