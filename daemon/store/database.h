/* SPDX-License-Identifier: MIT */
#pragma once

/* The SQLite database: one connection, for one thread at a time.
 *
 * A write-ahead log, synced at each commit. The connection does its own checkpoints, when it is
 * told to: SQLite before 3.51.3 can lose a commit when two connections write or checkpoint at the
 * same moment, so there is only one that does. Others may read. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes of the log that are there from the start: a sync after writing over what is there costs a
 * third of one after appending. */
enum { DATABASE_LOG_SIZE = 4 * 1024 * 1024 };

/* Opens the file in this directory, made if it is missing, and brings its schema up to date.
 * Returns 0, or -errno with `error` filled. */
int database_open(sqlite3 **ret, const char *directory, char *error, size_t error_size);

/* Moves what the log has into the file, and closes. */
void database_close(sqlite3 *db);

/* Runs statements without parameters and results. Returns an SQLite code. */
int database_exec(sqlite3 *db, const char *sql);

/* What went wrong last, in words that say what to do about it where that is known. */
void database_words(sqlite3 *db, char *to, size_t size);
/* The same as the errno that comes nearest. */
int database_errno(sqlite3 *db);
