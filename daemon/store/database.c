/* SPDX-License-Identifier: MIT */

#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "store/schema.h"

/* What each version adds; entry 0 makes an empty database version 1. */
static const char *const steps[STORE_SCHEMA_VERSION] = { STORE_SCHEMA_1 };

enum { BUSY_MS = 2000 }; /* an operator's sqlite3 may hold the lock for a moment */

int database_exec(sqlite3 *db, const char *sql)
{
        return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

void database_words(sqlite3 *db, char *to, size_t size)
{
        int code = sqlite3_extended_errcode(db), os = sqlite3_system_errno(db);
        const char *words = sqlite3_errmsg(db);

        if ((code & 0xff) == SQLITE_FULL)
                words = "the disk is full";
        else if ((code & 0xff) == SQLITE_BUSY)
                words = "another program has locked it";
        if ((code & 0xff) == SQLITE_IOERR && os)
                (void)snprintf(to, size, "%s: %s", words, strerror(os));
        else
                (void)snprintf(to, size, "%s", words);
}

int database_errno(sqlite3 *db)
{
        int os = sqlite3_system_errno(db);

        switch (sqlite3_errcode(db) & 0xff) {
        case SQLITE_FULL:
                return ENOSPC;
        case SQLITE_BUSY:
                return EBUSY;
        case SQLITE_NOMEM:
                return ENOMEM;
        case SQLITE_READONLY:
                return EROFS;
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR:
                return os ? os : EIO;
        default:
                return EBADMSG; /* what is there is not what it should be */
        }
}

static int number(sqlite3 *db, const char *sql)
{
        sqlite3_stmt *s = NULL;
        int n = -1;

        if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK &&
            sqlite3_step(s) == SQLITE_ROW)
                n = sqlite3_column_int(s, 0);
        (void)sqlite3_finalize(s);
        return n;
}

/* One step of the schema; all of it or nothing. */
static int migrate(sqlite3 *db, int from)
{
        char sql[128];
        int r = database_exec(db, "BEGIN IMMEDIATE");

        if (r == SQLITE_OK)
                r = database_exec(db, steps[from]);
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                       STORE_APPLICATION_ID, from + 1);
        if (r == SQLITE_OK)
                r = database_exec(db, sql);
        if (r == SQLITE_OK)
                r = database_exec(db, "COMMIT");
        return r;
}

/* Is it ours, and one that we know? An empty file is. */
static int check_origin(sqlite3 *db, int version, char *error, size_t size)
{
        int id = number(db, "PRAGMA application_id");
        int tables = number(db, "SELECT count(*) FROM sqlite_master");

        if (version < 0 || id < 0 || tables < 0) {
                database_words(db, error, size);
                return -1;
        }
        if (version > STORE_SCHEMA_VERSION)
                (void)snprintf(error, size,
                               "it has schema version %d, this program knows versions up to %d: "
                               "run the newer broodd, or restore a backup",
                               version, STORE_SCHEMA_VERSION);
        else if (version == 0 ? tables != 0 : id != STORE_APPLICATION_ID)
                (void)snprintf(error, size, "it is a database, but not one of brood");
        else
                return 0;
        return -1;
}

static int prepare(sqlite3 *db, char *error, size_t size)
{
        int version = number(db, "PRAGMA user_version");

        if (check_origin(db, version, error, size) < 0)
                return -1;
        if (database_exec(db, "PRAGMA journal_mode = WAL") != SQLITE_OK ||
            database_exec(db, "PRAGMA synchronous = FULL") != SQLITE_OK ||
            database_exec(db, "PRAGMA wal_autocheckpoint = 0") != SQLITE_OK ||
            database_exec(db, "PRAGMA cache_size = -16384") != SQLITE_OK) {
                database_words(db, error, size);
                return -1;
        }
        for (; version < STORE_SCHEMA_VERSION; version++)
                if (migrate(db, version) != SQLITE_OK) {
                        database_words(db, error, size);
                        return -1;
                }
        return 0;
}

/* Zeros behind the end of the log are no part of it (and -wal has no locks that a close could
 * drop). Where the disk has little room to spare it grows as it must. */
static void lay_out_log(const char *database)
{
        static const char zeros[64 * 1024];
        AUTO(fd_close) int fd = -1;
        char path[PATH_MAX];
        struct statvfs disk;
        struct stat st;

        if (snprintf(path, sizeof(path), "%s-wal", database) >= (int)sizeof(path))
                return;
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || fstatvfs(fd, &disk) < 0 ||
            disk.f_bavail * disk.f_frsize < 16ull * DATABASE_LOG_SIZE)
                return;
        for (off_t at = st.st_size; at < DATABASE_LOG_SIZE; at += (off_t)sizeof(zeros))
                if (pwrite(fd, zeros, sizeof(zeros), at) != sizeof(zeros))
                        break; /* then it is shorter */
        (void)fdatasync(fd);
}

int database_open(sqlite3 **ret, const char *directory, char *error, size_t error_size)
{
        char path[PATH_MAX], words[256] = "no memory";
        sqlite3 *db = NULL;
        mode_t mask = umask(0077);
        int r;

        (void)snprintf(path, sizeof(path), "%s/" STORE_FILE, directory);
        r = sqlite3_open_v2(path, &db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
        if (r != SQLITE_OK && db)
                database_words(db, words, sizeof(words));
        if (r == SQLITE_OK) {
                (void)sqlite3_busy_timeout(db, BUSY_MS);
                (void)sqlite3_extended_result_codes(db, 1);
                r = prepare(db, words, sizeof(words));
        }
        (void)umask(mask);
        if (r == 0) {
                lay_out_log(path);
                *ret = db;
                return 0;
        }
        r = db ? -database_errno(db) : -ENOMEM;
        (void)sqlite3_close(db);
        (void)snprintf(error, error_size, "%s: %s", path, words);
        return r;
}

void database_close(sqlite3 *db)
{
        if (!db)
                return;
        (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        (void)sqlite3_close_v2(db);
}
