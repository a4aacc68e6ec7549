/* SPDX-License-Identifier: MIT */

/* A message is one packet (SOCK_SEQPACKET), or, if it is large, a row of them: each says how long
 * the whole is and where it goes on. So a small one costs one system call at each end, cannot be
 * torn apart, and nothing is ever read that belongs to the next. */

#include <brood/connection.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"

enum { PACKET = 64 * 1024, LEAST_PACKET = 1024, MAX_FDS = 16, MAGIC = 0x62726f6f };

typedef struct PacketHead {
        uint32_t magic;
        uint32_t n_fds;
        uint64_t size;   /* of the whole message */
        uint64_t offset; /* of this part of it */
} PacketHead;

struct BroodConnection {
        int fd;
        bool only_sends, only_receives;
        bool broken;     /* where the next message begins nobody knows; any thread may say so */
        size_t packet;   /* how large one may be to be sent */
        size_t limit;    /* of a message; 0: none */
};

/* --- life --- */

/* The kernel refuses a packet that could never fit the socket's buffer, which an administrator may
 * have made smaller (net.core.wmem_default). */
static size_t find_packet(int fd)
{
        socklen_t size = sizeof(int);
        int buffer = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, &size) < 0 || buffer / 2 >= PACKET)
                return PACKET;
        return (size_t)MAX(buffer / 2, LEAST_PACKET);
}

static int make(BroodConnection **ret, int fd)
{
        BroodConnection *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->fd = fd;
        c->packet = find_packet(fd);
        *ret = c;
        return 0;
}

void brood_connection_free(BroodConnection *c)
{
        if (!c)
                return;
        fd_close(c->fd);
        free(c);
}

DEFINE_CLEANUP(BroodConnection, brood_connection_free);

int brood_connection_open(BroodConnection **ret, int fd)
{
        AUTO(fd_close) int own = fd;
        socklen_t size = sizeof(int);
        int type, r;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return errno == ENOTSOCK ? -EBADMSG : -errno;
        if (type != SOCK_SEQPACKET)
                return -EBADMSG;
        r = fd_cloexec(fd, true);
        if (r == 0)
                r = fd_nonblock(fd, false);
        if (r == 0)
                r = make(ret, fd);
        if (r == 0)
                own = -1;
        return r;
}

static void make_one_way(BroodConnection *receiver, BroodConnection *sender)
{
        receiver->only_receives = sender->only_sends = true;
        (void)shutdown(receiver->fd, SHUT_WR);
}

int brood_pipe(BroodConnection **ret_first, BroodConnection **ret_second, int duplex)
{
        AUTO(brood_connection_free) BroodConnection *first = NULL;
        AUTO(fd_close) int other = -1;
        int ends[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        other = ends[1];
        r = make(&first, ends[0]);
        if (r < 0) {
                fd_close(ends[0]);
                return r;
        }
        r = make(ret_second, other);
        if (r < 0)
                return r;
        other = -1;
        if (!duplex)
                make_one_way(first, *ret_second);
        *ret_first = MOVE_PTR(first);
        return 0;
}

int brood_connection_fd(const BroodConnection *c)
{
        return c->fd;
}

void brood_connection_limit(BroodConnection *c, size_t size)
{
        c->limit = size;
}

/* --- sending --- */

/* One packet; the descriptors go with it. */
static int send_packet(BroodConnection *c, const PacketHead *head, const void *bytes, size_t n,
                       const int *fds)
{
        struct iovec parts[2] = { { (void *)head, sizeof(*head) }, { (void *)bytes, n } };
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
        } control;
        struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };

        if (head->n_fds) {
                struct cmsghdr *h = &control.align;

                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(head->n_fds * sizeof(int));
                h->cmsg_level = SOL_SOCKET;
                h->cmsg_type = SCM_RIGHTS;
                h->cmsg_len = CMSG_LEN(head->n_fds * sizeof(int));
                memcpy(CMSG_DATA(h), fds, head->n_fds * sizeof(int));
        }
        while (sendmsg(c->fd, &m, MSG_NOSIGNAL) < 0)
                if (errno != EINTR)
                        return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
        return 0;
}

