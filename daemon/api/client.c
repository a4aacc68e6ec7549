/* SPDX-License-Identifier: MIT */

#include "api/client.h"

#include "api/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/door.h"
#include "api/wait.h"
#include "base/fd.h"
#include "ops/log.h"
#include "ops/message_ids.h"
#include "varlink/json.h"

size_t client_backlog(const Client *c)
{
        return varlink_server_backlog(&c->server);
}

static void close_fds(Client *c)
{
        while (c->n_fds)
                fd_close_foreign(c->fds[--c->n_fds]);
}

static void arm_stall(Client *c)
{
        usec_t left = c->api->settings->stall_timeout;
        struct timeval t = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };

        if (c->refused)
                return; /* its time is set */
        if (left && left != USEC_INFINITY)
                (void)event_add(&c->stall_timer, &t);
}

void client_stalls(Client *c)
{
        if (!event_pending(&c->stall_timer, EV_TIMEOUT, NULL))
                arm_stall(c);
}

/* Stops reading a client that asks faster than it listens. */
static void pause_if_ahead(Client *c)
{
        if (!varlink_server_full(&c->server) || !list_empty(&c->paused_link))
                return;
        link_read(&c->connection, false);
        list_append(&c->api->paused, &c->paused_link);
        arm_stall(c);
}

static void on_stall(evutil_socket_t fd, short what, void *context)
{
        Client *c = context;
        usec_t limit = c->api->settings->stall_timeout;

        if (c->refused) {
                client_free(c);
                return;
        }
        if (buffer_len(&c->server.out) <= CLIENT_SOFT_LIMIT && list_empty(&c->streams))
                return; /* it waits for jobs, not we for it */
        if (clock_monotonic() - c->connection.progress >= limit) {
                log_event(LOG_FIELDS(.id = MESSAGE_CLIENT_DROPPED, .user = &c->who.uid),
                          LEVEL_NOTICE,
                          "client uid=%u pid=%d dropped: it left %zu bytes of replies unread",
                          c->who.uid, (int)c->who.pid, client_backlog(c));
                client_free(c);
        } else {
                arm_stall(c);
        }
}

static void tell_doomed(const Client *c)
{
        log_event(LOG_FIELDS(.id = MESSAGE_CLIENT_DROPPED, .user = &c->who.uid), LEVEL_NOTICE,
                  "client uid=%u pid=%d dropped: more than %d bytes of replies unread", c->who.uid,
                  (int)c->who.pid, CLIENT_HARD_LIMIT);
}

/* Nothing more of it counts. When its last reply is out the connection ends, and reading tells. */
static void part(Client *c)
{
        bool over = !client_backlog(c);

        if (over)
                (void)shutdown(c->connection.fd, SHUT_RDWR);
        link_read(&c->connection, over);
}

static int feed(Client *c, const char *bytes, size_t n)
{
        int r = varlink_server_feed(&c->server, bytes, n);

        if (r < 0)
                return r;
        if (c->doomed) {
                tell_doomed(c);
                return -ENOBUFS;
        }
        pause_if_ahead(c);
        if (c->server.broken)
                part(c);
        return 0;
}

static int on_bytes(Link *link, const char *bytes, size_t n)
{
        Client *c = CONTAINER_OF(link, Client, connection);

        if (link->n_fds) {
                close_fds(c);
                for (size_t i = 0; i < link->n_fds; i++)
                        c->fds[i] = link->fds[i];
                c->n_fds = link->n_fds;
                link->n_fds = 0;
        }
        return feed(c, bytes, n);
}

static void on_ended(Link *link, int error)
{
        client_free(CONTAINER_OF(link, Client, connection));
}

static void on_sent(Link *link)
{
        Client *c = CONTAINER_OF(link, Client, connection);

        wait_streams_go_on(c);
        if (!list_empty(&c->paused_link))
                c->api->dirty = true; /* perhaps it may be read again: settle looks */
        if (c->server.broken)
                part(c);
}

