/* SPDX-License-Identifier: MIT */

#include "api/client.h"

#include "api/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "api/access.h"
#include "api/wait.h"
#include "base/fd.h"
#include "ops/log.h"
#include "ops/message_ids.h"

size_t client_backlog(const Client *c)
{
        return varlink_server_backlog(&c->server);
}

static void close_fds(Client *c)
{
        while (c->n_fds)
                fd_close(c->fds[--c->n_fds]);
}

static void arm_stall(Client *c)
{
        usec_t left = c->api->settings->stall_timeout;
        struct timeval t = { (time_t)(left / USEC_PER_SEC), (suseconds_t)(left % USEC_PER_SEC) };

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

        if (buffer_len(&c->server.out) <= CLIENT_SOFT_LIMIT && list_empty(&c->streams))
                return; /* it waits for jobs, not we for it */
        if (clock_monotonic() - c->connection.progress >= limit) {
                log_event(LOG_FIELDS(.id = MESSAGE_CLIENT_DROPPED, .user = &c->uid), LEVEL_NOTICE,
                          "client uid=%u pid=%d dropped: it left %zu bytes of replies unread",
                          c->uid, (int)c->pid, client_backlog(c));
                client_free(c);
        } else {
                arm_stall(c);
        }
}

static void tell_doomed(const Client *c)
{
        log_event(LOG_FIELDS(.id = MESSAGE_CLIENT_DROPPED, .user = &c->uid), LEVEL_NOTICE,
                  "client uid=%u pid=%d dropped: more than %d bytes of replies unread", c->uid,
                  (int)c->pid, CLIENT_HARD_LIMIT);
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
                link_read(&c->connection, false);
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
        if (c->server.broken && !client_backlog(c)) /* its last reply is out */
                (void)shutdown(link->fd, SHUT_RDWR);
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

static void identify(Client *c, int fd)
{
        struct ucred cred = { 0, (uid_t)-1, (gid_t)-1 };
        socklen_t size = sizeof(cred);

        (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size);
        c->uid = cred.uid;
        c->gid = cred.gid;
        c->pid = cred.pid;
        c->operator = access_operate(c->uid);
}

int client_new(Api *api, int fd)
{
        static const LinkOps ops = { .feed = on_bytes, .ended = on_ended, .sent = on_sent };
        Client *c = calloc(1, sizeof(*c));
        int r;

        if (!c) {
                fd_close(fd);
                return -ENOMEM;
        }
        c->api = api;
        identify(c, fd);
        list_init(&c->link);
        list_init(&c->paused_link);
        list_init(&c->attached);
        list_init(&c->streams);
        varlink_server_init(&c->server, &api->service, api->settings->max_message_size);
        evtimer_assign(&c->stall_timer, api->turn->base, on_stall, c);
        r = link_init(&c->connection, api->turn, fd, &c->server.out, &ops, true);
        if (r < 0) {
                fd_close(fd);
                varlink_server_fini(&c->server);
                free(c);
                return r;
        }
        list_append(&api->clients, &c->link);
        api->n_clients++;
        return 0;
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
        c->api->n_clients--;
        (void)event_del(&c->stall_timer);
        varlink_server_fini(&c->server); /* forgets what its calls wait for */
        end_attached(c);
        link_fini(&c->connection);
        close_fds(c);
        free(c);
}
