/* SPDX-License-Identifier: MIT */

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"

int fd_close(int fd)
{
        int saved = errno;

        if (fd >= 0)
                (void)close(fd); /* EINTR closes too, and nothing else can be done about EIO here */
        errno = saved;
        return -1;
}

static void (*foreign_closer)(int fd);

void fd_set_foreign_closer(void (*closer)(int fd))
{
        foreign_closer = closer;
}

int fd_close_foreign(int fd)
{
        int saved = errno;

        if (fd < 0 || !foreign_closer)
                return fd_close(fd);
        foreign_closer(fd);
        errno = saved;
        return -1;
}

int fd_nonblock(int fd, bool on)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;
        flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int fd_cloexec(int fd, bool on)
{
        return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

int fd_move_above(int fd, int floor)
{
        int moved;

        if (fd >= floor)
                return fd;
        moved = fcntl(fd, F_DUPFD_CLOEXEC, floor);
        if (moved < 0)
                return -errno;
        fd_close(fd);
        return moved;
}

int fd_own(int fd)
{
        int moved = fd < 0 ? fd : fd_move_above(fd, STDERR_FILENO + 1);

        return moved < 0 ? fd : moved;
}

int fd_poll(struct pollfd *p, unsigned n, usec_t until)
{
        for (;;) {
                usec_t now = until == USEC_INFINITY ? 0 : clock_monotonic();
                struct timespec left = clock_timespec(until > now ? until - now : 0);
                int found = ppoll(p, n, until == USEC_INFINITY ? NULL : &left, NULL);

                if (found >= 0)
                        return found;
                if (errno != EINTR)
                        return -errno;
        }
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
        const char *p = bytes;

        while (n) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

ssize_t fd_read_all(int fd, void *to, size_t n)
{
        size_t have = 0;

        while (have < n) {
                ssize_t k = read(fd, (char *)to + have, n - have);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                have += (size_t)k;
        }
        return (ssize_t)have;
}

ssize_t fd_send(int socket, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags)
{
        union {
                char bytes[CMSG_SPACE(FD_PASS_MOST * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { (void *)bytes, n };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t k;

        ASSERT(n_fds <= FD_PASS_MOST);
        if (n_fds) {
                struct cmsghdr *c;

                memset(&control, 0, CMSG_SPACE(n_fds * sizeof(int)));
                m.msg_control = control.bytes;
                m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
        }
        do
                k = sendmsg(socket, &m, flags | MSG_NOSIGNAL);
        while (k < 0 && errno == EINTR);
        return k < 0 ? -errno : k;
}

/* Takes the descriptors of one control message; those without room are closed. */
static bool take_fds(struct cmsghdr *c, int *fds, size_t room, size_t *have)
{
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        bool fits = true;

        for (size_t i = 0; i < n; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                if (*have < room) {
                        fds[(*have)++] = fd;
                } else {
                        fd_close_foreign(fd);
                        fits = false;
                }
        }
        return fits;
}

ssize_t fd_receive(int socket, void *to, size_t n, int *fds, size_t *n_fds, int flags)
{
        union {
                char bytes[CMSG_SPACE(FD_PASS_MOST * sizeof(int))]; /* what does not fit the kernel
                                                                     closes, and we would wait */
                struct cmsghdr align;
        } control;
        struct iovec iov = { to, n };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes) };
        size_t room = *n_fds, have = 0;
        bool fits = true;
        ssize_t k;

        do
                k = recvmsg(socket, &m, flags | MSG_CMSG_CLOEXEC);
        while (k < 0 && errno == EINTR);
        if (k < 0)
                return -errno;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                        fits &= take_fds(c, fds, room, &have);
        if (m.msg_flags & MSG_CTRUNC)
                fits = false;
        if (!fits) {
                while (have)
                        fd_close_foreign(fds[--have]);
                *n_fds = 0;
                return -EXFULL;
        }
        *n_fds = have;
        return k;
}

int fd_from_bytes(const char *name, const void *bytes, size_t n)
{
        AUTO(fd_close) int fd = memfd_create(name, MFD_CLOEXEC);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, bytes, n);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return MOVE_FD(fd);
}
