/* SPDX-License-Identifier: MIT */
#pragma once

/* What every verb gets: the command line, and a connection to the daemon. */

#include "ctl/options.h"
#include "varlink/client.h"

/* How broodctl ends. Functions of broodctl that return a status have said what went wrong. */
enum {
        STATUS_DONE = 0,
        STATUS_FAILED = 1,      /* the job failed, or the answer is no */
        STATUS_USAGE = 2,
        STATUS_UNREACHABLE = 3, /* the daemon is not there, or went away */
        STATUS_REFUSED = 4,     /* the daemon answered with an error */
};

typedef struct Ctl Ctl;

typedef struct Verb {
        const char *name;
        const char *arguments; /* as the help shows them */
        const char *summary;
        uint64_t options;      /* beside OPTIONS_COMMON */
        unsigned min_words, max_words;
        int (*run)(Ctl *ctl);  /* returns a status */
        bool alone;            /* it needs no daemon */
        const char *more;      /* further words for the help, or NULL */
        bool hidden;           /* the help does not show it: no people use it */
} Verb;

struct Ctl {
        const Options *options;
        const Verb *verb;
        const char **words; /* behind the verb */
        unsigned n_words;
        char *socket;          /* path */
        VarlinkClient *client; /* connected before the verb runs, unless it is `alone` */
};

/* "VERB: …", and how it is used; returns STATUS_USAGE. */
int ctl_usage(const Ctl *ctl, const char *format, ...) PRINTF(2, 3);

/* "out of memory"; returns STATUS_FAILED. */
int ctl_no_memory(void);

/* The word at this place, or NULL. */
static inline const char *ctl_word(const Ctl *ctl, unsigned i)
{
        return i < ctl->n_words ? ctl->words[i] : NULL;
}

/* Checks that the words from the i-th on are job ids. Returns a status. */
int ctl_check_ids(const Ctl *ctl, unsigned from);
