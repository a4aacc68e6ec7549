/* SPDX-License-Identifier: MIT */

#include "process/sentinel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/fd.h"

int sentinel_init(Sentinel *s)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        s->watch = ends[0];
        s->hold = ends[1];
        return 0;
}

void sentinel_fini(Sentinel *s)
{
        s->watch = fd_close(s->watch);
        s->hold = fd_close(s->hold);
}

bool sentinel_gone(int watch)
{
        struct pollfd p = { .fd = watch, .events = POLLIN };

        return poll(&p, 1, 0) > 0;
}
