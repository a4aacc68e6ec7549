/* SPDX-License-Identifier: MIT */
#pragma once

/* File descriptors: -1 is "none"; all that are made here are CLOEXEC. */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/clock.h"

enum {
        FD_PASS_MAX = 16,   /* what a program sends at a time */
        FD_PASS_MOST = 253, /* what the kernel passes at a time: SCM_MAX_FD of unix(7) */
};

/* Closes it, if it is one; returns -1, for `fd = fd_close(fd)`. errno stays. */
int fd_close(int fd);

/* The same for one that somebody else may have passed to us: its last close may wait for as long as
 * they like. A process that must not wait names who closes such ones; else it is fd_close(). */
int fd_close_foreign(int fd);
void fd_set_foreign_closer(void (*closer)(int fd));

/* Switches O_NONBLOCK and FD_CLOEXEC. Return 0 or -errno. */
int fd_nonblock(int fd, bool on);
int fd_cloexec(int fd, bool on);

/* Moves a descriptor to a number of at least `floor` (the old one is closed). Returns it or -errno.
 */
int fd_move_above(int fd, int floor);

/* A descriptor of a library's own: out of the way of 0, 1 and 2, which a program may have closed,
 * and what it prints then is not for us. Passes -errno on; without room it stays where it is. */
int fd_own(int fd);

/* Writes all of it, waiting where it must. Returns 0 or -errno. */
int fd_write_all(int fd, const void *bytes, size_t n);

/* Reads until n bytes are there or the other side has ended. Returns how many, or -errno. */
ssize_t fd_read_all(int fd, void *to, size_t n);

/* poll(2) up to a moment of clock_monotonic() (USEC_INFINITY: for ever), whatever signals come.
 * Returns how many are ready, 0 when it is that moment, or -errno. */
int fd_poll(struct pollfd *p, unsigned n, usec_t until);

/* One sendmsg() with n_fds descriptors (0 to FD_PASS_MOST) for the first byte; no SIGPIPE. Returns
 * the bytes sent or -errno. */
ssize_t fd_send(int socket, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags);

/* One recvmsg(). *n_fds is the room in fds (up to FD_PASS_MOST) and becomes how many came, CLOEXEC.
 * Returns the bytes, 0 at the end, or -errno; -EXFULL if there were more descriptors than room (all
 * of them are closed). */
ssize_t fd_receive(int socket, void *to, size_t n, int *fds, size_t *n_fds, int flags);

/* An anonymous file with these bytes, at its start. Returns a descriptor or -errno. */
int fd_from_bytes(const char *name, const void *bytes, size_t n);
