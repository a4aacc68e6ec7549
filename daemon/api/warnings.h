/* SPDX-License-Identifier: MIT */
#pragma once

/* What an operator should know of: what keeps jobs from being done, or soon will. Found by looking,
 * when somebody asks; nothing is kept.
 *
 * Those of pools and handlers are also what STATUS= of the service says. */

#include "api/api.h"

#define WARNING_KINDS(X)                                                                           \
        X(POOL_FAILED, "pool_failed")                                                              \
        X(POOL_PAUSED, "pool_paused")                                                              \
        X(POOL_SHORT, "pool_short")                                                                \
        X(POOL_STUCK, "pool_stuck")                                                                \
        X(HANDLER_RESTING, "handler_resting")                                                      \
        X(STORE_FAILS, "store_fails")                                                              \
        X(DISK_LOW, "disk_low")                                                                    \
        X(LIMIT_HIT, "limit_hit")                                                                  \
        X(RELOAD_REFUSED, "reload_refused")                                                        \
        X(JOB_SLOW, "job_slow")

typedef enum WarningKind {
#define KIND(name, word) WARNING_##name,
        WARNING_KINDS(KIND)
#undef KIND
} WarningKind;

const char *warning_kind_name(WarningKind kind);

typedef struct Warnings {
        void (*tell)(void *context, WarningKind kind, const char *subject, const char *message);
        void *context;
        const Client *client; /* whose jobs may be named; NULL: whoever it may be */
} Warnings;

/* Tells of one pool: at most one thing, the one that would have to change first. */
void warnings_of_pool(const Warnings *w, const Pool *pool, usec_t now);
/* Of one handler. */
void warnings_of_handler(const Warnings *w, const CoreHandler *handler, usec_t now);
/* Of everything. */
void warnings_of_all(const Warnings *w, const Api *api, usec_t now);
