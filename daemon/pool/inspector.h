/* SPDX-License-Identifier: MIT */
#pragma once

/* Looks into workers: one run of brood-inspect (child/inspect.c) for each question, of which few
 * are at work at a time and some wait.
 *
 * A worker is named by its pidfd, so an inspection needs nothing of it once it was asked for: if
 * the worker ends, the answer says so. */

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/slice.h"

enum {
        INSPECTOR_AT_WORK = 4,  /* at a time */
        INSPECTOR_WAITING = 64, /* behind them, in all, */
        INSPECTOR_OF_USER = 8,  /* and both of one user who may not operate */
};

struct Worker;

typedef struct Inspector {
        struct event_base *base;
        List at_work, waiting; /* Inspection.link */
        unsigned n_at_work, n_waiting;
        bool stopped; /* nothing is started any more */
} Inspector;

typedef struct Inspection Inspection;

/* The end of an inspection: its report, the text of one JSON object, or words that say why there is
 * none. What is passed is valid during the call. */
typedef void (*InspectionDone)(void *context, Slice report, const char *error);

/* What is asked. */
typedef struct InspectionOrder {
        bool stack;      /* with the stack; it stops the worker for a moment */
        bool only_stack; /* nothing else */
        uint32_t user;   /* who asks, where he may have only so many; else INSPECTION_OURS */
        InspectionDone done;
        void *context;
} InspectionOrder;

#define INSPECTION_OURS UINT32_MAX
#define INSPECTION_SLOW (UINT32_MAX - 1) /* SlowAfter=, which must not keep people from looking */

void inspector_init(Inspector *i, struct event_base *base);
/* All that is left was ended and reaped, or falls to whoever gets orphans. */
void inspector_fini(Inspector *i);
/* The daemon stops: those at work are ended, all are told so, and no more are taken. */
void inspector_stop(Inspector *i);

enum { INSPECTOR_E_BUSY = 1, INSPECTOR_E_UNBORN };

/* Asks for a look into a worker; `done` is called once, later, unless it is cancelled before.
 * Returns 0, -errno if it could not be started, INSPECTOR_E_BUSY where too many are asked for,
 * INSPECTOR_E_UNBORN if the worker has no process yet. */
int inspector_ask(Inspector *i, const struct Worker *worker, const InspectionOrder *order,
                  Inspection **ret);
/* Nobody wants to know any more. */
void inspection_cancel(Inspection *x);

/* SIGCHLD: was it one of ours? */
bool inspector_reaped(Inspector *i, pid_t pid, int status);
bool inspector_knows(const Inspector *i, pid_t pid);
