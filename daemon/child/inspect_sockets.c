/* SPDX-License-Identifier: MIT */

/* /proc/PID/net is the network that the process is in, which may be another one than ours. */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "child/inspect.h"

enum { ADDRESS = 64, MOST_SOCKETS = 65536 };

typedef struct Socket {
        unsigned long inode;
        const char *protocol;
        const char *state; /* NULL: it has none */
        char *path;        /* of a Unix socket */
        char local[ADDRESS], remote[ADDRESS];
} Socket;

struct Sockets {
        Socket *of;
        size_t n, capacity;
};

void sockets_free(Sockets *s)
{
        for (size_t i = 0; s && i < s->n; i++)
                free(s->of[i].path);
        if (s)
                free(s->of);
        free(s);
}

static Socket *add(Sockets *s, const Socket *socket)
{
        size_t capacity = s->capacity ? s->capacity * 2 : 64;
        Socket *more;

        if (s->n == s->capacity) {
                more = s->n < MOST_SOCKETS ? realloc(s->of, capacity * sizeof(*more)) : NULL;
                if (!more)
                        return NULL;
                s->of = more;
                s->capacity = capacity;
        }
        s->of[s->n] = *socket;
        return &s->of[s->n++];
}

/* --- Internet --- */

static const char *const tcp_states[] = { NULL,         "established", "syn sent",  "syn received",
                                          "fin wait",   "fin wait",    "time wait", "closed",
                                          "close wait", "last ack",    "listening", "closing" };

/* "0100007F:1F90", each 32 bits in the order of this machine. */
static void internet_address(const char *text, char *to)
{
        char host[INET6_ADDRSTRLEN] = "?";
        uint32_t words[4] = { 0 };
        const char *colon = strchr(text, ':');
        size_t n = colon ? (size_t)(colon - text) / 8 : 0;

        for (size_t i = 0; i < n && i < 4; i++)
                (void)sscanf(text + i * 8, "%8x", &words[i]);
        if (n == 1 || n == 4)
                (void)inet_ntop(n == 4 ? AF_INET6 : AF_INET, words, host, sizeof(host));
        (void)snprintf(to, ADDRESS, n == 4 ? "[%s]:%lu" : "%s:%lu", host,
                       colon ? strtoul(colon + 1, NULL, 16) : 0);
}

static void take_internet(Sockets *s, const char *line, const char *protocol)
{
        Socket found = { .protocol = protocol };
        char local[ADDRESS], remote[ADDRESS];
        unsigned state;

        if (sscanf(line, " %*d: %63s %63s %x %*s %*s %*s %*s %*s %lu", local, remote, &state,
                   &found.inode) != 4)
                return;
        internet_address(local, found.local);
        internet_address(remote, found.remote);
        if (strncmp(protocol, "tcp", 3) == 0 && state < ELEMENTS(tcp_states))
                found.state = tcp_states[state];
        (void)add(s, &found);
}

/* --- Unix --- */

static const char *unix_state(unsigned flags, unsigned state)
{
        if (flags & 0x10000) /* __SO_ACCEPTCON */
                return "listening";
        return state == 3 ? "connected" : state == 1 ? "unconnected" : NULL;
}

static void take_unix(Sockets *s, const char *line, const char *protocol)
{
        Socket found = { .protocol = protocol }, *added;
        unsigned flags, type, state;
        size_t n = line_length(line);
        int at = 0;

        if (sscanf(line, "%*s %*s %*s %x %x %x %lu%n", &flags, &type, &state, &found.inode, &at) <
            4)
                return;
        found.protocol = type == SOCK_STREAM      ? "unix stream"
                         : type == SOCK_DGRAM     ? "unix datagram"
                         : type == SOCK_SEQPACKET ? "unix seqpacket"
                                                  : protocol;
        found.state = unix_state(flags, state);
        added = add(s, &found);
        if (added && n > (size_t)at + 1)
                added->path = strndup(line + at + 1, n - (size_t)at - 1);
}

static void take_netlink(Sockets *s, const char *line, const char *protocol)
{
        Socket found = { .protocol = protocol };

        if (sscanf(line, "%*s %*d %*d %*s %*d %*d %*s %*d %*d %lu", &found.inode) == 1)
                (void)add(s, &found);
}

/* --- all of them --- */

static const struct {
        const char *file, *protocol;
        void (*take)(Sockets *s, const char *line, const char *protocol);
} tables[] = {
        { "net/unix", "unix", take_unix },     { "net/tcp", "tcp", take_internet },
        { "net/tcp6", "tcp6", take_internet }, { "net/udp", "udp", take_internet },
        { "net/udp6", "udp6", take_internet }, { "net/netlink", "netlink", take_netlink },
};

Sockets *sockets_read(Target *t)
{
        Sockets *s = calloc(1, sizeof(*s));

        for (size_t i = 0; s && i < ELEMENTS(tables); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                const char *line = NULL;

                if (target_read(t, tables[i].file, "sockets", &b) == 0)
                        line = line_next(buffer_bytes(&b)); /* behind the headers */
                for (; line; line = line_next(line))
                        tables[i].take(s, line, tables[i].protocol);
        }
        return s;
}

static const Socket *find(const Sockets *s, unsigned long inode)
{
        for (size_t i = 0; s && i < s->n; i++)
                if (s->of[i].inode == inode)
                        return &s->of[i];
        return NULL;
}

void sockets_describe(const Sockets *s, unsigned long inode, json_t *to)
{
        const Socket *found = find(s, inode);

        if (!found)
                return;
        json_put(to, "protocol", json_string(found->protocol));
        json_put(to, "state", found->state ? json_string(found->state) : NULL);
        json_put(to, "path", found->path ? json_of_text(found->path) : NULL);
        if (found->local[0]) {
                json_put(to, "local", json_string(found->local));
                json_put(to, "remote", json_string(found->remote));
        }
}
