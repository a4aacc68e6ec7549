/* SPDX-License-Identifier: MIT */
#pragma once

/* GET /metrics by HTTP, for who scrapes: on a socket that the service manager passes by the name
 * `metrics`, or on the one of Listen= in [Metrics]; off without either. Whoever can connect may
 * read it; there is nothing of jobs or users in it.
 *
 * A client gets so many seconds, and there are so many new ones in a second at the most: the rest
 * waits in the kernel's queue. */

#include <event2/event_struct.h>

#include "api/api.h"

struct evhttp;

typedef struct MetricsHttp {
        Api *api;
        struct evhttp *server;             /* NULL: off */
        struct evhttp_bound_socket *bound; /* within it */
        char *listen;        /* Listen= that is in force; NULL: none */
        bool passed;         /* the service manager's socket: Listen= is not looked at */
        unsigned n_new;      /* connections since the last rest of the clock */
        struct event refill;
        uint64_t device, inode; /* of a Unix socket of ours, to be removed */
} MetricsHttp;

/* Before anything else; `fd` was passed (-1: none). Returns 0 or -ENOMEM. */
int metrics_http_init(MetricsHttp *h, Api *api, int fd);
void metrics_http_fini(MetricsHttp *h);

/* The config in force says so; NULL: nothing. What can not be is logged, and the rest goes on. */
void metrics_http_listen(MetricsHttp *h, const char *listen);
