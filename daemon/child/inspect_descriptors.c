/* SPDX-License-Identifier: MIT */

/* /proc/PID/fd says what each descriptor is open on, and /proc/PID/fdinfo how, and which locks hang
 * at it. */

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "child/inspect.h"

/* A report stays below what the supervisor takes (pool/inspector.c), whatever names a job has made.
 */
enum { MOST_LISTED = 256, MOST_LOCKS = 64, MOST_NAME = 400, MOST_COUNTED = 65536 };

#define DESCRIPTORS "descriptors"

DEFINE_CLEANUP(DIR, closedir);
DEFINE_CLEANUP(Sockets, sockets_free);

/* What a link says of itself. */
static const struct {
        const char *begins, *kind;
} links[] = {
        { "socket:[", "socket" },
        { "pipe:[", "pipe" },
        { "/memfd:", "memfd" },
        { "anon_inode:[eventfd]", "eventfd" },
        { "anon_inode:[eventpoll]", "epoll" },
        { "anon_inode:[pidfd]", "pidfd" },
        { "pidfd:[", "pidfd" },
        { "anon_inode:", "other" },
};

/* One that has a path. A look at it may wait for a file server. */
static const char *kind_of_file(Target *t, const char *link)
{
        struct stat st;

        if (fstatat(t->proc, link, &st, 0) < 0)
                return "file";
        if (S_ISDIR(st.st_mode))
                return "directory";
        if (S_ISFIFO(st.st_mode))
                return "pipe";
        if (S_ISSOCK(st.st_mode))
                return "socket";
        return S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? "device" : "file";
}

static const char *kind_of(Target *t, const char *link, const char *target)
{
        for (size_t i = 0; i < ELEMENTS(links); i++)
                if (strncmp(target, links[i].begins, strlen(links[i].begins)) == 0)
                        return links[i].kind;
        return kind_of_file(t, link);
}

/* --- how it is open --- */

static const struct {
        unsigned long flag;
        const char *name;
} flags[] = {
        { O_APPEND, "append" }, { O_NONBLOCK, "nonblock" }, { O_CLOEXEC, "cloexec" },
        { O_DIRECT, "direct" }, { O_DSYNC, "dsync" },       { O_PATH, "path" },
};

static json_t *flag_words(unsigned long bits)
{
        static const char *const modes[] = { "read", "write", "read write", "?" };
        json_t *list = json_array();

        (void)json_array_append_new(list, json_string(modes[bits & O_ACCMODE]));
        for (size_t i = 0; i < ELEMENTS(flags); i++)
                if (bits & flags[i].flag)
                        (void)json_array_append_new(list, json_string(flags[i].name));
        return list;
}

static bool is_same(const json_t *a, const json_t *b)
{
        static const char *const keys[] = { "type", "access", "taken_by", "file", "start", "end" };

        for (size_t i = 0; i < ELEMENTS(keys); i++)
                if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
                        return false;
        return true;
}

/* The same lock may be told at each descriptor of its file. */
static bool is_listed(const json_t *locks, const json_t *lock)
{
        json_t *one;
        size_t i;

        json_array_foreach(locks, i, one) if (is_same(one, lock)) return true;
        return false;
}

static void take_locks(const char *info, int fd, const char *target, json_t *locks)
{
        for (const char *line = info; line; line = line_next(line)) {
                json_t *lock = strncmp(line, "lock:", 5) == 0 ? inspect_lock(line + 5, 0) : NULL;

                if (!lock || is_listed(locks, lock) || json_array_size(locks) >= MOST_LOCKS) {
                        json_decref(lock);
                        continue;
                }
                json_put(lock, "fd", json_integer(fd));
                json_put(lock, "path", json_of_bytes(target, strnlen(target, MOST_NAME)));
                (void)json_array_append_new(locks, lock);
        }
}

static void put_info(Target *t, int fd, const char *target, json_t *o, json_t *locks)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        const char *position, *bits;
        char path[32];

        (void)snprintf(path, sizeof(path), "fdinfo/%d", fd);
        if (target_read(t, path, DESCRIPTORS, &b) < 0)
                return;
        position = line_after(buffer_bytes(&b), "pos");
        bits = line_after(buffer_bytes(&b), "flags");
        if (position)
                json_put(o, "position", json_integer(strtoll(position, NULL, 10)));
        if (bits)
                json_put(o, "flags", flag_words(strtoul(bits, NULL, 8)));
        take_locks(buffer_bytes(&b), fd, target, locks);
}

/* --- all of them --- */

static int by_number(const void *a, const void *b)
{
        int x = *(const int *)a, y = *(const int *)b;

        return (x > y) - (x < y);
}

/* The numbers, lowest first, to be freed. */
static int *read_numbers(DIR *directory, size_t *ret_n)
{
        int *numbers = calloc(MOST_COUNTED, sizeof(*numbers));
        const struct dirent *e;
        size_t n = 0;

        while (numbers && n < MOST_COUNTED && (e = readdir(directory)))
                if (isdigit((unsigned char)e->d_name[0]))
                        numbers[n++] = (int)strtol(e->d_name, NULL, 10);
        if (numbers)
                qsort(numbers, n, sizeof(*numbers), by_number);
        *ret_n = n;
        return numbers;
}

static void count(json_t *counts, const char *kind)
{
        json_int_t n = json_integer_value(json_object_get(counts, kind));

        json_put(counts, kind, json_integer(n + 1));
}

/* One descriptor: it may be closed while we look. */
static void take(Target *t, int fd, const Sockets *sockets, json_t *counts, json_t *list,
                 json_t *locks)
{
        char link[32];
        AUTO(free) char *target = NULL;
        const char *kind;
        json_t *o;

        (void)snprintf(link, sizeof(link), "fd/%d", fd);
        target = target_link(t, link, DESCRIPTORS);
        if (!target)
                return;
        kind = kind_of(t, link, target);
        count(counts, kind);
        if (json_array_size(list) >= MOST_LISTED)
                return;
        o = json_pack("{s:i,s:s}", "fd", fd, "kind", kind);
        json_put(o, "target", json_of_bytes(target, strnlen(target, MOST_NAME)));
        put_info(t, fd, target, o, locks);
        if (strncmp(target, "socket:[", 8) == 0)
                sockets_describe(sockets, strtoul(target + 8, NULL, 10), o);
        (void)json_array_append_new(list, o);
}

json_t *inspect_descriptors(Target *t, json_t *locks)
{
        AUTO(closedir) DIR *directory = NULL;
        AUTO(sockets_free) Sockets *sockets = NULL;
        int fd = target_open(t, "fd", DESCRIPTORS);
        json_t *counts, *list;
        AUTO(free) int *numbers = NULL;
        size_t n;

        directory = fd < 0 ? NULL : fdopendir(fd);
        if (!directory) {
                fd_close(fd);
                return NULL;
        }
        sockets = sockets_read(t);
        numbers = read_numbers(directory, &n);
        counts = json_object();
        list = json_array();
        for (size_t i = 0; numbers && i < n; i++)
                take(t, numbers[i], sockets, counts, list, locks);
        return json_pack("{s:I,s:I,s:o,s:o}", "total", (json_int_t)n, "left_out",
                         (json_int_t)(n - MIN(n, json_array_size(list))), "kinds", counts, "list",
                         list);
}
