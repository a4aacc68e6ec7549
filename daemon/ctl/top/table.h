/* SPDX-License-Identifier: MIT */
#pragma once

/* The four tables of `top`: their columns, and which rows in which order.
 *
 * Columns are one table for all who show them: the screen, the text of --batch, and --json. */

#include "ctl/print.h"
#include "ctl/top/model.h"

typedef enum TopView { TOP_POOLS, TOP_WORKERS, TOP_HANDLERS, TOP_JOBS, TOP_N_VIEWS } TopView;

typedef enum TopKind {
        TOP_TEXT,
        TOP_STATE, /* text, coloured */
        TOP_NUMBER, /* uint64_t: a name, in all its digits */
        TOP_COUNT, /* uint64_t */
        TOP_BAD,   /* the same, red unless 0 */
        TOP_SIZE,  /* the same, bytes */
        TOP_RATE,  /* double */
        TOP_SPAN,  /* usec_t; TOP_NO_TIME: none */
        TOP_BUSY,  /* two uint64_t: so many of so many */
} TopKind;

typedef struct TopColumn {
        const char *key;    /* in JSON; NULL: not there */
        const char *header; /* NULL: only in JSON */
        const char *help;   /* what it is */
        TopKind kind;
        unsigned rank;      /* those with the least are shown where there is no room for all */
        size_t at;          /* in its row */
} TopColumn;

/* "pools" … */
const char *top_view_name(TopView v);

/* The columns of a view from left to right; the first is the name of the row. */
const TopColumn *top_columns(TopView v, unsigned *ret_n);
/* The one that rows are sorted by at first, and whether downwards. */
unsigned top_first_sort(TopView v);
bool top_sorts_down(TopView v, unsigned column);

/* The rows of a view, as the model has them. */
uint32_t top_n_rows(const TopModel *m, TopView v);
const void *top_row(const TopModel *m, TopView v, uint32_t i);
static inline const char *top_row_name(const TopModel *m, TopView v, uint32_t i)
{
        return top_row(m, v, i); /* that is the first member */
}

typedef struct TopCell {
        char text[300]; /* control characters are escaped */
        Colour colour;
} TopCell;

void top_cell(const TopColumn *c, const void *row, TopCell *ret);

/* The places of those rows of which a word contains `filter`, in order. `ret` has room for all of
 * them. Returns how many there are, or -ENOMEM. */
int64_t top_order(const TopModel *m, TopView v, unsigned column, bool down, const char *filter,
                  uint32_t *ret);

enum { TOP_MAX_COLUMNS = 32 };

/* Which columns go into so many, and how wide each is; 0: it is left out. */
void top_fit(const TopModel *m, TopView v, unsigned columns, unsigned widths[TOP_MAX_COLUMNS]);

/* Cuts text to so many columns of a terminal, with an ellipsis; for what does not stay in its
 * columns (tabs, or letters beyond ASCII where the terminal has none) something else stands.
 * Returns how many it has then. */
unsigned top_clip(const char *text, unsigned columns, char *to, size_t size);

/* "1.2ms", "3m20", "2d3h": five characters; "-" for TOP_NO_TIME. */
ShortText top_span(usec_t span);
/* "0", "0.25", "12.5", "1234", "12.3k": five. */
ShortText top_rate(double rate);
/* "12345", "123k", "12.3M": five. */
ShortText top_count(uint64_t n);

/* Appends the lines above the tables: what is wrong with the daemon, if anything is; then it,
 * its jobs, and its rates. */
void top_append_head(Buffer *b, const TopModel *m);
