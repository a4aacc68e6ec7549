/* SPDX-License-Identifier: MIT */

#include "varlink/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "varlink/message.h"

enum { CHUNK = 64 * 1024 };

struct VarlinkClient {
        int fd;
        Buffer out;
        VarlinkStream in;
        char chunk[CHUNK];
};

int varlink_client_new_fd(VarlinkClient **ret, int fd)
{
        VarlinkClient *c = malloc(sizeof(*c));

        if (!c) {
                fd_close(fd);
                return -ENOMEM;
        }
        c->fd = fd;
        c->out = (Buffer)BUFFER_INIT;
        varlink_stream_init(&c->in, INT32_MAX);
        *ret = c;
        return 0;
}

int varlink_connect(const char *path, int flags)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        AUTO(fd_close) int fd = -1;
        size_t n = strlen(path);

        if (n >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, n);
        if (path[0] == '@')
                address.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
        if (fd < 0 ||
            connect(fd, (struct sockaddr *)&address,
                    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'))) < 0)
                return -errno;
        return MOVE_FD(fd);
}

int varlink_client_new(VarlinkClient **ret, const char *path)
{
        int fd = varlink_connect(path, 0);

        return fd < 0 ? fd : varlink_client_new_fd(ret, fd);
}

void varlink_client_free(VarlinkClient *c)
{
        if (!c)
                return;
        fd_close(c->fd);
        buffer_fini(&c->out);
        varlink_stream_fini(&c->in);
        free(c);
}

int varlink_client_fd(const VarlinkClient *c)
{
        return c->fd;
}

Buffer *varlink_client_out(VarlinkClient *c)
{
        return &c->out;
}

/* While a service does not take our bytes it may be waiting for us to take its replies: read them
 * meanwhile, or both wait for ever. */
static int wait_to_send(VarlinkClient *c)
{
        struct pollfd p = { .fd = c->fd, .events = POLLOUT | POLLIN };
        ssize_t n;
        int r;

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
                return -errno;
        if (p.revents & POLLOUT || !(p.revents & POLLIN))
                return 0;
        r = varlink_stream_keep(&c->in); /* what is unread may still lie in the chunk */
        if (r < 0)
                return r;
        n = recv(c->fd, c->chunk, sizeof(c->chunk), MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
        r = varlink_stream_feed(&c->in, c->chunk, (size_t)n);
        return r < 0 ? r : varlink_stream_keep(&c->in);
}

static int send_all(VarlinkClient *c, Slice bytes, const int *fds, size_t n_fds)
{
        while (bytes.len) {
                ssize_t n = fd_send(c->fd, bytes.data, bytes.len, fds, n_fds, MSG_DONTWAIT);

                if (n == -EAGAIN) {
                        n = wait_to_send(c);
                        if (n < 0)
                                return (int)n;
                        continue;
                }
                if (n < 0)
                        return (int)n;
                n_fds = 0;
                bytes.data += n;
                bytes.len -= (size_t)n;
        }
        return 0;
}

int varlink_client_flush(VarlinkClient *c)
{
        int r;

        if (c->out.failed)
                return -ENOMEM;
        r = send_all(c, buffer_slice(&c->out), NULL, 0);
        buffer_clear(&c->out, CHUNK);
        return r;
}

int varlink_client_send_fds(VarlinkClient *c, Slice message, const int *fds, size_t n_fds)
{
        int r = varlink_client_flush(c);

        return r < 0 ? r : send_all(c, message, fds, n_fds);
}

int varlink_client_receive(VarlinkClient *c, usec_t timeout, Slice *ret)
{
        struct pollfd p = { .fd = c->fd, .events = POLLIN };
        usec_t deadline = timeout == USEC_INFINITY ? timeout : usec_add(clock_monotonic(), timeout);
        bool waited = timeout == USEC_INFINITY; /* a plain recv() waits by itself */
        ssize_t n;
        int r;

        for (;;) {
                r = varlink_stream_next(&c->in, ret);
                if (r)
                        return r < 0 ? -EMSGSIZE : 1;
                r = varlink_stream_keep(&c->in);
                if (r < 0)
                        return r;
                if (!waited) {
                        r = fd_poll(&p, 1, deadline);
                        if (r <= 0)
                                return r;
                }
                n = recv(c->fd, c->chunk, sizeof(c->chunk),
                         timeout == USEC_INFINITY ? 0 : MSG_DONTWAIT);
                if (n == 0)
                        return -ECONNRESET;
                if (n < 0) {
                        if (errno == EINTR || errno == EAGAIN)
                                continue;
                        return -errno;
                }
                r = varlink_stream_feed(&c->in, c->chunk, (size_t)n);
                if (r < 0)
                        return r;
        }
}

int varlink_client_send(VarlinkClient *c)
{
        ssize_t n;

        if (c->out.failed)
                return -ENOMEM;
        while (buffer_len(&c->out)) {
                n = fd_send(c->fd, buffer_bytes(&c->out), buffer_len(&c->out), NULL, 0,
                            MSG_DONTWAIT);
                if (n == -EAGAIN)
                        return 0;
                if (n < 0)
                        return (int)n;
                buffer_consume(&c->out, (size_t)n);
        }
        buffer_clear(&c->out, CHUNK);
        return 0;
}

int varlink_client_fill(VarlinkClient *c)
{
        ssize_t n;
        int r = varlink_stream_keep(&c->in);

        if (r < 0)
                return r;
        n = recv(c->fd, c->chunk, sizeof(c->chunk), MSG_DONTWAIT);
        if (n == 0)
                return -ECONNRESET;
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        r = varlink_stream_feed(&c->in, c->chunk, (size_t)n);
        return r < 0 ? r : 1 + ((size_t)n == sizeof(c->chunk));
}

int varlink_client_next(VarlinkClient *c, Slice *ret)
{
        int r = varlink_stream_next(&c->in, ret);

        return r < 0 ? -EMSGSIZE : r;
}

size_t varlink_client_unread(const VarlinkClient *c)
{
        return varlink_stream_unread(&c->in);
}

void varlink_client_limit(VarlinkClient *c, size_t bytes)
{
        c->in.max_message = bytes;
}

int varlink_client_reply(VarlinkClient *c, usec_t timeout, json_t **ret, char **ret_error,
                         bool *ret_continues)
{
        json_t *message, *parameters, *error;
        Slice text;
        int r = varlink_client_receive(c, timeout, &text);

        if (r <= 0)
                return r;
        message = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(message)) {
                json_decref(message);
                return -EBADMSG;
        }
        parameters = json_object_get(message, "parameters");
        error = json_object_get(message, "error");
        *ret = json_is_object(parameters) ? json_incref(parameters) : json_object();
        *ret_error = json_is_string(error) ? strdup(json_string_value(error)) : NULL;
        if (ret_continues)
                *ret_continues = json_is_true(json_object_get(message, "continues"));
        json_decref(message);
        return 1;
}

int varlink_client_write(VarlinkClient *c, const char *method, json_t *parameters, unsigned flags)
{
        char *text = parameters ? json_dumps(parameters, JSON_COMPACT) : NULL;
        bool failed = parameters && !text;

        json_decref(parameters);
        if (failed)
                return -ENOMEM;
        varlink_write_call(&c->out, method, flags);
        if (text) /* its braces are written by the envelope */
                buffer_append(&c->out, text + 1, strlen(text) - 2);
        varlink_write_end(&c->out, 0);
        free(text);
        return c->out.failed ? -ENOMEM : 0;
}

int varlink_client_call(VarlinkClient *c, const char *method, json_t *parameters, json_t **ret,
                        char **ret_error)
{
        int r = varlink_client_write(c, method, parameters, 0);

        if (r == 0)
                r = varlink_client_flush(c);
        if (r == 0)
                r = varlink_client_reply(c, USEC_INFINITY, ret, ret_error, NULL);
        return r < 0 ? r : 0;
}
