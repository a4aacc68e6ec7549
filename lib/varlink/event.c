/* SPDX-License-Identifier: MIT */

#include "varlink/event.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd.h"

enum { KEEP_OUT = 256 * 1024 };

void turn_begin(Turn *turn)
{
        if (!*turn->began)
                *turn->began = clock_steady();
}

int turn_init(Turn *turn, struct event_base *base)
{
        turn->base = base;
        turn->began = &turn->own_began;
        list_init(&turn->dirty);
        turn->bytes = malloc(LINK_READ_SIZE);
        return turn->bytes ? 0 : -ENOMEM;
}

void turn_fini(Turn *turn)
{
        free(turn->bytes);
}

static void close_received(Link *link)
{
        while (link->n_fds)
                fd_close_foreign(link->fds[--link->n_fds]);
}

/* One read. Returns the bytes fed, 0 at the end, or -errno. */
static ssize_t read_once(Link *link)
{
        ssize_t n;
        int r;

        link->n_fds = LINK_MAX_FDS;
        n = fd_receive(link->fd, link->turn->bytes, LINK_READ_SIZE, link->fds, &link->n_fds,
                       MSG_DONTWAIT);
        if (n < 0)
                link->n_fds = 0;
        if (!link->take_fds)
                close_received(link); /* what nobody takes the kernel would close, and we wait */
        if (n <= 0)
                return n;
        r = link->ops->feed(link, link->turn->bytes, (size_t)n);
        return r < 0 ? r : n;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
        Link *link = context;
        ssize_t n;

        turn_begin(link->turn);
        n = read_once(link);
        if (n > 0)
                close_received(link);
        else if (n != -EAGAIN && n != -EINTR)
                link->ops->ended(link, (int)n);
}

void link_drain(Link *link)
{
        while (link->fd >= 0 && read_once(link) > 0)
                ;
}

/* Up to where the next write goes: a set of descriptors must ride on its own byte. */
static size_t chunk(const Link *link, const int **fds)
{
        size_t have = buffer_len(link->out);

        *fds = NULL;
        if (link->send_fds[0] < 0)
                return have;
        if (link->send_at)
                return link->send_at;
        *fds = link->send_fds;
        return have;
}

static void forget_passed(Link *link)
{
        for (int i = 0; i < 3; i++)
                link->send_fds[i] = fd_close_foreign(link->send_fds[i]);
}

/* Returns 0 when all is sent, -EAGAIN, or another -errno. */
static int send_out(Link *link)
{
        while (buffer_len(link->out)) {
                const int *fds;
                size_t n = chunk(link, &fds);
                ssize_t k = fds ? fd_send(link->fd, buffer_bytes(link->out), n, fds, 3,
                                          MSG_DONTWAIT)
                                : send(link->fd, buffer_bytes(link->out), n,
                                       MSG_DONTWAIT | MSG_NOSIGNAL);

                if (k < 0)
                        return fds ? (int)k : -errno;
                if (fds)
                        forget_passed(link);
                else if (link->send_fds[0] >= 0)
                        link->send_at -= (size_t)k;
                buffer_consume(link->out, (size_t)k);
        }
        buffer_clear(link->out, KEEP_OUT);
        return 0;
}

static void flush(Link *link)
{
        size_t before = buffer_len(link->out);
        int r = link->out->failed ? -ENOMEM : send_out(link);

        if (buffer_len(link->out) < before) {
                link->progress = clock_monotonic();
                if (link->ops->sent)
                        link->ops->sent(link);
        }
        if (r == -EAGAIN || r == -EINTR) {
                if (!link->blocked)
                        link->progress = clock_monotonic();
                link->blocked = true;
                (void)event_add(&link->writable, NULL);
        } else if (r < 0) {
                link->ops->ended(link, r);
        }
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
        Link *link = context;

        link->blocked = false;
        flush(link);
}

void turn_flush(Turn *turn)
{
        Link *link;

        while ((link = LIST_FIRST(&turn->dirty, Link, dirty))) {
                list_remove(&link->dirty);
                flush(link);
        }
}

int link_init(Link *link, Turn *turn, int fd, Buffer *out, const LinkOps *ops, bool take_fds)
{
        *link = (Link){ .ops = ops, .turn = turn, .fd = fd, .out = out, .take_fds = take_fds,
                        .send_fds = { -1, -1, -1 } };
        list_init(&link->dirty);
        if (event_assign(&link->readable, turn->base, fd, EV_READ | EV_PERSIST, on_readable, link) <
                    0 ||
            event_assign(&link->writable, turn->base, fd, EV_WRITE, on_writable, link) < 0 ||
            event_add(&link->readable, NULL) < 0) {
                link->fd = -1;
                return -ENOMEM;
        }
        link->reading = true;
        return 0;
}

/* Descriptors may be in what was not read: they are closed with it. */
static int close_connection(int fd)
{
        int unread = 0;

        (void)shutdown(fd, SHUT_RDWR); /* nothing comes any more */
        return ioctl(fd, FIONREAD, &unread) == 0 && !unread ? fd_close(fd) : fd_close_foreign(fd);
}

void link_fini(Link *link)
{
        if (link->fd < 0)
                return;
        (void)event_del(&link->readable);
        (void)event_del(&link->writable);
        list_remove(&link->dirty);
        close_received(link);
        forget_passed(link);
        link->fd = close_connection(link->fd);
}

void link_pass_fds(Link *link, const int fds[3])
{
        for (int i = 0; i < 3; i++)
                link->send_fds[i] = fds[i];
        link->send_at = buffer_len(link->out);
}

void link_read(Link *link, bool on)
{
        if (link->reading == on || link->fd < 0)
                return;
        link->reading = on;
        if (on)
                (void)event_add(&link->readable, NULL);
        else
                (void)event_del(&link->readable);
}
