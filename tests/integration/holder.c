/* SPDX-License-Identifier: MIT */

/* A module for test_inspect: `hold` opens one of each kind of descriptor, takes locks and memory,
 * reports progress when all is there, and keeps it until it is cancelled. */

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "brood/handler.h"

enum { HEAP = 8 * 1024 * 1024, SHARED = 4 * 1024 * 1024, DATA = 2 * 1024 * 1024 };

static char bss[DATA];

static int open_in(const char *directory, const char *name)
{
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
        return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* One by each kind of call, on three files. */
static int take_locks(const char *directory)
{
        struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5 };
        int whole = open_in(directory, "flock"), posix = open_in(directory, "posix");
        int description = open_in(directory, "ofd");

        if (write(posix, "0123456789", 10) != 10)
                return -1;
        return flock(whole, LOCK_SH) | fcntl(posix, F_SETLK, &range) |
               fcntl(description, F_OFD_SETLK, &range);
}

static int open_sockets(const char *directory)
{
        struct sockaddr_in here = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct sockaddr_un path = { .sun_family = AF_UNIX };
        int tcp = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);

        (void)snprintf(path.sun_path, sizeof(path.sun_path), "%s/listener", directory);
        return bind(tcp, (void *)&here, sizeof(here)) | listen(tcp, 1) |
               bind(local, (void *)&path, sizeof(path)) | listen(local, 1);
}

static int open_others(const char *directory)
{
        int ends[2];

        return pipe(ends) < 0 || open("/dev/zero", O_RDONLY) < 0 ||
               open(directory, O_RDONLY | O_DIRECTORY) < 0 || eventfd(0, EFD_CLOEXEC) < 0 ||
               epoll_create1(EPOLL_CLOEXEC) < 0 || memfd_create("held", MFD_CLOEXEC) < 0 ||
               timerfd_create(CLOCK_MONOTONIC, 0) < 0 ||
               syscall(SYS_pidfd_open, getpid(), 0) < 0;
}

static int take_memory(void)
{
        void *heap = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        void *shared = mmap(NULL, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0);

        if (heap == MAP_FAILED || shared == MAP_FAILED)
                return -1;
        memset(heap, 1, HEAP);
        memset(shared, 1, SHARED);
        memset(bss, 1, sizeof(bss));
        return 0;
}

static int hold(BroodJob *job)
{
        const char *directory =
                json_string_value(json_object_get(brood_job_args(job), "directory"));
        struct pollfd p = { .fd = brood_job_cancel_fd(job), .events = POLLIN };

        if (!directory || take_locks(directory) || open_sockets(directory) ||
            open_others(directory) || take_memory())
                return brood_job_fail(job, 0, NULL, "something can not be held");
        (void)brood_job_progress(job, 0.5);
        while (!brood_job_cancelled(job))
                (void)poll(&p, 1, -1);
        return brood_job_fail(job, 0, NULL, "let go");
}

static const BroodHandler handlers[] = { { .name = "hold", .run = hold }, { 0 } };

__attribute__((visibility("default"))) const BroodModule brood_module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .name = "holder",
        .handlers = handlers,
};
