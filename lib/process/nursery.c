/* SPDX-License-Identifier: MIT */

#include "process/nursery.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/macros.h"
#include "process/orphans.h"
#include "process/start.h"

/* Of the one nursery of this process. A handler, and not a signalfd: whatever thread the kernel
 * chooses (one that code of others has started, say, which does not block SIGCHLD) hears for us. */
static int doorbell = -1;

static void ring(int signal UNUSED)
{
        int e = errno;

        (void)eventfd_write(doorbell, 1);
        errno = e;
}

int nursery_init(Nursery *n)
{
        const struct sigaction action = { .sa_handler = ring,
                                          .sa_flags = SA_RESTART | SA_NOCLDSTOP };

        n->n_fds = 0;
        n->children = NULL;
        n->n_children = n->capacity = 0;
        n->signals = doorbell = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* one may have ended */
        if (doorbell < 0 || sigaction(SIGCHLD, &action, NULL) < 0)
                return -errno;
        return 0;
}

void nursery_fini(Nursery *n)
{
        nursery_close_fds(n);
        (void)signal(SIGCHLD, SIG_DFL);
        n->signals = doorbell = fd_close(n->signals);
        free(n->children);
        n->children = NULL;
        n->n_children = n->capacity = 0;
}

/* --- births --- */

static int make_room(Nursery *n)
{
        unsigned more = MAX(n->capacity * 2, 16u);
        NurseryChild *grown;

        if (n->n_children < n->capacity)
                return 0;
        grown = realloc(n->children, more * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        n->children = grown;
        n->capacity = more;
        return 0;
}

int nursery_take(Nursery *n, pid_t pid, uint64_t key, int *ret_pidfd)
{
        int r = make_room(n);

        if (r < 0)
                return process_undo(pid, r);
        r = process_take(pid, ret_pidfd);
        if (r == 0)
                n->children[n->n_children++] = (NurseryChild){ pid, key };
        return r;
}

void nursery_close_fds(Nursery *n)
{
        while (n->n_fds)
                fd_close(n->fds[--n->n_fds]);
}

/* --- deaths --- */

static NurseryChild *find(const Nursery *n, pid_t pid)
{
        for (unsigned i = 0; i < n->n_children; i++)
                if (n->children[i].pid == pid)
                        return &n->children[i];
        return NULL;
}

static bool is_ours(pid_t pid, void *nursery)
{
        return find(nursery, pid);
}

/* Waits for whoever has ended; what it has left behind is ended, too. */
static void reap(Nursery *n)
{
        struct rusage usage;
        int status;
        pid_t pid;

        while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
                const ExitVerdict verdict = exit_verdict(status, &usage);
                NurseryChild *c = find(n, pid), gone;

                if (c) {
                        gone = *c;
                        *c = n->children[--n->n_children];
                        n->mourn(n, &gone, &verdict);
                }
                if (n->adopts)
                        (void)orphans_kill(is_ours, n);
        }
}

/* --- service --- */

static bool hear(Nursery *n)
{
        size_t room = MIN(ELEMENTS(n->fds) - n->n_fds, (size_t)FD_PASS_MOST);
        ssize_t size = fd_receive(n->channel, n->request, n->request_size, n->fds + n->n_fds,
                                  &room, MSG_DONTWAIT);

        if (size == -EAGAIN)
                return true;
        if (size > 0)
                n->n_fds += (unsigned)room;
        return n->hear(n, size);
}

void nursery_serve(Nursery *n)
{
        eventfd_t times;
        struct pollfd p[] = { { n->sentinel, POLLIN, 0 },
                              { n->channel, POLLIN, 0 },
                              { n->signals, POLLIN, 0 } };

        for (;;) {
                if (poll(p, ELEMENTS(p), -1) < 0)
                        continue;
                if (p[0].revents)
                        return;
                if (p[2].revents && eventfd_read(n->signals, &times) == 0)
                        reap(n);
                if (p[1].revents && !hear(n))
                        return;
        }
}
