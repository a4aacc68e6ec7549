/* SPDX-License-Identifier: MIT */

#include "wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void die(const char *format, ...)
{
        int error = errno;
        va_list args;

        va_start(args, format);
        (void)fputs("brood-load: ", stderr);
        (void)vfprintf(stderr, format, args);
        va_end(args);
        (void)fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
        exit(1);
}

Wire *wire_open(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Wire *w = malloc(sizeof(*w));

        if (!w || strlen(path) >= sizeof(address.sun_path))
                die("%s", path);
        memcpy(address.sun_path, path, strlen(path));
        w->begin = w->scanned = w->end = 0;
        w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die("%s", path);
        return w;
}

void wire_close(Wire *w)
{
        close(w->fd);
        free(w);
}

void wire_send(Wire *w, const char *bytes, size_t size)
{
        while (size) {
                ssize_t n = send(w->fd, bytes, size, MSG_NOSIGNAL);

                if (n < 0)
                        die("send");
                bytes += n;
                size -= (size_t)n;
        }
}

/* The bytes that are left go to the front when there is no room behind them. */
static void make_room(Wire *w)
{
        size_t used = w->end - w->begin;

        if (used && w->end < sizeof(w->buffer))
                return;
        if (used == sizeof(w->buffer)) {
                errno = 0;
                die("a message of more than %zu bytes", sizeof(w->buffer));
        }
        memmove(w->buffer, w->buffer + w->begin, used);
        w->scanned -= w->begin;
        w->begin = 0;
        w->end = used;
}

void wire_fill(Wire *w)
{
        ssize_t n;

        make_room(w);
        n = recv(w->fd, w->buffer + w->end, sizeof(w->buffer) - w->end, 0);
        if (n == 0)
                errno = 0;
        if (n <= 0)
                die("the connection ended");
        w->end += (size_t)n;
}

const char *wire_take(Wire *w, size_t *ret_size)
{
        const char *message = w->buffer + w->begin;
        const char *nul = memchr(w->buffer + w->scanned, '\0', w->end - w->scanned);

        if (!nul) {
                w->scanned = w->end;
                return NULL;
        }
        w->begin = w->scanned = (size_t)(nul - w->buffer) + 1;
        *ret_size = (size_t)(nul - message);
        return message;
}

const char *wire_next(Wire *w, size_t *ret_size)
{
        const char *message;

        while (!(message = wire_take(w, ret_size)))
                wire_fill(w);
        return message;
}

const char *wire_call(Wire *w, const char *text, size_t *ret_size)
{
        wire_send(w, text, strlen(text) + 1);
        return wire_next(w, ret_size);
}
