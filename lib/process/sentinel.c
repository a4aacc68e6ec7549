/* SPDX-License-Identifier: MIT */

#include "process/sentinel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

int sentinel_init(Sentinel *s)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        s->watch = fd_own(ends[0]);
        s->hold = fd_own(ends[1]);
        return 0;
}

void sentinel_fini(Sentinel *s)
{
        s->watch = fd_close(s->watch);
        s->hold = fd_close(s->hold);
}

/* The kernel tells the owner of an O_ASYNC description when the last write end closes; the flag and
 * the owner belong to the description, which forks share: hence one of our own. */
int sentinel_arm(int watch)
{
        AUTO(fd_close) int own = -1;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", watch);
        own = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (own < 0 || fcntl(own, F_SETOWN, getpid()) < 0 ||
            fcntl(own, F_SETSIG, SIGKILL) < 0 ||
            fcntl(own, F_SETFL, O_ASYNC | O_NONBLOCK) < 0 || dup3(own, watch, O_CLOEXEC) < 0)
                return -errno;
        return 0;
}

bool sentinel_gone(int watch)
{
        struct pollfd p = { .fd = watch, .events = POLLIN };

        return poll(&p, 1, 0) > 0;
}
