/* SPDX-License-Identifier: MIT */

#include "resident.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

long resident_bytes(int fd)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);
        char path[64];
        long pages;
        FILE *f;
        int n;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)peer.pid);
        f = fopen(path, "re");
        if (!f)
                return -errno;
        n = fscanf(f, "%*d %ld", &pages);
        (void)fclose(f);
        return n == 1 ? pages * sysconf(_SC_PAGESIZE) : -EIO;
}
