/* SPDX-License-Identifier: MIT */

#include "process/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

void proc_figures(pid_t pid, ProcFigures *ret)
{
        unsigned long user = 0, system = 0, ticks = (unsigned long)sysconf(_SC_CLK_TCK);
        long pages = 0;
        char path[64], text[1024];
        const char *rest;
        ssize_t n;
        int fd;

        *ret = (ProcFigures){ 0 };
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        fd_close(fd);
        if (n <= 0)
                return;
        text[n] = '\0';
        rest = strrchr(text, ')'); /* the name may hold anything; fields 3 and on follow */
        if (!rest ||
            sscanf(rest + 2,
                   "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d "
                   "%*d %*u %*u %ld",
                   &user, &system, &pages) != 3)
                return;
        ret->cpu_usec = (user + system) * (1000000 / ticks);
        ret->memory_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
