/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls that are kept in flight on one connection.
 *
 * The text of every call is made before the clock starts, and of a reply only is looked at what
 * tells that it is good, so that figures are of the daemon and not of a client library. */

#include <stdbool.h>
#include <stddef.h>

#include "crew.h"
#include "wire.h"

/* Told of each reply; valid until it returns. */
typedef void (*PumpReply)(void *context, const char *reply, size_t size);

typedef struct Pump {
        Wire *wire;
        char *calls; /* `window` times the call, each with its NUL */
        size_t size; /* of one */
        long window; /* calls in flight */
        PumpReply reply;
        void *context;
} Pump;

/* Connects. `call` becomes the pump's. */
void pump_init(Pump *p, const char *socket, char *call, long window, PumpReply reply,
               void *context);
void pump_fini(Pump *p);

/* Makes so many calls, and returns when all are answered. */
void pump_run(Pump *p, long calls);

/* The text of a Submit, or of a SubmitMany of n jobs; the caller frees it. */
char *call_submit(const CrewTask *task, bool wait);
char *call_submit_many(const CrewTask *task, long n);

/* Ends the program if the reply does not contain this. */
void expect(const char *reply, size_t size, const char *part);

/* A PumpReply: a Submit that was acknowledged, with or without its result. */
void expect_id(void *context, const char *reply, size_t size);
void expect_ids(void *context, const char *reply, size_t size);
void expect_success(void *context, const char *reply, size_t size);
