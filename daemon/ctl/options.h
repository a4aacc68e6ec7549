/* SPDX-License-Identifier: MIT */
#pragma once

/* The command line, split into options (which may stand anywhere before `--`) and other words. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum OptionId {
        OPTION_SOCKET,
        OPTION_USER,
        OPTION_SYSTEM,
        OPTION_JSON,
        OPTION_NO_PAGER,
        OPTION_HELP,
        OPTION_VERSION,
        OPTION_WAIT,
        OPTION_PRIORITY,
        OPTION_DELAY,
        OPTION_AT,
        OPTION_TIMEOUT,
        OPTION_MAX_ATTEMPTS,
        OPTION_TTL,
        OPTION_UNIQUE,
        OPTION_ID,
        OPTION_AFTER,
        OPTION_SEMAPHORE,
        OPTION_TAG,
        OPTION_DURABILITY,
        OPTION_DETACH,
        OPTION_UNORDERED,
        OPTION_WINDOW,
        OPTION_FORCE,
        OPTION_STATE,
        OPTION_POOL,
        OPTION_HANDLER,
        OPTION_LIMIT,
        OPTION_DRY_RUN,
        OPTION_KIND,
        OPTION_STATE_DIRECTORY,
        OPTION_RUNTIME_DIRECTORY,
        OPTION_FORMAT,
        OPTION_STACK,
        OPTION_INTERVAL,
        OPTION_BATCH,
        OPTION_ARGS,
        OPTION_SLOTS,
        OPTION_SECONDS,
        OPTION_ONLY,
        OPTION_DIRECTORY,
        N_OPTIONS
} OptionId;

#define OPTION_BIT(id) (1ULL << (id))

/* Sets of options that verbs share. */
#define OPTIONS_COMMON                                                                             \
        (OPTION_BIT(OPTION_SOCKET) | OPTION_BIT(OPTION_USER) | OPTION_BIT(OPTION_SYSTEM) |         \
         OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_NO_PAGER) | OPTION_BIT(OPTION_HELP) |         \
         OPTION_BIT(OPTION_VERSION))
#define OPTIONS_EACH_JOB                                                                           \
        (OPTION_BIT(OPTION_PRIORITY) | OPTION_BIT(OPTION_DELAY) | OPTION_BIT(OPTION_AT) |          \
         OPTION_BIT(OPTION_TIMEOUT) | OPTION_BIT(OPTION_MAX_ATTEMPTS) | OPTION_BIT(OPTION_TTL) |   \
         OPTION_BIT(OPTION_AFTER) | OPTION_BIT(OPTION_SEMAPHORE) | OPTION_BIT(OPTION_TAG) |        \
         OPTION_BIT(OPTION_DURABILITY))
#define OPTIONS_ONE_JOB                                                                            \
        (OPTIONS_EACH_JOB | OPTION_BIT(OPTION_WAIT) | OPTION_BIT(OPTION_UNIQUE) |                  \
         OPTION_BIT(OPTION_ID))

typedef struct OptionValue {
        const char *text;  /* as given last, "" without a value; NULL: not given */
        int64_t number;    /* of a number, span or time (in microseconds) */
        const char **list; /* every value, of an option that may be repeated */
        unsigned n_list;
} OptionValue;

typedef struct Options {
        OptionValue values[N_OPTIONS];
        const char **words; /* what is no option; strings belong to argv */
        unsigned n_words;
} Options;

/* Reads argv[1…]. Returns 0, -ENOMEM, or -EINVAL after saying on stderr what was wrong. */
int options_parse(Options *o, int argc, char **argv);
void options_fini(Options *o);

static inline bool option_given(const Options *o, OptionId id)
{
        return o->values[id].text != NULL;
}

/* The first given option that is not among `allowed`, by name; NULL: none. */
const char *options_stranger(const Options *o, uint64_t allowed);

/* One row of the table of options. */
typedef struct OptionInfo {
        const char *name, *help;
        const char *placeholder; /* of its value; NULL: it has none */
        const char *choices;     /* between blanks, where the value is one of them, or NULL */
        bool optional;           /* the value may be left out */
} OptionInfo;

OptionInfo options_info(OptionId id);

/* The option that "--name" or "--name=value" is; -1: none. */
int options_find(const char *word);

/* Writes one line for each option of the set, in the order of the table. */
void options_help(FILE *out, uint64_t set);
