/* SPDX-License-Identifier: MIT */

#include "ops/notify.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

int notify_open(Notify *n, const char *name)
{
        size_t length = name ? strlen(name) : 0;

        *n = (Notify)NOTIFY_NONE;
        if (!length)
                return 0;
        if ((name[0] != '/' && name[0] != '@') || length < 2 ||
            length >= sizeof(n->address.sun_path))
                return -EINVAL;
        n->address.sun_family = AF_UNIX;
        memcpy(n->address.sun_path, name, length);
        n->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
        if (name[0] == '@')
                n->address.sun_path[0] = '\0';
        else
                n->length++; /* with its terminator */
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return n->fd < 0 ? -errno : 0;
}

void notify_close(Notify *n)
{
        n->fd = fd_close(n->fd);
}

int notify_send(const Notify *n, const char *text)
{
        ssize_t sent;

        if (n->fd < 0)
                return 0;
        do
                sent = sendto(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                              (const struct sockaddr *)&n->address, n->length);
        while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : 0;
}
