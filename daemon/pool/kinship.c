/* SPDX-License-Identifier: MIT */

/* A pid may be somebody else's by the time that it is looked up; a pidfd stays whose it is. So
 * first the pid is asked of the pidfd: if that process ends after this, and its number is given to
 * another one, the pidfd is of no more use to anybody. */

#include "pool/kinship.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

enum { TEXT_SIZE = 1024 };

static bool read_text(const char *path, char to[TEXT_SIZE])
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, to, TEXT_SIZE - 1);

        to[n > 0 ? n : 0] = '\0';
        return n > 0;
}

/* -1: it is over; 0: that is no pidfd, or not of a process that we see. */
static pid_t pid_of(int pidfd)
{
        static const char key[] = "\nPid:";
        char path[64], text[TEXT_SIZE];
        const char *line;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        line = pidfd >= 0 && read_text(path, text) ? strstr(text, key) : NULL;
        return line ? (pid_t)strtol(line + sizeof(key) - 1, NULL, 10) : 0;
}

/* 0: it is not there any more. */
static pid_t parent_of(pid_t pid)
{
        char path[64], text[TEXT_SIZE];
        const char *rest;
        int parent;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        rest = read_text(path, text) ? strrchr(text, ')') : NULL; /* the name may hold anything */
        return rest && sscanf(rest + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

bool kinship_holds(int pidfd, pid_t pid, pid_t parent)
{
        pid_t own = pid_of(pidfd), found;

        if (own < 0)
                return true;
        found = own == pid ? parent_of(pid) : -1;
        return own != 0 && (found == parent || found == 0);
}
