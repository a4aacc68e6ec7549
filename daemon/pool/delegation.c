/* SPDX-License-Identifier: MIT */

/* To take a cgroup that is not ours would be to move and kill other people's processes, so that it
 * is ours has to be said by somebody who may say so, and has to look like it:
 *
 *  - The service manager marks what it delegates with an extended attribute of the directory,
 *    user.delegate or trusted.delegate, that is "1" (systemd 251 and later; of a user's manager, no
 *    sign but the next is left). Or it belongs to the user that we are, who is not root: to give
 *    the directory away is what the kernel calls delegation. Root owns every cgroup, so that for
 *    root, owning one says nothing.
 *  - We may write in it, and it is not the root of the whole hierarchy.
 *  - Nobody but us lives directly in it, nor in the leaf that is to be ours.
 *
 * That there is a NOTIFY_SOCKET, or an INVOCATION_ID, proves nothing: both are inherited by what a
 * service starts. A daemon that is started in the leaf `supervisor` (DelegateSubgroup=, or one that
 * executes itself anew) has the group above. */

#include "pool/delegation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"

PRINTF(3, 4) static int refuse(char *why, size_t size, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(why, size, format, args);
        va_end(args);
        return -1;
}

/* A file of /proc as a string. */
static int read_file(const char *path, Buffer *to)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char bytes[4096];
        ssize_t n;

        if (fd < 0)
                return -errno;
        while ((n = read(fd, bytes, sizeof(bytes))) > 0)
                buffer_append(to, bytes, (size_t)n);
        buffer_append_char(to, '\0');
        return n < 0 ? -errno : to->failed ? -ENOMEM : 0;
}

static int find_own(char to[CGROUP_PATH])
{
        AUTO(buffer_fini) Buffer self = BUFFER_INIT, mounts = BUFFER_INIT;
        int r = read_file("/proc/self/cgroup", &self);

        if (r == 0)
                r = read_file("/proc/self/mountinfo", &mounts);
        return r < 0 ? r : cgroup_find(buffer_bytes(&self), buffer_bytes(&mounts), to, CGROUP_PATH);
}

static bool marked(int group)
{
        static const char *const names[] = { "user.delegate", "trusted.delegate" };
        char value[4];

        for (size_t i = 0; i < ELEMENTS(names); i++)
                if (fgetxattr(group, names[i], value, sizeof(value)) == 1 && value[0] == '1')
                        return true;
        return false;
}

static bool given_to_us(int group)
{
        struct stat st;

        return geteuid() != 0 && fstat(group, &st) == 0 && st.st_uid == geteuid();
}

static bool writable(int group)
{
        static const char *const names[] = { ".", "cgroup.procs", "cgroup.subtree_control" };

        for (size_t i = 0; i < ELEMENTS(names); i++)
                if (faccessat(group, names[i], W_OK, AT_EACCESS) < 0)
                        return false;
        return true;
}

/* Does somebody else live directly in it? A plain directory has no processes. */
static bool shared(int group, const char *path, char *why, size_t size)
{
        pid_t pid = faccessat(group, "cgroup.events", F_OK, 0) < 0 ? 0
                                                                   : cgroup_other_process(group);

        if (pid > 0)
                (void)refuse(why, size, "process %d is in %s too", (int)pid, path);
        else if (pid < 0)
                (void)refuse(why, size, "who is in %s can not be told", path);
        return pid != 0;
}

static bool supervisor_is_taken(int group, const char *path, char *why, size_t size)
{
        AUTO(fd_close) int leaf = cgroup_open(group, DELEGATION_SUPERVISOR);
        char name[CGROUP_PATH + 32];

        (void)snprintf(name, sizeof(name), "%s/%s", path, DELEGATION_SUPERVISOR);
        return leaf >= 0 && shared(leaf, name, why, size);
}

/* From the leaf that is named as ours to the group above, if that one is delegated. */
static void step_up(Delegation *d)
{
        char *slash = strrchr(d->path, '/');
        int above;

        if (!slash || slash == d->path || strcmp(slash + 1, DELEGATION_SUPERVISOR) != 0 ||
            marked(d->group))
                return;
        above = cgroup_open(d->group, "..");
        if (above < 0 || !(marked(above) || given_to_us(above))) {
                fd_close(above);
                return;
        }
        fd_close(d->group);
        d->group = above;
        *slash = '\0';
}

static int judge(Delegation *d, char *why, size_t size)
{
        d->whole = marked(d->group);
        if (faccessat(d->group, "cgroup.events", F_OK, 0) < 0)
                return refuse(why, size, "%s is the root of all cgroups", d->path);
        if (!d->whole && !given_to_us(d->group))
                return refuse(why, size, "%s is not marked as delegated (Delegate=yes)", d->path);
        if (!writable(d->group))
                return refuse(why, size, "%s can not be written", d->path);
        if (faccessat(d->group, "cgroup.kill", F_OK, 0) < 0)
                return refuse(why, size, "this kernel has no cgroup.kill (Linux 5.14 has)");
        if (shared(d->group, d->path, why, size) ||
            supervisor_is_taken(d->group, d->path, why, size))
                return -1;
        return 0;
}

/* For tests: a directory that is taken as delegated, whatever it is. */
static int take_given(Delegation *d, const char *path, char *why, size_t size)
{
        d->whole = true;
        (void)snprintf(d->path, sizeof(d->path), "%s", path);
        d->group = cgroup_open(AT_FDCWD, path);
        if (d->group < 0)
                return refuse(why, size, "BROOD_CGROUP_ROOT=%s: %s", path, strerror(-d->group));
        return supervisor_is_taken(d->group, d->path, why, size) ? -1 : 0;
}

static int find(Delegation *d, char *why, size_t size)
{
        const char *given = secure_getenv("BROOD_CGROUP_ROOT");
        int r;

        if (given)
                return take_given(d, given, why, size);
        r = find_own(d->path);
        if (r == -ENOENT)
                return refuse(why, size, "there are no cgroups of version 2 here");
        if (r == 0) {
                d->group = cgroup_open(AT_FDCWD, d->path);
                r = MIN(d->group, 0);
        }
        if (r < 0)
                return refuse(why, size, "our own can not be found: %s", strerror(-r));
        step_up(d);
        return judge(d, why, size);
}

int delegation_find(Delegation *ret, char *why, size_t size)
{
        Delegation d = { .group = -1 };
        int r = find(&d, why, size);

        if (r < 0)
                fd_close(d.group);
        else
                *ret = d;
        return r;
}
