/* SPDX-License-Identifier: MIT */
#pragma once

/* A client's connection: who it is, what it owns, and how much it may cost.
 *
 * A client that does not read its replies is not read from, above CLIENT_SOFT_LIMIT bytes of them;
 * if it then takes nothing for StallTimeout=, or if they grow past CLIENT_HARD_LIMIT, it is
 * dropped. */

#include "api/api.h"
#include "varlink/event.h"

enum { CLIENT_SOFT_LIMIT = 1024 * 1024, CLIENT_HARD_LIMIT = 64 * 1024 * 1024 };

struct Client {
        List link;
        List paused_link;
        Api *api;
        Link connection;
        VarlinkServer server;
        uint32_t uid, gid;
        int32_t pid;
        bool operator; /* may do everything */
        bool doomed;   /* its replies have grown too large */
        int fds[LINK_MAX_FDS]; /* came with a message that is not complete yet */
        size_t n_fds;
        List attached;  /* JobCalls.attached: end with the connection */
        List streams;   /* WaitMany.link: have replies that wait for room */
        struct event stall_timer;
};

/* Takes over a connected socket. Returns 0 or -errno, with the socket closed. */
int client_new(Api *api, int fd);
void client_free(Client *client);

static inline Client *client_of(const VarlinkCall *call)
{
        return CONTAINER_OF(call->server, Client, server);
}

/* There is more for it than it takes: it may not leave it so for ever. */
void client_stalls(Client *client);

/* Bytes of replies that it has not yet taken. */
size_t client_backlog(const Client *client);
