/* SPDX-License-Identifier: MIT */
#pragma once

/* One worker under trial: started alone as a fork server starts a Command=, with the connections
 * that broodd would have made, and asked as broodd asks.
 *
 * Functions that return bool say with false that the worker has done something wrong, or that it
 * could not be asked; what it was stands in `words` then. */

#include <stdbool.h>
#include <sys/types.h>

#include "base/clock.h"
#include "ctl/ctl.h"
#include "process/exit.h"
#include "varlink/interface.h"
#include "varlink/message.h"
#include "varlink/scan.h"

typedef struct Trial {
        const char **argv; /* ended by NULL; the caller's, as are the next three */
        const char *handler; /* to be asked for; NULL: any */
        const char *args;    /* of its runs: an object, as JSON */
        usec_t timeout;      /* how long anything may take */
        char *path;          /* of the program */
        char *offered;       /* the handler that is run; NULL: it has not named one */
        Buffer names;        /* of all that it offers, for people */
        VarlinkInterface *interface;
        VarlinkScan scan;
        VarlinkClient *slot, *control; /* NULL: there is no worker */
        pid_t pid;                     /* 0: none */
        int pidfd;
        unsigned attempt;  /* of the last run */
        bool prepared;
        char words[512];
} Trial;

/* Finds the program and reads the interface. Returns false with words. */
bool trial_init(Trial *t);
void trial_fini(Trial *t);

/* Sets the words; returns false. */
bool trial_wrong(Trial *t, const char *format, ...) PRINTF(2, 3);
/* Sets the words; returns true. */
bool trial_right(Trial *t, const char *format, ...) PRINTF(2, 3);

/* Starts a worker; there must be none. */
bool trial_start(Trial *t);
/* Closes the connections. */
void trial_hang_up(Trial *t);
/* Waits for its exit. */
bool trial_exits(Trial *t, ExitVerdict *ret);
/* Hangs up, and ends and reaps whatever is left. Returns how many other processes there were. */
unsigned trial_end(Trial *t);

/* Sends what was written into the connection's buffer. */
bool trial_send(Trial *t, VarlinkClient *to);
/* One reply to a call of a method of the interface (IO_BROOD_WORKER_…), checked as broodd does. It
 * stays valid until the next is received. */
bool trial_receive(Trial *t, VarlinkClient *from, unsigned method, VarlinkReply *ret);
/* It says nothing more. */
bool trial_is_quiet(Trial *t);

/* Writes and sends Prepare, and receives its reply. */
bool trial_prepare(Trial *t, VarlinkReply *ret);
/* Writes a Run of a handler; flags: VARLINK_MORE or 0. */
void trial_write_run(Trial *t, const char *handler, const char *args, unsigned flags);
/* Writes a Cancel of the last run (or, `other`, of one that there never was). */
void trial_write_cancel(Trial *t, bool other);
/* The last reply to a Run. Those before it are checked, and counted in *ret_before. */
bool trial_answer(Trial *t, bool more, unsigned *ret_before, VarlinkReply *ret);
