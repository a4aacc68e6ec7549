/* SPDX-License-Identifier: MIT */
#pragma once

/* Writes batches to the database, each as one transaction. Belongs to the storage thread. */

#include "base/buffer.h"
#include "store/batch.h"
#include "store/database.h"

enum {
        WRITE_BEGIN,
        WRITE_COMMIT,
        WRITE_ROLLBACK,
        WRITE_INSERT,
        WRITE_CLAIM,
        WRITE_UNCLAIM,
        WRITE_SETTLE,
        WRITE_MARK,
        WRITE_FORGET,
        WRITE_LARGE,
        WRITE_LARGE_GONE,
        WRITE_EDGE,
        WRITE_EDGE_MET,
        WRITE_EDGES_GONE,
        WRITE_RELEASED,
        WRITE_READ_LARGE,
        WRITE_N_STATEMENTS,
};

typedef struct Writer {
        sqlite3 *db;
        sqlite3_stmt *statements[WRITE_N_STATEMENTS];
        Buffer attempts; /* JSON of the row being written */
} Writer;

/* Returns an SQLite code. */
int writer_init(Writer *w, sqlite3 *db);
void writer_fini(Writer *w);

/* All of it is durable (SQLITE_OK), or none of it, and writer_roll_back() is due. */
int writer_commit(Writer *w, StoreBatch *b);
void writer_roll_back(Writer *w);

/* A large payload: malloc'ed, or NULL with a length of 0 if there is none. Returns an SQLite
 * code. */
int writer_read_large(Writer *w, uint64_t seq, bool result, char **ret, size_t *ret_len);
