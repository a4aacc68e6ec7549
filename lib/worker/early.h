/* SPDX-License-Identifier: MIT */
#pragma once

/* Cancels that came before their runs: the connections are read in any order.
 *
 * The watching thread first notes a cancel here, and then looks for its run in the slots; a slot
 * first shows the run that begins, and then looks here. So one of them finds the other. */

#include <pthread.h>
#include <stdatomic.h>

#include "worker/job.h"

typedef struct EarlyCancel {
        char id[UUID_TEXT + 1];
        int attempt;
        CancelReason reason;
        uint64_t number; /* from 1, in the order in which they came */
} EarlyCancel;

typedef struct EarlyCancels {
        pthread_mutex_t lock;
        _Atomic uint64_t noted; /* the last number; under the lock for writing, and so are these */
        unsigned n, max;
        EarlyCancel *items; /* the oldest first */
} EarlyCancels;

/* For a worker with so many slots. Returns 0 or -ENOMEM. */
int early_init(EarlyCancels *early, unsigned n_slots);
void early_fini(EarlyCancels *early);

void early_note(EarlyCancels *early, const char *id, int attempt, CancelReason reason);

/* Why this run is to end; CANCEL_NONE: nothing is noted. It is not noted any more. `seen`: up to
 * which number the slot has looked, 0 at first. What came before its last run was not for this one:
 * a run is cancelled when it is the first in line. So those that came too late cost nothing. */
CancelReason early_take(EarlyCancels *early, const char *id, int attempt, uint64_t *seen);
