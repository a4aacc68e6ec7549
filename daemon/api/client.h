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
        Peer who;
        Rights rights;
        User *user;    /* where its connection is counted; NULL: it is refused */
        uint64_t refused; /* it has too many: the limit, which it is told; 0: it is not refused */
        bool doomed;   /* its replies have grown too large */
        int fds[LINK_MAX_FDS]; /* came with a message that is not complete yet */
        size_t n_fds;
        List attached;  /* JobCalls.attached: end with the connection */
        List streams;   /* WaitMany.link: have replies that wait for room */
        struct event stall_timer;
};

/* Takes over a connected socket, or turns it away (api/door.h). Returns 0, or -errno with the
 * socket closed. */
int client_new(Api *api, int fd);
void client_free(Client *client);

static inline Client *client_of(const VarlinkCall *call)
{
        return CONTAINER_OF(call->server, Client, server);
}

/* What it may, by the config in force; asks for its groups again. */
void client_look_up_rights(Client *client);

/* Tells it that it has too many connections, and ends this one. */
void client_refuse(Client *client, VarlinkCall *call);

/* May it see jobs of that user? */
static inline bool client_sees(const Client *client, uint32_t uid)
{
        return client->rights.see_all || client->who.uid == uid;
}

/* The job, if it may see it. */
static inline Job *client_find_job(const Client *client, const Uuid *id)
{
        return core_find(client->api->core, id, client->who.uid, client->rights.see_all);
}

/* There is more for it than it takes: it may not leave it so for ever. */
void client_stalls(Client *client);

/* Bytes of replies that it has not yet taken. */
size_t client_backlog(const Client *client);
