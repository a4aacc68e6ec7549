/* SPDX-License-Identifier: MIT */
#pragma once

/* The datagram socket of the service manager, $NOTIFY_SOCKET as in sd_notify(3).
 *
 * Not by sd_notify() itself: libsystemd 252 opens a blocking socket for each message, and a send to
 * a datagram socket whose reader does not read waits for as long as that lasts (unix(7),
 * net.unix.max_dgram_qlen). A service manager that hangs would make the loop hang with it. Here a
 * message that finds no room is not sent, and the caller is told. */

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct Notify {
        int fd; /* -1: there is nobody to tell */
        struct sockaddr_un address;
        socklen_t length;
} Notify;

#define NOTIFY_NONE                                                                                \
        {                                                                                          \
                .fd = -1                                                                           \
        }

/* `name` is a path, or, after an '@', a name of the abstract kind; NULL: nobody is told anything.
 * Returns 0 or -errno; -EINVAL: it is neither. */
int notify_open(Notify *n, const char *name);
void notify_close(Notify *n);

/* Sends one message. Returns 0, -EAGAIN where there is no room for it just now, or -errno. Never
 * waits. */
int notify_send(const Notify *n, const char *text);
