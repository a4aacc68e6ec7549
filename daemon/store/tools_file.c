/* SPDX-License-Identifier: MIT */

/* SQLite reads a database in WAL mode through its -shm, which it makes, with an empty -wal, where
 * there is none; and leaves both behind if it may not write to the database. A tool that runs as
 * another user than the daemon must not leave such files, and in a directory that is read-only it
 * can not make them. So, by what is there:
 *
 *     -shm (or -journal)   somebody has it open, or was killed: the usual way, with locks
 *     a -wal, no -shm      its daemon is gone, and left a log: read with a -shm in our memory
 *     neither              all is in the file: read as one that does not change
 *
 * The last two hold no lock. That somebody came meanwhile shows afterwards, by a -shm or by the
 * file itself. */

#include "store/tools_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "store/schema.h"

enum { BUSY_MSEC = 10000 /* a daemon that starts replays its log, and lets nobody in */ };

int store_file_error(char *error, size_t size, const char *format, ...)
{
        va_list args;
        size_t n;

        va_start(args, format);
        (void)vsnprintf(error, size, format, args);
        va_end(args);
        n = strnlen(error, size);
        while (n && !utf8_valid((Slice){ error, n }))
                n--;
        error[n] = '\0';
        return -1;
}

int store_file_number(sqlite3 *db, const char *sql, sqlite3_int64 *ret)
{
        sqlite3_stmt *s;
        int r = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

        if (r != SQLITE_OK)
                return r;
        r = sqlite3_step(s);
        if (r == SQLITE_ROW)
                *ret = sqlite3_column_int64(s, 0);
        (void)sqlite3_finalize(s); /* repeats what step said */
        return r == SQLITE_ROW ? SQLITE_OK : r == SQLITE_DONE ? SQLITE_ERROR : r;
}

/* The size of a file beside it; -1: there is none. */
static long long size_beside(const StoreFile *f, const char *suffix)
{
        AUTO(free) char *path = NULL;
        struct stat st;

        if (asprintf(&path, "%s%s", f->path, suffix) < 0) {
                path = NULL;
                return 0; /* the careful answer */
        }
        return stat(path, &st) == 0 ? (long long)st.st_size : -1;
}

static bool is_used(const StoreFile *f)
{
        return size_beside(f, "-shm") >= 0 || size_beside(f, "-journal") >= 0;
}

/* A file: URI (https://sqlite.org/uri.html) for what does not change. */
static void write_uri(Buffer *b, const char *path)
{
        buffer_append_literal(b, "file:");
        for (const char *p = path; *p; p++) {
                if (isalnum((unsigned char)*p) || strchr("/-_.", *p))
                        buffer_append_char(b, *p);
                else
                        buffer_printf(b, "%%%02x", (unsigned char)*p);
        }
        buffer_append_literal(b, "?immutable=1");
        buffer_append_char(b, '\0');
}

static int open_immutable(StoreFile *f)
{
        AUTO(buffer_fini) Buffer uri = BUFFER_INIT;

        write_uri(&uri, f->path);
        if (uri.failed)
                return SQLITE_NOMEM;
        return sqlite3_open_v2(buffer_bytes(&uri), &f->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                               NULL);
}

static int open_with_log(StoreFile *f)
{
        int r = sqlite3_open_v2(f->path, &f->db, SQLITE_OPEN_READONLY, "unix-none");

        return r ? r : sqlite3_exec(f->db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
}

static int open_database(StoreFile *f)
{
        int r;

        f->alone = !is_used(f);
        if (f->alone && stat(f->path, &f->before) < 0)
                return SQLITE_CANTOPEN;
        if (!f->alone)
                r = sqlite3_open_v2(f->path, &f->db, SQLITE_OPEN_READONLY, NULL);
        else if (size_beside(f, "-wal") > 0)
                r = open_with_log(f);
        else
                r = open_immutable(f);
        if (r)
                return r;
        (void)sqlite3_busy_timeout(f->db, BUSY_MSEC);
        return sqlite3_db_config(f->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

/* What the path is, in the words of the system rather than of SQLite. */
static int find(StoreFile *f, const char *path, char *error, size_t size)
{
        struct stat st;

        f->path = realpath(path, NULL);
        if (!f->path || stat(f->path, &st) < 0)
                return store_file_error(error, size, "%s: %s", path, strerror(errno));
        if (S_ISDIR(st.st_mode))
                return store_file_error(error, size, "%s: is a directory; the store is %s in it",
                                        path, STORE_FILE);
        if (!S_ISREG(st.st_mode))
                return store_file_error(error, size, "%s: is not a file", path);
        if (st.st_size == 0) /* SQLite would remove a -wal beside it */
                return store_file_error(error, size, "%s: is empty, not a store of brood", path);
        if (access(f->path, R_OK) < 0)
                return store_file_error(error, size, "%s: %s", path, strerror(errno));
        return 0;
}

static int read_numbers(StoreFile *f, sqlite3_int64 *application, sqlite3_int64 *version)
{
        int r = sqlite3_exec(f->db, "BEGIN", NULL, NULL, NULL);

        if (r == SQLITE_OK)
                r = store_file_number(f->db, "PRAGMA application_id", application);
        return r ? r : store_file_number(f->db, "PRAGMA user_version", version);
}

int store_file_init(StoreFile *f, const char *path, char *error, size_t size)
{
        sqlite3_int64 application = 0, version = 0;
        int r;

        *f = (StoreFile)STORE_FILE_INIT;
        if (find(f, path, error, size) < 0)
                return -1;
        r = open_database(f);
        if (r == SQLITE_OK)
                r = read_numbers(f, &application, &version);
        if (r) {
                (void)store_file_error(error, size, "%s: %s", path,
                                             f->db ? sqlite3_errmsg(f->db) : sqlite3_errstr(r));
                return r == SQLITE_CORRUPT ? STORE_FILE_E_DAMAGED : -1;
        }
        if (application != STORE_APPLICATION_ID || version < 1)
                return store_file_error(error, size, "%s: is not a store of brood", path);
        f->version = (int)version;
        return 0;
}

void store_file_fini(StoreFile *f)
{
        (void)sqlite3_close(f->db); /* every statement is over */
        free(f->path);
        *f = (StoreFile)STORE_FILE_INIT;
}

static bool has_changed(const StoreFile *f)
{
        const struct stat *a = &f->before;
        struct stat b;

        return is_used(f) || stat(f->path, &b) < 0 || a->st_ino != b.st_ino ||
               a->st_size != b.st_size || a->st_mtim.tv_sec != b.st_mtim.tv_sec ||
               a->st_mtim.tv_nsec != b.st_mtim.tv_nsec;
}

int store_file_confirm(const StoreFile *f, char *error, size_t size)
{
        if (!f->alone || !has_changed(f))
                return 0;
        return store_file_error(error, size, "%s: somebody began to use it meanwhile; try again",
                                f->path);
}
