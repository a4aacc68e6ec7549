/* SPDX-License-Identifier: MIT */

/* A client: its connection, from open to close. */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/entropy.h"
#include "base/fd.h"
#include "base/uuid.h"
#include "client/inside.h"

#define SYSTEM_SOCKET "/run/brood/brood.sock"

enum { DEFAULT_LIMIT = 64 * 1024 * 1024 };

/* --- forks --- */

static unsigned forks;
static pthread_once_t counting = PTHREAD_ONCE_INIT;

/* The random bytes that the parent has drawn would make its ids again. */
static void in_child(void)
{
        forks++;
        entropy_forget();
}

static void begin_counting(void)
{
        (void)pthread_atfork(NULL, NULL, in_child); /* without memory: a fork is not noticed */
}

unsigned client_generation(void)
{
        (void)pthread_once(&counting, begin_counting);
        return forks;
}

void brood_client_make_id(BroodId *ret)
{
        Uuid id;

        (void)client_generation();
        id = uuid_new(clock_read(CLOCK_REALTIME));
        *ret = (BroodId){ "" };
        uuid_write(&id, ret->text);
}

/* --- opening --- */

static char *find_socket(void)
{
        const char *named = getenv("BROOD_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
        AUTO(free) char *path = NULL;

        if (named && *named)
                return strdup(named);
        if (runtime && *runtime && geteuid() != 0) {
                if (asprintf(&path, "%s/brood/brood.sock", runtime) < 0)
                        path = NULL;
                if (path && access(path, F_OK) == 0)
                        return MOVE_PTR(path);
        }
        return strdup(SYSTEM_SOCKET);
}

static BroodClient *client_new(void)
{
        BroodClient *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->limit = DEFAULT_LIMIT;
        c->timeout = -1;
        c->generation = client_generation();
        list_init(&c->calls);
        list_init(&c->spare);
        return c;
}

DEFINE_CLEANUP(BroodClient, brood_client_close);

int brood_client_open(BroodClient **ret, const char *socket)
{
        AUTO(brood_client_close) BroodClient *c = client_new();
        int r;

        if (!c)
                return -ENOMEM;
        c->path = socket ? strdup(socket) : find_socket();
        if (!c->path)
                return -ENOMEM;
        r = varlink_client_new(&c->varlink, c->path);
        if (r < 0)
                return r;
        varlink_client_limit(c->varlink, c->limit);
        *ret = MOVE_PTR(c);
        return 0;
}

int brood_client_open_fd(BroodClient **ret, int fd)
{
        AUTO(brood_client_close) BroodClient *c = client_new();
        int r;

        if (!c) {
                fd_close(fd);
                return -ENOMEM;
        }
        r = varlink_client_new_fd(&c->varlink, fd);
        if (r < 0)
                return r;
        varlink_client_limit(c->varlink, c->limit);
        *ret = MOVE_PTR(c);
        return 0;
}

BroodClient *client_second(const BroodClient *c)
{
        AUTO(brood_client_close) BroodClient *second = client_new();

        if (!second)
                return NULL;
        second->path = strdup(c->path);
        second->lost = -ENOTCONN;
        return second->path ? MOVE_PTR(second) : NULL;
}

int brood_client_reconnect(BroodClient *client)
{
        int r = client_usable(client, true);

        if (r < 0)
                return r;
        if (!client->path)
                return client_fail(client, -ENOTSUP, "the client was opened from a descriptor");
        if (!client->lost)
                (void)client_lose(client, -ECANCELED);
        varlink_client_free(client->varlink);
        client->varlink = NULL;
        r = varlink_client_new(&client->varlink, client->path);
        if (r < 0)
                return client_fail(client, r, "%s: %s", client->path, strerror(-r));
        varlink_client_limit(client->varlink, client->limit);
        client->lost = 0;
        return 0;
}

static void free_calls(List *calls)
{
        ClientCall *call;

        while ((call = LIST_FIRST(calls, ClientCall, link))) {
                list_remove(&call->link);
                free(call);
        }
}

void brood_client_close(BroodClient *client)
{
        if (!client)
                return;
        client->closing = true;
        if (client->inside)
                return;
        if (client->generation == client_generation() && !client->lost)
                (void)client_lose(client, -ECANCELED);
        brood_client_close(client->side);
        varlink_client_free(client->varlink);
        varlink_scan_fini(&client->scan);
        free_calls(&client->calls);
        free_calls(&client->spare);
        client_forget_error(client);
        free(client->path);
        free(client);
}

/* --- settings --- */

void brood_client_set_timeout(BroodClient *client, int64_t usec)
{
        client->timeout = usec;
}

void brood_client_set_patience(BroodClient *client, int64_t usec)
{
        client->patience = usec < 0 ? INT64_MAX : usec;
}

void brood_client_set_limit(BroodClient *client, size_t bytes)
{
        client->limit = bytes;
        if (client->varlink)
                varlink_client_limit(client->varlink, bytes);
}

/* --- for a loop --- */

int brood_client_fd(const BroodClient *client)
{
        return client->varlink ? varlink_client_fd(client->varlink) : -1;
}

short brood_client_events(const BroodClient *client)
{
        if (client->lost || !client->varlink)
                return 0;
        return buffer_len(varlink_client_out(client->varlink)) ? POLLIN | POLLOUT : POLLIN;
}

size_t brood_client_pending(const BroodClient *client)
{
        return client->n_calls;
}
