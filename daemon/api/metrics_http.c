/* SPDX-License-Identifier: MIT */

#include "api/metrics_http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/metrics.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "ops/exposition.h"
#include "ops/log.h"
#include "settings/endpoint.h"

enum { TIMEOUT_SEC = 5, MAX_HEADERS = 8192, MAX_BODY = 1024, MAX_NEW = 64, BACKLOG = 64 };

/* --- answers --- */

static bool wants_openmetrics(struct evhttp_request *request)
{
        const char *accept = evhttp_find_header(evhttp_request_get_input_headers(request),
                                                "Accept");

        return accept && strstr(accept, "application/openmetrics-text");
}

/* libevent would send the body of an answer to HEAD, too, and who keeps the connection would take
 * it for the next answer. */
static int add_body(struct evhttp_request *request, struct evbuffer *body, Slice text)
{
        struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
        char size[32];

        if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
                return evbuffer_add(body, text.data, text.len);
        (void)snprintf(size, sizeof(size), "%zu", text.len);
        return evhttp_add_header(headers, "Content-Length", size);
}

static void on_metrics(struct evhttp_request *request, void *context)
{
        const MetricsHttp *h = context;
        bool openmetrics = wants_openmetrics(request);
        struct evbuffer *body = evbuffer_new();
        Buffer text = BUFFER_INIT;

        metrics_write(h->api, openmetrics, &text);
        if (!body || text.failed || add_body(request, body, buffer_slice(&text)) < 0) {
                evhttp_send_error(request, HTTP_INTERNAL, "no memory");
        } else {
                (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                                        exposition_media_type(openmetrics));
                evhttp_send_reply(request, HTTP_OK, "OK", body);
        }
        buffer_fini(&text);
        if (body)
                evbuffer_free(body);
}

static void on_other(struct evhttp_request *request, void *context)
{
        evhttp_send_error(request, HTTP_NOTFOUND, "Only /metrics is here");
}

/* --- connections --- */

static void on_refill(evutil_socket_t fd, short what, void *context)
{
        MetricsHttp *h = context;

        h->n_new = 0;
        if (h->bound)
                (void)evconnlistener_enable(evhttp_bound_socket_get_listener(h->bound));
}

/* Each new one; a flood has to wait. */
static struct bufferevent *on_connection(struct event_base *base, void *context)
{
        static const struct timeval second = { 1, 0 };
        MetricsHttp *h = context;

        if (h->n_new == 0)
                (void)evtimer_add(&h->refill, &second);
        if (++h->n_new >= MAX_NEW && h->bound)
                (void)evconnlistener_disable(evhttp_bound_socket_get_listener(h->bound));
        return bufferevent_socket_new(base, -1, 0);
}

static int start(MetricsHttp *h, int fd)
{
        struct evhttp *server = evhttp_new(h->api->turn->base);

        if (!server)
                return -ENOMEM;
        evhttp_set_timeout(server, TIMEOUT_SEC);
        evhttp_set_max_headers_size(server, MAX_HEADERS);
        evhttp_set_max_body_size(server, MAX_BODY);
        evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
        evhttp_set_bevcb(server, on_connection, h);
        evhttp_set_gencb(server, on_other, NULL);
        h->bound = evhttp_set_cb(server, "/metrics", on_metrics, h) < 0
                           ? NULL
                           : evhttp_accept_socket_with_handle(server, fd);
        if (!h->bound) {
                evhttp_free(server);
                return -ENOMEM;
        }
        h->server = server;
        return 0;
}

/* With every connection. */
static void stop(MetricsHttp *h)
{
        struct stat st;

        if (h->server)
                evhttp_free(h->server);
        if (h->listen && *h->listen == '/' && lstat(h->listen, &st) == 0 &&
            st.st_dev == h->device && st.st_ino == h->inode)
                (void)unlink(h->listen);
        free(h->listen);
        h->server = NULL;
        h->bound = NULL;
        h->listen = NULL;
}

/* --- a socket of our own --- */

/* For the daemon's user and group; what a daemon before us has left there goes. */
static int bind_to(int fd, const Endpoint *e)
{
        mode_t mask = umask(0117);
        struct stat st;
        int r;

        if (e->any.sa_family == AF_UNIX && lstat(e->un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
                (void)unlink(e->un.sun_path);
        r = bind(fd, &e->any, e->size) < 0 ? -errno : 0;
        (void)umask(mask);
        return r;
}

static int open_own(MetricsHttp *h, const char *listen_at)
{
        const int one = 1;
        AUTO(fd_close) int fd = -1;
        struct stat st;
        Endpoint e;
        int r = endpoint_parse(listen_at, &e);

        if (r < 0)
                return r;
        fd = socket(e.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        r = bind_to(fd, &e);
        if (r < 0 || listen(fd, BACKLOG) < 0)
                return r < 0 ? r : -errno;
        if (*listen_at == '/' && lstat(listen_at, &st) == 0) {
                h->device = st.st_dev;
                h->inode = st.st_ino;
        }
        r = start(h, fd);
        if (r == 0)
                (void)MOVE_FD(fd);
        return r;
}

void metrics_http_listen(MetricsHttp *h, const char *listen_at)
{
        int r;

        if (h->passed || (h->listen && listen_at && strcmp(h->listen, listen_at) == 0))
                return;
        stop(h);
        if (!listen_at)
                return;
        r = open_own(h, listen_at);
        if (r == 0)
                h->listen = strdup(listen_at); /* NULL: it is opened anew at the next reload */
        else
                log_error("[Metrics] Listen=%s: %s: there are no metrics by HTTP", listen_at,
                          strerror(-r));
}

int metrics_http_init(MetricsHttp *h, Api *api, int fd)
{
        *h = (MetricsHttp){ .api = api, .passed = fd >= 0 };
        evtimer_assign(&h->refill, api->turn->base, on_refill, h);
        if (fd < 0)
                return 0;
        (void)fd_nonblock(fd, true);
        return start(h, fd);
}

void metrics_http_fini(MetricsHttp *h)
{
        if (!h->api)
                return;
        (void)event_del(&h->refill);
        stop(h);
}
