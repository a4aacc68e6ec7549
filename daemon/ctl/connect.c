/* SPDX-License-Identifier: MIT */

#include "ctl/connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/print.h"

#define SYSTEM_SOCKET "/run/brood/brood.sock"

/* The path of the user's socket, to be freed; NULL if memory ran out. */
static char *user_socket(void)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        char *path;
        int n;

        if (runtime && *runtime)
                n = asprintf(&path, "%s/brood/brood.sock", runtime);
        else
                n = asprintf(&path, "/run/user/%u/brood/brood.sock", (unsigned)getuid());
        return n < 0 ? NULL : path;
}

bool connect_to_user(const Options *o)
{
        AUTO(free) char *path = NULL;

        if (option_given(o, OPTION_USER) || option_given(o, OPTION_SYSTEM))
                return option_given(o, OPTION_USER);
        if (getuid() == 0)
                return false;
        path = user_socket();
        return path && access(path, F_OK) == 0;
}

static char *find_socket(const Options *o)
{
        const char *variable = getenv("BROOD_SOCKET");
        bool named = option_given(o, OPTION_USER) || option_given(o, OPTION_SYSTEM);

        if (option_given(o, OPTION_SOCKET))
                return strdup(o->values[OPTION_SOCKET].text);
        if (!named && variable && *variable)
                return strdup(variable);
        return connect_to_user(o) ? user_socket() : strdup(SYSTEM_SOCKET);
}

static int open_client(Ctl *ctl)
{
        int r = varlink_client_new(&ctl->client, ctl->socket);

        if (r == 0)
                return STATUS_DONE;
        ctl->client = NULL;
        if (r == -EACCES || r == -EPERM)
                say("cannot reach broodd at %s: %s: this user may not use it ([Access] of "
                    "brood.conf, or the socket's unit, says who may)",
                    ctl->socket, strerror(-r));
        else
                say("cannot reach broodd at %s: %s: is it running? (systemctl status broodd)",
                    ctl->socket, strerror(-r));
        return STATUS_UNREACHABLE;
}

int connect_find(Ctl *ctl)
{
        if (!ctl->socket)
                ctl->socket = find_socket(ctl->options);
        return ctl->socket ? STATUS_DONE : ctl_no_memory();
}

int connect_daemon(Ctl *ctl)
{
        int status = connect_find(ctl);

        return status ? status : open_client(ctl);
}

int connect_again(const Ctl *ctl, Ctl *ret)
{
        *ret = *ctl;
        ret->client = NULL;
        ret->socket = strdup(ctl->socket);
        return ret->socket ? open_client(ret) : ctl_no_memory();
}

void connect_end(Ctl *ctl)
{
        varlink_client_free(ctl->client);
        free(ctl->socket);
        ctl->client = NULL;
        ctl->socket = NULL;
}

int connect_lost(const Ctl *ctl, int error)
{
        if (error == -ENOMEM)
                return ctl_no_memory();
        if (error == -ECONNRESET || error == -EPIPE)
                say("broodd at %s went away", ctl->socket);
        else if (error == -EBADMSG || error == -EMSGSIZE)
                say("what listens at %s does not speak as broodd does", ctl->socket);
        else
                say("the connection to broodd at %s failed: %s", ctl->socket, strerror(-error));
        return STATUS_UNREACHABLE;
}
