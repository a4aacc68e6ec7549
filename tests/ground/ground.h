/* SPDX-License-Identifier: MIT */
#pragma once

/* What the ground tests share: children that do nothing, and waits that end. */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_MS = 10000 };

/* Ends a forgotten child even if the test dies first. */
static inline void child_begin(void)
{
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(LIMIT_MS / 1000);
}

/* A child that waits for a signal. */
static inline pid_t start_sleeper(void)
{
        pid_t pid = fork();

        if (pid == 0) {
                child_begin();
                for (;;)
                        pause();
        }
        assert_true(pid > 0);
        return pid;
}

static inline int open_pidfd(pid_t pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);

        assert_true(fd >= 0);
        return fd;
}

/* Is fd readable, or closed by the other side, within so many milliseconds? */
static inline bool readable(int fd, int ms)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int r;

        do
                r = poll(&p, 1, ms);
        while (r < 0 && errno == EINTR);
        assert_true(r >= 0);
        return r == 1;
}

/* Waits for the byte by which the other side says how far it is. */
static inline char read_byte(int fd)
{
        char c = 0;

        assert_true(readable(fd, LIMIT_MS));
        assert_int_equal(read(fd, &c, 1), 1);
        return c;
}

static inline void kill_and_reap(pid_t pid)
{
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}
