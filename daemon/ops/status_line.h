/* SPDX-License-Identifier: MIT */
#pragma once

/* How the daemon does, in one line for people: `systemctl status` shows it. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

typedef struct StatusFacts {
        const char *state;       /* "running" */
        const char *detail;      /* why it stops; NULL: nothing to add */
        unsigned pools, serving; /* all of them, and those that do their work */
        unsigned workers, busy;
        uint64_t queued, running; /* jobs; those that can not begin yet are not queued */
        uint64_t done;            /* since the start */
        const char *store_error;  /* why the store fails; NULL: it does not */
        const char *refused;      /* the last reload: where and why; NULL: it was not */
} StatusFacts;

/* What comes behind the figures: each is one remark, as in "pool thumbs is paused". */
typedef struct StatusLine {
        char *text;
        size_t size, used;
} StatusLine;

/* Writes the figures to text[0..size). */
void status_line_begin(StatusLine *line, char *text, size_t size, const StatusFacts *facts);
/* Adds a remark; what does not fit is cut off. */
void status_line_add(StatusLine *line, const char *format, ...) PRINTF(2, 3);

/* What STATUS= may hold: valid UTF-8 on one line. The rest is replaced, character by character. */
void status_line_clean(char *text);
