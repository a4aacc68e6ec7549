/* SPDX-License-Identifier: MIT */
#pragma once

/* What clients were refused, counted by the reason: the name of the error, or, of QuotaExceeded and
 * of connections, the limit that was hit. */

#include <stdbool.h>

#include "base/clock.h"
#include "base/slice.h"

#define REFUSALS(X)                                                                                \
        X("AccessDenied", "access_denied")                                                         \
        X("Draining", "draining")                                                                  \
        X("NoSuchHandler", "no_such_handler")                                                      \
        X("NoSuchJob", "no_such_job")                                                              \
        X("NoSuchPool", "no_such_pool")                                                            \
        X("NoSuchSemaphore", "no_such_semaphore")                                                  \
        X("QueueFull", "queue_full")                                                               \
        X("StoreFailed", "store_failed")                                                           \
        X("TooLarge", "too_large")                                                                 \
        X("WrongState", "wrong_state")                                                             \
        X("ConfigInvalid", "config_invalid")                                                       \
        X("bytes", "quota_bytes")                                                                  \
        X("connections", "quota_connections")                                                      \
        X("queued", "quota_queued")                                                                \
        X("rate", "quota_rate")                                                                    \
        X("InvalidParameter", "invalid_parameter")                                                 \
        X("MaxConnections", "all_connections")                                                     \
        X("", "other")

enum {
#define REFUSAL(name, reason) +1
        N_REFUSALS = 0 REFUSALS(REFUSAL)
#undef REFUSAL
};

typedef struct Refusals {
        uint64_t counts[N_REFUSALS];
        usec_t last[N_REFUSALS]; /* when; 0: never */
} Refusals;

/* An error without its interface, or a limit. That a wait took too long is none. */
void refusals_note(Refusals *r, Slice name, usec_t now);

/* "queue_full" … of the i-th reason. */
const char *refusal_reason(unsigned i);
/* Is it a limit that was hit, which an operator may want to raise? */
bool refusal_is_limit(unsigned i);
