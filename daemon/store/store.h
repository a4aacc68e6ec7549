/* SPDX-License-Identifier: MIT */
#pragma once

/* Where what has been decided is kept. Core hands over requests; each comes back complete when it
 * is on the disk.
 *
 * One thread writes: while it commits one batch, requests gather for the next (group commit), so
 * that the more there is to do, the more of it shares one sync. Jobs whose durability is memory are
 * complete at once.
 *
 * When the store fails (a full disk, an I/O error), new durable jobs are refused, none is claimed,
 * and what has happened already is kept and tried again until it works. */

#include <event2/event.h>

#include "core/core.h"

typedef struct Store Store;

typedef struct StoreHooks {
        void (*wake)(void *context); /* in the loop: the thread has something to say; settle then */
        void (*busy)(void *context); /* while it is opened: it is being read; NULL: nobody asks */
        void *context;
} StoreHooks;

/* Opens what is in the directory and reads it into core; starts the thread. Returns 0, or -errno
 * with `error` filled. */
int store_open(Store **ret, const char *directory, Core *core, struct event_base *base,
               const StoreHooks *hooks, char *error, size_t error_size);

/* Waits for the batch that is under way, and closes. */
void store_close(Store *store);

/* Completes what is ready and hands over what is asked for. Returns true if core has changed. */
bool store_work(Store *store, usec_t now);

/* Is nothing under way, and nothing asked for? */
bool store_is_idle(const Store *store);

/* Since when the thread has had its work and not answered (as the `now` of store_work()); 0: it is
 * at rest. A store that fails answers too. */
usec_t store_busy_since(const Store *store);

/* Brings large payloads of a job back: it gets EVENT_FETCHED, with them, or, where they could not
 * be read, without. Returns 0 or -ENOMEM. */
int store_fetch(Store *store, Job *job);

/* Why it fails, in words; NULL: it does not. */
const char *store_error(const Store *store);

/* Figures, for who asks. */
typedef struct StoreStatus {
        uint64_t bytes;           /* of the database and its log */
        uint64_t commits, writes; /* of all its transactions, and requests in them */
        uint64_t failures;
        usec_t last_commit, worst_commit; /* how long it took */
        Histogram commit_times;
} StoreStatus;
void store_status(const Store *store, StoreStatus *ret);
