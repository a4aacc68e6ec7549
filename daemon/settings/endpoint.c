/* SPDX-License-Identifier: MIT */

#include "settings/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static int parse_path(const char *text, Endpoint *ret)
{
        if (strlen(text) >= sizeof(ret->un.sun_path))
                return -EINVAL;
        ret->un = (struct sockaddr_un){ .sun_family = AF_UNIX };
        (void)snprintf(ret->un.sun_path, sizeof(ret->un.sun_path), "%s", text);
        ret->size = sizeof(ret->un);
        return 0;
}

static int parse_v4(const char *host, in_port_t port, Endpoint *ret)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = port };

        if (inet_pton(AF_INET, host, &a.sin_addr) != 1 ||
            ntohl(a.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
                return -EINVAL;
        memcpy(&ret->room, &a, sizeof(a));
        ret->size = sizeof(a);
        return 0;
}

static int parse_v6(const char *host, in_port_t port, Endpoint *ret)
{
        struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = port };

        if (inet_pton(AF_INET6, host, &a.sin6_addr) != 1 || !IN6_IS_ADDR_LOOPBACK(&a.sin6_addr))
                return -EINVAL;
        memcpy(&ret->room, &a, sizeof(a));
        ret->size = sizeof(a);
        return 0;
}

int endpoint_parse(const char *text, Endpoint *ret)
{
        const char *colon = strrchr(text, ':');
        char host[64];
        uint64_t port;
        size_t n;

        if (*text == '/')
                return parse_path(text, ret);
        if (!colon || parse_u64(colon + 1, &port) < 0 || port < 1 || port > 65535)
                return -EINVAL;
        n = (size_t)(colon - text);
        if (n >= sizeof(host))
                return -EINVAL;
        memcpy(host, text, n);
        host[n] = '\0';
        if (host[0] != '[')
                return parse_v4(host, htons((in_port_t)port), ret);
        if (n < 2 || host[n - 1] != ']')
                return -EINVAL;
        host[n - 1] = '\0';
        return parse_v6(host + 1, htons((in_port_t)port), ret);
}