static int send_message(BroodConnection *c, const void *bytes, size_t size, const int *fds,
                        unsigned n_fds)
{
        const size_t room = c->packet - sizeof(PacketHead);
        PacketHead head = { .magic = MAGIC, .n_fds = n_fds, .size = size };
        int r;

        if (c->only_receives)
                return -EBADF;
        do {
                size_t n = MIN(size - (size_t)head.offset, room);

                r = send_packet(c, &head, bytes, n, fds);
                if (r < 0)
                        return r;
                if (n)
                        bytes = (const char *)bytes + n;
                head.offset += n;
                head.n_fds = 0;
        } while (head.offset < size);
        return 0;
}

int brood_send(BroodConnection *c, const void *bytes, size_t size)
{
        return send_message(c, bytes, size, NULL, 0);
}

int brood_send_fds(BroodConnection *c, const int *fds, unsigned n_fds, const void *bytes,
                   size_t size)
{
        if (n_fds < 1 || n_fds > MAX_FDS)
                return -EINVAL;
        return send_message(c, bytes, size, fds, n_fds);
}

int brood_send_json(BroodConnection *c, const json_t *value)
{
        AUTO(free) char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        if (!text)
                return value ? -ENOMEM : -EINVAL;
        return brood_send(c, text, strlen(text));
}

/* --- receiving --- */

typedef struct Packet {
        PacketHead head;
        int fds[MAX_FDS];
        size_t n_fds;  /* that came */
        size_t n;      /* bytes of the message in it, wherever they are */
} Packet;

static void close_fds(Packet *p)
{
        while (p->n_fds)
                fd_close(p->fds[--p->n_fds]);
}

static void take_fds(Packet *p, struct msghdr *m)
{
        for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
                if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
                        continue;
                p->n_fds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                memcpy(p->fds, CMSG_DATA(h), p->n_fds * sizeof(int));
        }
}

/* An end that went without having received all says so before what it had sent itself, once. */
static bool is_first_reset(bool *reset)
{
        if (errno != ECONNRESET || *reset)
                return false;
        *reset = true;
        return true;
}

static bool is_sound(const PacketHead *head, size_t n)
{
        return head->magic == MAGIC && head->n_fds <= MAX_FDS && head->size < PTRDIFF_MAX &&
               head->offset <= head->size && n <= head->size - head->offset &&
               n <= PACKET - sizeof(*head);
}

/* The next packet, its bytes into `to` (as many as there is room for). -EMFILE: all is well but
 * that this process has no room for its descriptors. */
static int receive_packet(BroodConnection *c, Packet *p, void *to, size_t room)
{
        struct iovec parts[2] = { { &p->head, sizeof(p->head) }, { to, room } };
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
        } control;
        struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control,
                            .msg_controllen = sizeof(control) };
        bool reset = false;
        ssize_t n;

        p->n_fds = 0;
        do
                n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_TRUNC);
        while (n < 0 && (errno == EINTR || is_first_reset(&reset)));
        if (n < 0)
                return -errno;
        if (n == 0)
                return -ECONNRESET;
        take_fds(p, &m);
        if (n < (ssize_t)sizeof(p->head) || !is_sound(&p->head, (size_t)n - sizeof(p->head)))
                return -EPROTO;
        p->n = (size_t)n - sizeof(p->head);
        return m.msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

static void give_up(BroodConnection *c)
{
        __atomic_store_n(&c->broken, true, __ATOMIC_RELAXED);
}

