/* SPDX-License-Identifier: MIT */
#pragma once

/* A place to listen at that nobody reaches from another machine: "/a/path" of a Unix socket, or a
 * loopback address with a port, "127.0.0.1:9469" or "[::1]:9469". */

#include <sys/socket.h>
#include <sys/un.h>

typedef struct Endpoint {
        union {
                struct sockaddr any;
                struct sockaddr_un un;
                struct sockaddr_storage room;
        };
        socklen_t size;
} Endpoint;

/* Returns 0 or -EINVAL. */
int endpoint_parse(const char *text, Endpoint *ret);
