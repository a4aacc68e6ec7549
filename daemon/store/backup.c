/* SPDX-License-Identifier: MIT */

/* The copy is made by SQLite's backup (https://sqlite.org/backup.html) out of one read transaction
 * and without a pause, so no writer can make it begin again. Its journal mode is turned to DELETE:
 * of a database in WAL mode a part may always be in another file.
 *
 * Journal and syncs of the copy are off while it grows: until it has its name it is nothing, and
 * then one fsync() covers it. */

#include "store/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "store/schema.h"
#include "store/tools_file.h"

typedef struct Backup {
        StoreFile from;
        const char *to;
        char *part; /* where it grows; NULL: nowhere yet */
        int part_fd;
        sqlite3 *db; /* the copy */
        char *error;
        size_t error_size;
} Backup;

static int failed(const Backup *b, const char *why)
{
        return store_file_error(b->error, b->error_size, "%s: %s", b->to, why);
}

/* Says it in the words of the system, where it knows them. */
static int judge(const Backup *b, int r)
{
        int e = r == SQLITE_FULL ? ENOSPC : r == SQLITE_IOERR ? sqlite3_system_errno(b->db) : 0;

        return failed(b, e ? strerror(e) : sqlite3_errstr(r));
}

/* --- the part --- */

static void remove_part(const Backup *b)
{
        static const char *const suffixes[] = { "", "-journal", "-wal", "-shm" };

        for (size_t i = 0; i < ELEMENTS(suffixes); i++) {
                AUTO(free) char *path = NULL;

                if (asprintf(&path, "%s%s", b->part, suffixes[i]) < 0)
                        path = NULL;
                else
                        (void)unlink(path); /* most of them never existed */
        }
}

static void backup_fini(Backup *b)
{
        (void)sqlite3_close(b->db); /* every statement is over */
        fd_close(b->part_fd);
        if (b->part)
                remove_part(b);
        free(b->part);
        store_file_fini(&b->from);
}
DEFINE_FINI(Backup, backup_fini);

static int make_part(Backup *b)
{
        AUTO(free) char *path = NULL;

        /* "./" keeps SQLite from taking a file named "file:…" for a URI */
        if (asprintf(&path, "%s%s.part-XXXXXX", *b->to == '/' ? "" : "./", b->to) < 0) {
                path = NULL;
                return failed(b, strerror(ENOMEM));
        }
        b->part_fd = mkostemp(path, O_CLOEXEC); /* 0600, and new */
        if (b->part_fd < 0)
                return failed(b, strerror(errno));
        b->part = MOVE_PTR(path);
        return 0;
}

/* --- the copy --- */

static int copy_pages(Backup *b)
{
        sqlite3_backup *copy = sqlite3_backup_init(b->db, "main", b->from.db, "main");
        int r, finished;

        if (!copy)
                return sqlite3_errcode(b->db);
        r = sqlite3_backup_step(copy, -1);
        finished = sqlite3_backup_finish(copy);
        return r == SQLITE_DONE ? finished : r;
}

static int copy(Backup *b)
{
        sqlite3_int64 application = 0;
        int r = sqlite3_open_v2(b->part, &b->db, SQLITE_OPEN_READWRITE, NULL);

        if (r == SQLITE_OK) /* EXCLUSIVE: the WAL mode that it comes with needs no -shm then */
                r = sqlite3_exec(b->db,
                                 "PRAGMA locking_mode=EXCLUSIVE;"
                                 "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF",
                                 NULL, NULL, NULL);
        if (r == SQLITE_OK)
                r = copy_pages(b);
        if (r == SQLITE_OK)
                r = sqlite3_exec(b->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
        if (r == SQLITE_OK)
                r = store_file_number(b->db, "PRAGMA application_id", &application);
        if (r != SQLITE_OK)
                return judge(b, r);
        return application == STORE_APPLICATION_ID ? 0 : failed(b, "is no copy of the store");
}

/* --- its name --- */

/* A rename that replaces nothing; a link where the file system can not do that. */
static int rename_new(const char *from, const char *to)
{
        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        if (link(from, to) < 0)
                return -errno;
        (void)unlink(from); /* else it has two names; the file is good */
        return 0;
}

static int sync_directory(const char *path)
{
        AUTO(free) char *directory = strdup(path);
        AUTO(fd_close) int fd = -1;
        char *slash = directory ? strrchr(directory, '/') : NULL;

        if (!directory)
                return -ENOMEM;
        ASSERT(slash);
        slash[1] = '\0';
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int publish(Backup *b)
{
        int r;

        (void)sqlite3_close(MOVE_PTR(b->db)); /* has nothing more to write */
        r = fsync(b->part_fd) < 0 ? -errno : rename_new(b->part, b->to);
        if (r < 0)
                return failed(b, strerror(-r));
        r = sync_directory(b->part);
        if (r < 0) {
                (void)unlink(b->to);
                return failed(b, strerror(-r));
        }
        free(b->part);
        b->part = NULL;
        return 0;
}

int store_backup(const char *path, const char *to, char *error, size_t error_size)
{
        AUTO(backup_fini) Backup b = { .from = STORE_FILE_INIT, .to = to, .part_fd = -1,
                                       .error = error, .error_size = error_size };

        if (store_file_init(&b.from, path, error, error_size))
                return -1;
        if (faccessat(AT_FDCWD, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return failed(&b, strerror(EEXIST));
        if (make_part(&b) < 0 || copy(&b) < 0 ||
            store_file_confirm(&b.from, error, error_size) < 0)
                return -1;
        return publish(&b);
}
