/* SPDX-License-Identifier: MIT */
#pragma once

/* How the daemon does, for the service manager: READY, STATUS, RELOADING, STOPPING, more time, and
 * signs of life. Without one ($NOTIFY_SOCKET) nothing of this costs anything.
 *
 * READY is said when the socket is served and every pool has its minimum of workers, or can not
 * have it just now (its breaker is open, it is paused, its workers die one after the other): then
 * STATUS tells. Clients are served before that. Where neither comes true within the time that it
 * should take (StartTimeout= for as many starts as open the breaker), READY is said nevertheless.
 *
 * STATUS follows what changes, at most once a second. */

#include "ops/service.h"
#include "ops/watchdog.h"
#include "probe.h"
#include "settings/settings.h"

struct Supervisor;
struct event;

typedef struct Announce {
        Service service;
        Watchdog watchdog;
        Probe probe;
        struct event *timer; /* NULL: nobody is told anything */
        usec_t armed;        /* what it is set to; 0: it is not */
        usec_t quiet;        /* nothing is to be said before */
        usec_t began;        /* to start, to drain or to stop */
        usec_t extended;     /* when more time was last asked for; 0: not yet */
        usec_t status_due;   /* STATUS may be said again; it was looked at a second before */
        bool ready;          /* READY was said */
        bool reloading;
        char failure[SERVICE_STATUS_MAX]; /* why the start fails; "": it does not */
        char refused[SERVICE_STATUS_MAX]; /* why the last reload did not take; "": it did */
} Announce;

/* First of all. */
void announce_init(struct Supervisor *s);
/* There is a loop. Returns 0 or -ENOMEM. */
int announce_loop(struct Supervisor *s);
void announce_fini(struct Supervisor *s);

/* Something before the loop takes long, and gets on; any number of times. */
void announce_busy(struct Supervisor *s);
/* The start fails, for this reason (errno; 0: it has none). */
void announce_failed(struct Supervisor *s, int error, const char *why);

/* A reload begins; it has taken (NULL) or was refused. Also told of a config that was refused at
 * the start. */
void announce_reload(struct Supervisor *s);
void announce_reloaded(struct Supervisor *s, const SettingsError *error);

/* The daemon begins to drain; to stop. */
void announce_draining(struct Supervisor *s);
void announce_stopping(struct Supervisor *s);

/* After each round of settling. */
void announce_settled(struct Supervisor *s, usec_t now);
