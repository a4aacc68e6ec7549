/* SPDX-License-Identifier: MIT */
#pragma once

/* What the service manager is told, and what it has been told (sd_notify(3)). Nothing happens
 * without one.
 *
 * What it has to know in any case (READY, RELOADING, STOPPING, ERRNO) is owed to it until it has
 * taken it: of several the last counts, for it is the one that is true. The rest (STATUS alone,
 * EXTEND_TIMEOUT_USEC, WATCHDOG) is of the moment; what finds no room is not said. */

#include <stdbool.h>

#include "base/clock.h"
#include "ops/notify.h"

enum { SERVICE_STATUS_MAX = 1024 };

typedef struct Service {
        Notify notify;
        char *owed;                      /* NULL: nothing */
        char status[SERVICE_STATUS_MAX]; /* that it knows; "": none yet */
        usec_t watchdog;                 /* it wants to hear of us so often; 0: not at all */
        bool told_trouble;               /* that it does not listen is in the log */
} Service;

/* Looks in the environment for the service manager and what it asks for, and takes that out of it:
 * none of it is for our children. */
void service_init(Service *s);
void service_fini(Service *s);

static inline bool service_is_on(const Service *s)
{
        return s->notify.fd >= 0;
}

/* Says where the daemon stands: `what` is lines as in "READY=1", `status` a line for people. */
void service_tell(Service *s, const char *what, const char *status);

/* READY=1, RELOADING=1, STOPPING=1. */
void service_ready(Service *s, const char *status);
void service_reloading(Service *s, const char *status);
void service_stopping(Service *s, const char *status);
/* The start fails, with this errno (0: there is none). */
void service_failed(Service *s, int error, const char *status);

/* The line for people, if it is another than the one that is known. */
void service_status(Service *s, const char *status);
/* What is under way may take so long from now on. */
void service_extend(Service *s, usec_t time);
/* We are alive. */
void service_ping(Service *s);

/* Something is owed: tries again. Returns true if something is owed still. */
bool service_flush(Service *s);
