/* SPDX-License-Identifier: MIT */
#pragma once

/* A store's file, open for reading in one transaction, whoever else has it. */

#include <sqlite3.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/macros.h"

typedef struct StoreFile {
        sqlite3 *db;
        char *path; /* absolute, without links */
        int version;
        bool alone;         /* nobody else had it, and no lock is held: see store_file_confirm() */
        struct stat before; /* if alone */
} StoreFile;

#define STORE_FILE_INIT { 0 }

/* It is no intact database, `error` says why; `db` is open, but what it reads may be nonsense. */
enum { STORE_FILE_E_DAMAGED = 1 };

/* Begins to read. Leaves nothing beside the file, and never checkpoints its log. Returns 0, or -1
 * with `error` filled (it is not there, no database, none of brood), or STORE_FILE_E_DAMAGED. To be
 * ended with store_file_fini() whatever was returned. */
int store_file_init(StoreFile *f, const char *path, char *error, size_t size);
void store_file_fini(StoreFile *f);
DEFINE_FINI(StoreFile, store_file_fini);

/* When all is read: was it of one moment? Returns 0, or -1 with `error` filled if somebody began to
 * use it meanwhile, so that it may be a mixture. */
int store_file_confirm(const StoreFile *f, char *error, size_t size);

/* Fills `error`, never with half a character at its end; returns -1. */
int store_file_error(char *error, size_t size, const char *format, ...) PRINTF(3, 4);

/* The number that a statement (a pragma) yields. Returns SQLITE_OK or what went wrong. */
int store_file_number(sqlite3 *db, const char *sql, sqlite3_int64 *ret);
