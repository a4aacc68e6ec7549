/* SPDX-License-Identifier: MIT */

#include "api/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "api/client.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "ops/log.h"

enum { BACKLOG = 1024, ACCEPT_WORK = 64 };

static int accept_one(Listener *l)
{
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return -errno;
        return client_new(l->api, fd);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
        Listener *l = context;

        (void)event_add(&l->readable, NULL);
}

/* There is no room for a client just now, and there would be none the next moment either. */
static void rest(Listener *l, int error)
{
        static const struct timeval pause = { 0, 100000 };

        log_warning("can not accept a client: %s; trying again", strerror(-error));
        (void)event_del(&l->readable);
        (void)evtimer_add(&l->resume, &pause);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
        Listener *l = context;

        for (int i = 0; i < ACCEPT_WORK; i++) {
                int r = accept_one(l);

                if (r == -EAGAIN || r == -EINTR || r == -ECONNABORTED)
                        return;
                if (r < 0) {
                        rest(l, r);
                        return;
                }
        }
}

/* Does somebody listen there? */
static bool answered(const struct sockaddr_un *a)
{
        AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd >= 0 &&
               (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN);
}

/* Is it a socket on which nobody listens any more? */
static bool stale(const struct sockaddr_un *a)
{
        struct stat st;

        return lstat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && !answered(a);
}

static int bind_at(int fd, const char *path, char *error, size_t size)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        mode_t mask;
        int r;

        if (strlen(path) >= sizeof(a.sun_path)) {
                (void)snprintf(error, size, "%s: a socket's path has at most %zu bytes", path,
                               sizeof(a.sun_path) - 1);
                return -ENAMETOOLONG;
        }
        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
        mask = umask(0177); /* mode 0600, from the first moment on */
        r = bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
        if (r == -EADDRINUSE && stale(&a) && unlink(path) == 0)
                r = bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
        (void)umask(mask);
        if (r == -EADDRINUSE)
                (void)snprintf(error, size, "%s: another daemon listens there, or it is no socket",
                               path);
        else if (r < 0)
                (void)snprintf(error, size, "%s: %s", path, strerror(-r));
        return r;
}

static int make_socket(Listener *l, const char *path, char *error, size_t size)
{
        AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r = fd < 0 ? -errno : bind_at(fd, path, error, size);
        struct stat st;

        if (r < 0)
                return r;
        l->path = strdup(path);
        if (!l->path || listen(fd, BACKLOG) < 0 || lstat(path, &st) < 0) {
                r = l->path ? -errno : -ENOMEM;
                (void)unlink(path);
                (void)snprintf(error, size, "%s: %s", path, strerror(-r));
                return r;
        }
        l->device = st.st_dev;
        l->inode = st.st_ino;
        l->fd = MOVE_FD(fd);
        return 0;
}

/* Whoever may write into the directory may have put something else there, which is not to be opened
 * to anybody: the mode of the very file that was bound is changed, or none. */
static int change_mode(const Listener *l, mode_t mode)
{
        AUTO(fd_close) int fd = open(l->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        char name[64];
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode) || st.st_dev != l->device || st.st_ino != l->inode)
                return -ESTALE;
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        return chmod(name, mode) < 0 ? -errno : 0;
}

/* The one that is named for the metrics is put aside. Returns how many others there are. */
static int sort_passed(Listener *l, char **names, int n)
{
        int others = 0;

        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (l->metrics_fd < 0 && strcmp(names[i], "metrics") == 0 &&
                    sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0) {
                        l->metrics_fd = fd;
                } else {
                        l->fd = fd;
                        others++;
                }
        }
        return others;
}

/* Where there is only one for the metrics, the other one is ours to make. */
static int take_passed(Listener *l, char **names, int n, const char *path, char *error, size_t size)
{
        int others = sort_passed(l, names, n);

        if (others == 0)
                return make_socket(l, path, error, size);
        if (others != 1 || sd_is_socket_unix(l->fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
                (void)snprintf(error, size,
                               "LISTEN_FDS: expected one listening Unix stream socket (and one "
                               "named metrics), got %d %s",
                               others, others == 1 ? "descriptor that is something else"
                                                   : "descriptors");
                return -EINVAL;
        }
        return fd_nonblock(l->fd, true);
}

static void free_names(char **names, int n)
{
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
}

int listener_open(Listener *l, const char *path, char *error, size_t size)
{
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names), r;

        *l = (Listener){ .fd = -1, .metrics_fd = -1 };
        if (n < 0) {
                (void)snprintf(error, size, "LISTEN_FDS: %s", strerror(-n));
                return n;
        }
        r = n ? take_passed(l, names, n, path, error, size) : make_socket(l, path, error, size);
        free_names(names, n);
        return r;
}

void listener_path(const Listener *l, char *to, size_t size)
{
        struct sockaddr_un a = { 0 };
        socklen_t n = sizeof(a) - 1;

        to[0] = '\0';
        if (getsockname(l->fd, (struct sockaddr *)&a, &n) == 0 && a.sun_family == AF_UNIX)
                (void)snprintf(to, size, "%s", a.sun_path);
}

bool listener_open_to_all(Listener *l, bool open)
{
        int r;

        if (!l->path)
                return false;
        r = change_mode(l, open ? 0666 : 0600);
        if (r == 0)
                return open;
        log_error("%s: its mode can not be changed to %s: %s", l->path, open ? "0666" : "0600",
                  strerror(-r));
        return true;
}

int listener_start(Listener *l, Api *api)
{
        l->api = api;
        evtimer_assign(&l->resume, api->turn->base, on_resume, l);
        if (event_assign(&l->readable, api->turn->base, l->fd, EV_READ | EV_PERSIST, on_readable,
                         l) < 0 ||
            event_priority_set(&l->readable, 2) < 0 || event_add(&l->readable, NULL) < 0)
                return -ENOMEM;
        return 0;
}

void listener_close(Listener *l)
{
        if (l->fd < 0)
                return;
        if (l->api) {
                (void)event_del(&l->readable);
                (void)event_del(&l->resume);
        }
        if (l->path)
                (void)unlink(l->path); /* somebody else may have done it */
        free(l->path);
        l->path = NULL;
        l->fd = fd_close(l->fd);
}
