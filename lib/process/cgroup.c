/* SPDX-License-Identifier: MIT */

/* Files are opened with O_CREAT: in a cgroup that makes nothing (there it is -EACCES), but a plain
 * directory can stand in for one, and then shows what was written. */

#include "process/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"

enum { DEEPEST = 16, FILE_SIZE = 4096 };

DEFINE_CLEANUP(DIR, closedir);

int cgroup_open(int parent, const char *name)
{
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fd;
}

int cgroup_make(int parent, const char *name)
{
        /* Whatever our umask: a worker of another user opens files in it. */
        if (mkdirat(parent, name, 0755) == 0)
                (void)fchmodat(parent, name, 0755, 0);
        else if (errno != EEXIST)
                return -errno;
        return cgroup_open(parent, name);
}

int cgroup_share_procs(int group, gid_t gid)
{
        static const char file[] = "cgroup.procs";

        if (fchownat(group, file, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
            fchmodat(group, file, 0664, 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        return 0;
}

int cgroup_share(int group, gid_t gid)
{
        static const char *const files[] = { "cgroup.procs", "cgroup.threads",
                                             "cgroup.subtree_control" };

        for (size_t i = 0; i < ELEMENTS(files); i++)
                if ((fchownat(group, files[i], (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
                     fchmodat(group, files[i], 0664, 0) < 0) &&
                    errno != ENOENT)
                        return -errno;
        return fchown(group, (uid_t)-1, gid) < 0 || fchmod(group, 0775) < 0 ? -errno : 0;
}

/* --- files --- */

static int open_to_write(int group, const char *file)
{
        int fd = openat(group, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

        return fd < 0 ? -errno : fd;
}

int cgroup_open_procs(int group)
{
        return open_to_write(group, "cgroup.procs");
}

int cgroup_enter(int procs)
{
        return write(procs, "0", 1) < 0 ? -errno : 0;
}

int cgroup_write(int group, const char *file, const char *text)
{
        AUTO(fd_close) int fd = open_to_write(group, file);

        if (fd < 0)
                return fd;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The beginning of a file as a string. */
static int read_text(int group, const char *file, char to[FILE_SIZE])
{
        AUTO(fd_close) int fd = openat(group, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, to, FILE_SIZE - 1);
        if (n < 0)
                return -errno;
        to[n] = '\0';
        return 0;
}

int cgroup_read(int group, const char *file, const char *key, uint64_t *ret)
{
        char text[FILE_SIZE], *line = text, *end;
        size_t n = key ? strlen(key) : 0;
        uint64_t found;
        int r = read_text(group, file, text);

        if (r < 0)
                return r;
        while (key && !(strncmp(line, key, n) == 0 && line[n] == ' ')) {
                line = strchr(line, '\n');
                if (!line)
                        return -ENODATA;
                line++;
        }
        line += key ? n + 1 : 0;
        if (*line < '0' || *line > '9')
                return -ENODATA; /* "max" */
        errno = 0;
        found = strtoull(line, &end, 10);
        if (errno || (*end && *end != '\n'))
                return -ENODATA;
        *ret = found;
        return 0;
}

bool cgroup_lists(int group, const char *file, const char *word)
{
        char text[FILE_SIZE], *rest = text, *one;

        if (read_text(group, file, text) < 0)
                return false;
        while ((one = strsep(&rest, " \n")))
                if (strcmp(one, word) == 0)
                        return true;
        return false;
}

bool cgroup_populated(int group)
{
        uint64_t n;

        return cgroup_read(group, "cgroup.events", "populated", &n) == 0 && n;
}

pid_t cgroup_other_process(int group)
{
        char text[FILE_SIZE], *at = text;
        int r = read_text(group, "cgroup.procs", text);

        if (r < 0)
                return r;
        while (*at) {
                pid_t pid = (pid_t)strtol(at, &at, 10);

                if (pid != getpid())
                        return pid > 0 ? pid : -ESRCH;
                at += *at == '\n';
        }
        return 0;
}

/* --- the end --- */

int cgroup_kill(int group)
{
        return cgroup_write(group, "cgroup.kill", "1");
}

static int remove_one(int parent, const char *name, int depth);

static int remove_below(int group, int depth)
{
        AUTO(closedir) DIR *directory = NULL;
        int fd = dup(group), r = 0;
        struct dirent *e;

        directory = fd < 0 ? NULL : fdopendir(fd);
        if (!directory) {
                r = -errno;
                fd_close(fd);
                return r;
        }
        rewinddir(directory);
        while ((e = readdir(directory)))
                if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 &&
                    strcmp(e->d_name, "..") != 0) {
                        int one = remove_one(group, e->d_name, depth + 1);

                        r = one < 0 ? one : r;
                }
        return r;
}

/* Most have nothing below them: first without looking. */
static int remove_one(int parent, const char *name, int depth)
{
        AUTO(fd_close) int group = -1;
        int r;

        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return 0;
        if ((errno != EBUSY && errno != ENOTEMPTY) || depth == DEEPEST)
                return -errno;
        group = cgroup_open(parent, name);
        if (group < 0)
                return group == -ENOENT ? 0 : group;
        r = remove_below(group, depth);
        if (r < 0)
                return r;
        return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int cgroup_remove(int parent, const char *name)
{
        return remove_one(parent, name, 0);
}

int cgroup_end(int parent, const char *name, int patience)
{
        AUTO(fd_close) int group = cgroup_open(parent, name);
        int r;

        if (group < 0)
                return group == -ENOENT ? 0 : group;
        for (int waited = 0;; waited++) {
                (void)cgroup_kill(group); /* what cannot be killed is not removed either */
                r = cgroup_remove(parent, name);
                if (r != -EBUSY || waited >= patience)
                        return r;
                (void)poll(NULL, 0, 1);
        }
}

/* --- where we are --- */

/* \040 for a blank, and so on. */
static void unescape(char *text)
{
        char *to = text;

        for (const char *from = text; *from; to++)
                if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
                        *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
                        from += 4;
                } else {
                        *to = *from++;
                }
        *to = '\0';
}

/* What is behind "0::" in /proc/PID/cgroup; -1: nothing. */
static int own_path(const char *self, char to[CGROUP_PATH])
{
        while (self && strncmp(self, "0::/", 4) != 0) {
                self = strchr(self, '\n');
                self += self != NULL;
        }
        if (!self)
                return -ENOENT;
        if (strcspn(self + 3, "\n") >= CGROUP_PATH)
                return -ENAMETOOLONG;
        (void)snprintf(to, CGROUP_PATH, "%.*s", (int)strcspn(self + 3, "\n"), self + 3);
        return 0;
}

/* One line of mountinfo, see proc(5): the fourth field is what of the hierarchy is mounted, the
 * fifth where; behind " - " stands the type. */
static bool read_mount(const char *line, char root[CGROUP_PATH], char point[CGROUP_PATH])
{
        char copy[2 * CGROUP_PATH + 512], *type;

        (void)snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "\n"), line);
        type = strstr(copy, " - ");
        if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0 ||
            sscanf(copy, "%*s %*s %*s %4095s %4095s", root, point) != 2)
                return false;
        unescape(root);
        unescape(point);
        return true;
}

/* The rest of a path below another; NULL: it is elsewhere. */
static const char *below(const char *path, const char *top)
{
        size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);

        return strncmp(path, top, n) == 0 && (path[n] == '/' || !path[n]) ? path + n : NULL;
}

int cgroup_find(const char *self, const char *mounts, char *to, size_t size)
{
        char own[CGROUP_PATH], root[CGROUP_PATH], point[CGROUP_PATH];
        int r = own_path(self, own);

        while (r == 0 && mounts && *mounts) {
                const char *rest = read_mount(mounts, root, point) ? below(own, root) : NULL;

                if (rest) {
                        rest = strcmp(rest, "/") == 0 ? "" : rest;
                        return (size_t)snprintf(to, size, "%s%s", point, rest) < size
                                       ? 0
                                       : -ENAMETOOLONG;
                }
                mounts = strchr(mounts, '\n');
                mounts += mounts != NULL;
        }
        return r < 0 ? r : -ENOENT;
}
