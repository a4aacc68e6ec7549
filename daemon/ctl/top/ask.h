/* SPDX-License-Identifier: MIT */
#pragma once

/* One question to the daemon that keeps nobody waiting: a connection of its own, and an answer
 * within TOP_PATIENCE or none. Its words are for the screen; nothing is written to stderr. */

#include "base/buffer.h"
#include "base/clock.h"
#include "ctl/call.h"

#define TOP_PATIENCE (2 * USEC_PER_SEC)

typedef struct TopAsk {
        VarlinkClient *client; /* NULL: nothing is asked */
        const char *verb;      /* of broodctl that would ask the same: for the words of errors */
        usec_t deadline;       /* by clock_monotonic() */
} TopAsk;

typedef enum TopAnswer {
        TOP_ASK_NOTHING, /* yet */
        TOP_ASK_DONE,    /* *ret_reply is the answer */
        TOP_ASK_FAILED,  /* `words` says why */
} TopAnswer;

/* Asks `method` of io.brood with one string, or none (name is NULL); what was asked before is
 * given up. Words of a failure are in `words` then, and false is returned. */
bool top_ask_begin(TopAsk *a, const char *socket, const char *verb, const char *method,
                   const char *name, const char *value, Buffer *words);

/* To be called when the descriptor can be read or written, and when the deadline is over. */
TopAnswer top_ask_step(TopAsk *a, usec_t now, Reply *ret_reply, Buffer *words);

/* What to wait for; -1 and 0: nothing. */
int top_ask_fd(const TopAsk *a);
short top_ask_events(const TopAsk *a);

void top_ask_end(TopAsk *a);
