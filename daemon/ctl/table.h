/* SPDX-License-Identifier: MIT */
#pragma once

/* Rows in aligned columns, for people. */

#include "ctl/print.h"

typedef struct TableCell {
        char *text;
        Colour colour;
} TableCell;

typedef struct Table {
        const char *const *headers;
        const char *align; /* 'l' or 'r' for each column */
        unsigned n_columns, *widths;
        TableCell *cells;
        size_t n_cells, capacity;
        bool headed;    /* the headers are printed */
        bool failed;    /* memory ran out */
} Table;

/* Both belong to the caller, and the headers end with NULL. */
void table_init(Table *t, const char *const *headers, const char *align);
void table_fini(Table *t);

static inline void table_fini_cleanup(Table *t)
{
        table_fini(t);
}

/* The next cell, from left to right and then on the next row. */
void table_cell(Table *t, Colour colour, const char *format, ...) PRINTF(3, 4);

/* Prints the rows so far, after the headers if it is the first time, and forgets them; columns
 * never become narrower. `indent` blanks stand before each row. */
void table_print(Table *t, unsigned indent);