void api_resume_reading(Api *api)
{
        Client *c, *next;

        LIST_FOREACH_SAFE(&api->paused, c, next, paused_link) {
                if (c->doomed) {
                        tell_doomed(c);
                        client_free(c);
                        continue;
                }
                if (varlink_server_full(&c->server))
                        continue;
                list_remove(&c->paused_link);
                (void)event_del(&c->stall_timer);
                if (feed(c, NULL, 0) < 0)
                        client_free(c);
                else if (list_empty(&c->paused_link) && !c->server.broken)
                        link_read(&c->connection, true);
        }
}

void client_look_up_rights(Client *c)
{
        access_peer_groups(&c->api->access, c->connection.fd, &c->who);
        c->rights = access_rights(&c->api->access, &c->who);
}

void client_refuse(Client *c, VarlinkCall *call)
{
        Buffer *b = varlink_error_begin(call, "io.brood.QuotaExceeded");

        emit_string_member(b, "quota", SLICE("connections"));
        emit_int_member(b, "limit", (int64_t)c->refused);
        varlink_reply_end(call, false);
        c->server.broken = true; /* nothing more is read */
}

static void count(Client *c)
{
        static const struct timeval refusal_time = { 1, 0 };

        if (c->refused) {
                c->api->n_refused++;
                (void)evtimer_add(&c->stall_timer, &refusal_time);
        } else {
                c->api->n_clients++;
        }
        list_append(&c->api->clients, &c->link);
}

/* Makes the client; the socket and the identity are the caller's until it returns 0. */
static int client_make(Api *api, int fd, const Peer *who, Rights rights, uint64_t refused)
{
        static const LinkOps ops = { .feed = on_bytes, .ended = on_ended, .sent = on_sent };
        Client *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->api = api;
        c->who = *who;
        c->rights = rights;
        c->refused = refused;
        list_init(&c->link);
        list_init(&c->paused_link);
        list_init(&c->attached);
        list_init(&c->streams);
        c->user = refused ? NULL : users_enter(&api->users, who->uid);
        varlink_server_init(&c->server, &api->service, api->settings->max_message_size);
        evtimer_assign(&c->stall_timer, api->turn->base, on_stall, c);
        r = -ENOMEM;
        if (c->user || refused)
                r = link_init(&c->connection, api->turn, fd, &c->server.out, &ops, true);
        if (r < 0) {
                if (c->user)
                        users_leave(&api->users, c->user);
                varlink_server_fini(&c->server);
                free(c);
                return r;
        }
        count(c);
        return 0;
}

int client_new(Api *api, int fd)
{
        Peer who;
        Rights rights;
        Verdict verdict;
        int r = access_peer(&api->access, fd, &who);

        if (r < 0) {
                log_warning("a client is turned away: who it is can not be told: %s", strerror(-r));
                fd_close_foreign(fd);
                return 0;
        }
        rights = access_rights(&api->access, &who);
        verdict = door_judge(api, &who, rights);
        if (verdict != DOOR_SHUT)
                r = client_make(api, fd, &who, rights,
                                verdict == DOOR_REFUSED ? api->settings->user_max_connections : 0);
        if (verdict != DOOR_SHUT && r == 0)
                return 0;
        peer_fini(&who);
        fd_close_foreign(fd);
        return r;
}

/* Its attached jobs end with it. */
static void end_attached(Client *c)
{
        usec_t now = clock_steady();
        JobCalls *calls;

        while ((calls = LIST_FIRST(&c->attached, JobCalls, attached))) {
                Job *job = calls->job;

                list_remove(&calls->attached);
                calls_release(job);
                core_cancel(c->api->core, job, "its client closed the connection", now);
                pools_cancel(c->api->pools, job, false, now);
        }
        c->api->dirty = true;
}

void client_free(Client *c)
{
        list_remove(&c->link);
        list_remove(&c->paused_link);
        if (c->refused)
                c->api->n_refused--;
        else
                c->api->n_clients--;
        if (c->user)
                users_leave(&c->api->users, c->user);
        (void)event_del(&c->stall_timer);
        varlink_server_fini(&c->server); /* forgets what its calls wait for */
        end_attached(c);
        link_fini(&c->connection);
        close_fds(c);
        peer_fini(&c->who);
        free(c);
}