/* What follows the first packet of a message; `to` NULL: it is dropped. */
static int receive_rest(BroodConnection *c, const Packet *first, char *to)
{
        uint64_t at = first->n, size = first->head.size;
        Packet p;
        int r;

        while (at < size) {
                r = receive_packet(c, &p, to ? to + at : NULL, to ? (size_t)(size - at) : 0);
                close_fds(&p);
                if (r == 0 && (p.head.offset != at || p.head.size != size || p.n == 0))
                        r = -EPROTO;
                if (r < 0) {
                        give_up(c);
                        return r == -ECONNRESET ? -EPROTO : r;
                }
                at += p.n;
        }
        return 0;
}

/* The first packet of a message. */
static int receive_first(BroodConnection *c, Packet *p, void *to, size_t room)
{
        int r;

        if (c->only_sends)
                return -EBADF;
        if (__atomic_load_n(&c->broken, __ATOMIC_RELAXED))
                return -EPROTO;
        r = receive_packet(c, p, to, room);
        if ((r == 0 || r == -EMFILE) && p->head.offset != 0)
                r = -EPROTO;
        if (r == 0 && c->limit && p->head.size > c->limit)
                r = -EMSGSIZE;
        if (r == -EPROTO || r == -EMSGSIZE)
                give_up(c);
        if (r < 0)
                close_fds(p);
        if (r == -EMFILE)
                (void)receive_rest(c, p, NULL); /* the next one may be received */
        return r;
}

/* The memory of a first packet becomes that of its whole message. */
static char *fit(char *to, size_t size)
{
        char *fitting = realloc(to, size + 1);

        if (fitting)
                fitting[size] = '\0';
        else
                free(to);
        return fitting;
}

static int receive_message(BroodConnection *c, Packet *p, void **ret, size_t *ret_size)
{
        AUTO(free) char *to = malloc(PACKET); /* not one for all: threads share a connection */
        size_t size;
        int r;

        if (!to)
                return -ENOMEM;
        r = receive_first(c, p, to, PACKET);
        if (r < 0)
                return r;
        size = (size_t)p->head.size;
        to = fit(MOVE_PTR(to), size);
        r = receive_rest(c, p, to);
        if (r == 0 && !to)
                r = -ENOMEM;
        if (r < 0) {
                close_fds(p);
                return r;
        }
        *ret = MOVE_PTR(to);
        *ret_size = size;
        return 0;
}

int brood_receive(BroodConnection *c, void **ret, size_t *ret_size)
{
        Packet p;
        int r = receive_message(c, &p, ret, ret_size);

        if (r == 0)
                close_fds(&p); /* nobody asked for them */
        return r;
}

int brood_receive_fds(BroodConnection *c, int *fds, unsigned *n_fds, void **ret, size_t *ret_size)
{
        Packet p;
        int r = receive_message(c, &p, ret, ret_size);

        if (r < 0)
                return r;
        if (p.n_fds > *n_fds) {
                close_fds(&p);
                free(*ret);
                *ret = NULL;
                return -EXFULL;
        }
        memcpy(fds, p.fds, p.n_fds * sizeof(int));
        *n_fds = (unsigned)p.n_fds;
        return 0;
}

int64_t brood_receive_into(BroodConnection *c, void *to, size_t room, size_t *ret_size)
{
        Packet p;
        int r = receive_first(c, &p, to, room);
        bool fits;

        if (r < 0)
                return r;
        close_fds(&p);
        fits = p.head.size <= room;
        r = receive_rest(c, &p, fits ? to : NULL);
        if (r < 0)
                return r;
        if (ret_size)
                *ret_size = (size_t)p.head.size;
        return fits ? (int64_t)p.head.size : -EMSGSIZE;
}

int brood_receive_json(BroodConnection *c, json_t **ret)
{
        AUTO(free) void *text = NULL;
        size_t size = 0;
        int r = brood_receive(c, &text, &size);

        if (r < 0)
                return r;
        *ret = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        return *ret ? 0 : -EPROTO;
}

int brood_poll(BroodConnection *c, int64_t timeout_usec)
{
        struct pollfd p = { c->fd, POLLIN, 0 };

        return c->only_sends ? -EBADF : fd_poll(&p, 1, clock_until(timeout_usec));
}
