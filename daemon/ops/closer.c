/* SPDX-License-Identifier: MIT */

/* Any number of closes may hang, those of MOST_THREADS at a time. What then waits in the pipe, and
 * what does not even fit into it, stays open: that costs descriptors, which are many. */

#include "ops/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/fd.h"

enum { MOST_THREADS = 64, STACK_SIZE = 256 * 1024 };

static int ends[2] = { -1, -1 };
static atomic_int pending; /* taken and not closed yet */
static int threads;        /* of the loop alone */

static void *close_them(void *context)
{
        int fd;

        while (read(ends[0], &fd, sizeof(fd)) == sizeof(fd) || errno == EINTR) {
                fd_close(fd);
                atomic_fetch_sub(&pending, 1);
        }
        return context;
}

/* Signals are the loop's. */
static void add_thread(void)
{
        sigset_t all, before;
        pthread_attr_t how;
        pthread_t thread;

        sigfillset(&all);
        (void)pthread_attr_init(&how);
        (void)pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&how, STACK_SIZE);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        threads += pthread_create(&thread, &how, close_them, NULL) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&how);
}

static void take(int fd)
{
        if (write(ends[1], &fd, sizeof(fd)) != sizeof(fd))
                return;
        if (atomic_fetch_add(&pending, 1) >= threads && threads < MOST_THREADS)
                add_thread();
}

int closer_start(void)
{
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        fd_set_foreign_closer(take);
        return fd_nonblock(ends[1], true);
}
