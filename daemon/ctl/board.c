/* SPDX-License-Identifier: MIT */

#include "ctl/board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "ctl/connect.h"
#include "ctl/print.h"
#include "varlink/client.h"

#define SYSTEM_DIRECTORY "/run/brood/daemon" /* RuntimeDirectory= of the service */

/* A turn of the loop that takes longer is no work any more. */
#define LONG_TURN USEC_PER_SEC

/* --- finding it --- */

/* Is it that of the daemon behind this socket? A file that somebody named is. */
static bool is_ours(const Ctl *ctl, const BoardAt *b)
{
        return option_given(ctl->options, OPTION_RUNTIME_DIRECTORY) ||
               strcmp(b->head.socket, ctl->socket) == 0;
}

static int open_board(const Ctl *ctl, int directory, const char *path, bool named, BoardAt *ret)
{
        /* where a pipe stands, nobody waits for its other end */
        AUTO(fd_close) int fd = openat(directory, path,
                                       O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        int r = fd < 0 ? -errno : board_view_open(&ret->view, fd);

        if (r < 0)
                return r;
        board_refresh(ret);
        if (named || is_ours(ctl, ret))
                return 0;
        board_forget(ret);
        return -ENOENT;
}

static int open_in(const Ctl *ctl, const char *directory, BoardAt *ret)
{
        int n = snprintf(ret->path, sizeof(ret->path), "%s/" BOARD_FILE, directory);

        if (n < 0 || (size_t)n >= sizeof(ret->path))
                return -ENAMETOOLONG;
        return open_board(ctl, AT_FDCWD, ret->path, false, ret);
}

static int open_beside(const Ctl *ctl, BoardAt *ret)
{
        AUTO(free) char *directory = strdup(ctl->socket);
        char *slash = directory ? strrchr(directory, '/') : NULL;

        if (!directory)
                return -ENOMEM;
        if (slash)
                *slash = '\0';
        return open_in(ctl, slash ? directory : ".", ret);
}

/* Who made the socket on which it is listened; 0: nobody. That takes no word of theirs. */
static pid_t listener_of(const char *path)
{
        AUTO(fd_close) int fd = varlink_connect(path, SOCK_NONBLOCK);
        struct ucred peer = { 0 };
        socklen_t size = sizeof(peer);

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return 0;
        return peer.pid;
}

static bool is_scoreboard(int directory, const char *name)
{
        char target[4096];
        ssize_t n = readlinkat(directory, name, target, sizeof(target) - 1);
        const char *slash;

        target[n > 0 ? n : 0] = '\0';
        slash = strrchr(target, '/');
        return slash && strcmp(slash + 1, BOARD_FILE) == 0;
}

/* The daemon keeps it open, wherever it is. */
static int open_of_process(const Ctl *ctl, pid_t pid, BoardAt *ret)
{
        const struct dirent *entry;
        char path[64];
        int r = -ENOENT;
        DIR *fds;

        (void)snprintf(ret->path, sizeof(ret->path), "/proc/%d/fd/…/" BOARD_FILE, (int)pid);
        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        fds = pid > 0 ? opendir(path) : NULL;
        if (!fds)
                return pid > 0 ? -errno : -ENOENT;
        while (r < 0 && (entry = readdir(fds)))
                if (is_scoreboard(dirfd(fds), entry->d_name))
                        r = open_board(ctl, dirfd(fds), entry->d_name, true, ret);
        (void)closedir(fds);
        return r;
}

static int open_user(const Ctl *ctl, BoardAt *ret)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        char path[4096];

        if (!runtime || !*runtime)
                return -ENOENT;
        (void)snprintf(path, sizeof(path), "%s/brood", runtime);
        return open_in(ctl, path, ret);
}

/* Where it is not in one of the usual places. */
static bool open_elsewhere(const Ctl *ctl, BoardAt *ret)
{
        BoardAt found = { 0 };

        if (open_user(ctl, &found) < 0 &&
            open_of_process(ctl, listener_of(ctl->socket), &found) < 0)
                return false;
        *ret = found;
        return true;
}

int board_find(const Ctl *ctl, BoardAt *ret)
{
        const char *named = ctl->options->values[OPTION_RUNTIME_DIRECTORY].text;
        int r;

        *ret = (BoardAt){ 0 };
        if (named)
                return open_in(ctl, named, ret);
        r = open_beside(ctl, ret);
        if (r == -ENOENT || r == -EBADMSG)
                r = open_in(ctl, SYSTEM_DIRECTORY, ret);
        return r < 0 && open_elsewhere(ctl, ret) ? 0 : r;
}

void board_forget(BoardAt *b)
{
        board_view_close(&b->view);
}

void board_refresh(BoardAt *b)
{
        (void)board_read_head(&b->view, &b->head); /* half written, it is better than nothing */
        b->now = clock_monotonic() + b->head.offset;
}

/* --- how the daemon does --- */

/* The letter that proc(5) has for it; 0: there is no such process, or it is another one by now. */
static char process_state(pid_t pid)
{
        char path[64], text[512];
        const char *name, *end;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        fd_close(fd);
        text[n > 0 ? n : 0] = '\0';
        name = strchr(text, '(');
        end = strrchr(text, ')');
        if (!name || !end || strncmp(name, "(broodd)", 8) != 0 || strlen(end) < 3)
                return 0;
        return end[2];
}

static bool is_over(char state)
{
        return !state || state == 'Z' || state == 'X';
}

bool board_is_left(const BoardAt *b)
{
        return is_over(process_state((pid_t)b->head.pid));
}

const char *board_ailment(const BoardAt *b, char *to, size_t size)
{
        usec_t began = b->head.turn_began;
        char state = process_state((pid_t)b->head.pid);

        if (is_over(state))
                (void)snprintf(to, size, "is dead: this is what it left, %s ago",
                               age_text(b->head.written, b->now).text);
        else if (state == 'T')
                (void)snprintf(to, size, "does not answer: it is stopped (SIGSTOP, or Ctrl-Z)");
        else if (state == 't')
                (void)snprintf(to, size, "does not answer: it is stopped by a debugger");
        else if (began && b->now > began + LONG_TURN)
                (void)snprintf(to, size, "does not answer: its loop has not gone on for %s%s",
                               age_text(began, b->now).text,
                               state == 'D' ? "; it waits for a disk, or the like" : "");
        else
                return NULL;
        return to;
}
