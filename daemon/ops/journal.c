/* SPDX-License-Identifier: MIT */

#include "ops/journal.h"

#include <endian.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/macros.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* How much may wait in journald's queue; what the kernel grants of it will do. */
enum { SEND_BUFFER = 8 * 1024 * 1024 };

static void append(JournalEntry *e, const void *bytes, size_t n)
{
        ASSERT(n <= sizeof(e->bytes) - e->n);
        memcpy(e->bytes + e->n, bytes, n);
        e->n += n;
}

/* In the form that takes any bytes: the name, the length, the value. */
static void add_bytes(JournalEntry *e, const char *field, Slice value)
{
        uint64_t length = htole64(value.len);

        append(e, field, strlen(field));
        append(e, "\n", 1);
        append(e, &length, sizeof(length));
        append(e, value.data, value.len);
        append(e, "\n", 1);
}

void journal_add(JournalEntry *e, const char *field, const char *value)
{
        Slice v = { value, value ? strnlen(value, JOURNAL_VALUE_MAX - 64) : 0 };

        if (!v.len)
                return;
        if (memchr(v.data, '\n', v.len)) {
                add_bytes(e, field, v);
                return;
        }
        append(e, field, strlen(field));
        append(e, "=", 1);
        append(e, v.data, v.len);
        append(e, "\n", 1);
}

void journal_add_number(JournalEntry *e, const char *field, uint64_t value)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        journal_add(e, field, text);
}

void journal_begin(JournalEntry *e, Slice message, int priority, const char *identifier)
{
        e->n = 0;
        message.len = MIN(message.len, (size_t)JOURNAL_LINE_MAX);
        add_bytes(e, "MESSAGE", message);
        journal_add_number(e, "PRIORITY", (uint64_t)priority);
        journal_add(e, "SYSLOG_IDENTIFIER", identifier);
}

static int reach(int fd)
{
        static const struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };

        return connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
}

int journal_open(void)
{
        static const int size = SEND_BUFFER;
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        (void)reach(fd); /* whoever sends tries again */
        return fd;
}

bool journal_is_reached(int fd)
{
        struct sockaddr_un a;
        socklen_t n = sizeof(a);

        return getpeername(fd, (struct sockaddr *)&a, &n) == 0;
}

static int send_once(int fd, const char *bytes, size_t n)
{
        return send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int journal_send(int fd, const char *bytes, size_t n)
{
        int r = send_once(fd, bytes, n);

        if (r == 0 || r == -EAGAIN)
                return r;
        r = reach(fd); /* there was no journald, or it was another one */
        return r < 0 ? r : send_once(fd, bytes, n);
}

void journal_await_read(int fd)
{
        enum { PATIENCE_MS = 300, MOMENT_MS = 3 };
        int unread;

        for (int ms = 0; ms < PATIENCE_MS; ms++) {
                if (ioctl(fd, SIOCOUTQ, &unread) < 0 || unread == 0)
                        break;
                (void)poll(NULL, 0, 1);
        }
        (void)poll(NULL, 0, MOMENT_MS);
}

size_t journal_cut(const char *text, size_t n)
{
        for (size_t back = 1; back <= 3 && back < n; back++) {
                unsigned char c = (unsigned char)text[n - back];

                if (c < 0x80)
                        return n;
                if (c >= 0xc0) /* a character of so many bytes begins here */
                        return back < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) ? n - back : n;
        }
        return n;
}
