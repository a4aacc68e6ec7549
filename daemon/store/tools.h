/* SPDX-License-Identifier: MIT */
#pragma once

/* What an administrator does to a store from outside, with or without a daemon on it. Both only
 * read: they may run beside the daemon, never checkpoint its log, and leave nothing beside the
 * file. While they read, the daemon's log can not begin anew, and grows with what is written. */

#include <stddef.h>

/* Told of each fault that was found, in words: "job ID: what is; expected what" or "file: what". */
typedef void (*StoreFault)(const char *fault, void *context);

/* As they were when the check began; zeros where the file is too damaged to count. */
typedef struct StoreFigures {
        long long jobs, open, ended;
        long long bytes; /* of the database, without its log */
} StoreFigures;

/* Is the file sound, and is every row a legal state (see schema.h)? Calls `fault` for each thing
 * that is wrong, at most `max_faults` (1 or more) times. Returns the number of faults found (up to
 * max_faults), or -1 with `error` filled where the file can not be read at all: it is not there, it
 * is no database, its schema is newer than this program, somebody began to use it meanwhile. Takes
 * some 6 seconds for a million jobs, and no memory to speak of; sorts in a temporary file (see
 * TMPDIR). */
int store_check(const char *path, int max_faults, StoreFault fault, void *context,
                StoreFigures *ret, char *error, size_t error_size);

/* Writes a consistent copy to `to`, which must not exist yet: one file of mode 0600, in no need of
 * a log. It grows under a name of its own beside it first (`to` + ".part-" and six letters), is
 * synced, then renamed. Returns 0, or -1 with `error` filled; then nothing is left of it. */
int store_backup(const char *path, const char *to, char *error, size_t error_size);
