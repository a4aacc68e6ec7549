/* SPDX-License-Identifier: MIT */
#pragma once

/* The models that are measured: one pool file for each. */

#include "base/buffer.h"

typedef enum BenchLanguage { BENCH_C, BENCH_PYTHON, BENCH_LANGUAGES } BenchLanguage;

typedef struct BenchRow {
        BenchLanguage language;
        const char *name;   /* "python/async", as --only= names it */
        const char *title;  /* "Python async (asyncio)" */
        const char *model;  /* Concurrency= */
        const char *source; /* further lines of [Pool] */
        const char *suffix; /* of the names of its handlers */
} BenchRow;

/* The i-th, or NULL. */
const BenchRow *bench_row(unsigned i);

/* Is it one of a comma-separated list of names? */
bool bench_row_is_in(const BenchRow *row, const char *list);

/* Does such a list have a name that no row has? Then "'c/x' is not one of: c/process, …" is
 * appended. */
bool bench_rows_stranger(const char *list, Buffer *b);

/* How many workers have so many slots, and the text of the pool's file, ended by a NUL. */
unsigned bench_row_workers(const BenchRow *row, unsigned slots);
void bench_row_pool(const BenchRow *row, unsigned slots, Buffer *b);
