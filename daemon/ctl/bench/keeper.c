/* SPDX-License-Identifier: MIT */

/* Why a process: broodctl may be killed with SIGKILL, and then can neither stop its daemon nor
 * remove a file. The daemon alone could be made to die with it (PR_SET_PDEATHSIG), but its
 * directory would stay. So Ctrl-C needs no handler, either: the keeper is in a session of its own,
 * and does when its parent is gone what it would have done anyway. */

#include "ctl/bench/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"
#include "process/orphans.h"
#include "process/start.h"

enum { KEEPER_FD = 3, STOP_SECONDS = 10 };

static const char conf[] = "[Daemon]\nLogLevel=warning\nStopTimeout=1s\n";

/* Sets the words; returns false. */
static bool wrong(BenchKeeper *k, const char *what, const char *path, int error)
{
        (void)snprintf(k->words, sizeof(k->words), "%s %s: %s", what, path, strerror(error));
        return false;
}

/* --- what it makes --- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
        (void)remove(path); /* what is left behind is nothing that anybody misses */
        return 0;
}

static void remove_tree(const char *directory)
{
        if (*directory)
                (void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in(const BenchKeeper *k, const char *name, char *to, size_t size)
{
        (void)snprintf(to, size, "%s/%s", k->directory, name);
        return to;
}

static bool make_directory(BenchKeeper *k, const char *name)
{
        char path[128];

        return mkdir(in(k, name, path, sizeof(path)), 0700) == 0 ||
               wrong(k, "cannot make", path, errno);
}

static bool write_file(BenchKeeper *k, const char *name, const char *text)
{
        char path[128];
        AUTO(fd_close) int fd = open(in(k, name, path, sizeof(path)),
                                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));

        return r == 0 || wrong(k, "cannot write", path, -r);
}

/* A name that is not there yet, in a directory that is. */
static bool make_unique(BenchKeeper *k, char *to, size_t size, const char *directory)
{
        int n = snprintf(to, size, "%s/brood-bench-XXXXXX", directory);

        if (n > 0 && (size_t)n < size && mkdtemp(to))
                return true;
        n = n < 0 || (size_t)n >= size ? ENAMETOOLONG : errno;
        to[0] = '\0';
        return wrong(k, "cannot make a directory in", directory, n);
}

static bool make_all(BenchKeeper *k, const BenchKeeperSpec *spec)
{
        const char *base = getenv("TMPDIR");

        if (!make_unique(k, k->directory, sizeof(k->directory), base && *base ? base : "/tmp"))
                return false;
        if (spec->state && !make_unique(k, k->state, sizeof(k->state), spec->state))
                return false;
        if (!spec->state)
                (void)snprintf(k->state, sizeof(k->state), "%s/state", k->directory);
        return make_directory(k, "config") && make_directory(k, "config/pools") &&
               make_directory(k, "run") && (spec->state || make_directory(k, "state")) &&
               write_file(k, "config/brood.conf", conf) &&
               write_file(k, "config/pools/bench.pool", spec->pool);
}

/* --- the daemon --- */

/* The environment without what a service manager has said to broodctl itself. */
static char **plain_environment(void)
{
        static const char *const foreign[] = { "LISTEN_", "NOTIFY_SOCKET=", "WATCHDOG_",
                                               "STATE_DIRECTORY=", "RUNTIME_DIRECTORY=",
                                               "JOURNAL_STREAM=" };
        size_t n = 0, kept = 0;
        char **list;

        while (environ[n])
                n++;
        list = calloc(n + 1, sizeof(*list));
        for (size_t i = 0; list && i < n; i++) {
                bool is_foreign = false;

                for (size_t j = 0; j < ELEMENTS(foreign); j++)
                        is_foreign |= strncmp(environ[i], foreign[j], strlen(foreign[j])) == 0;
                if (!is_foreign)
                        list[kept++] = environ[i];
        }
        return list;
}

static int start_program(BenchKeeper *k, const char *program, char *const *argv, int *ret_pidfd)
{
        char path[128];
        AUTO(fd_close) int log = open(in(k, "log", path, sizeof(path)),
                                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        AUTO(free) char **environment = plain_environment();
        ProcessStart start = { .path = program,
                               .argv = argv,
                               .environment = environment,
                               .in = -1,
                               .out = log,
                               .err = log,
                               .die_with_parent = true };

        if (log < 0)
                return -errno;
        return environment ? process_start(&start, &k->daemon, ret_pidfd) : -ENOMEM;
}

static bool start_daemon(BenchKeeper *k, const char *program, int *ret_pidfd)
{
        char config[128], socket[128], runtime[128], state[sizeof(k->state) + 32];
        char *argv[] = { "broodd", config, socket, state, runtime, NULL };
        int r;

        (void)snprintf(config, sizeof(config), "--config=%s/config", k->directory);
        (void)snprintf(socket, sizeof(socket), "--socket=%s/sock", k->directory);
        (void)snprintf(runtime, sizeof(runtime), "--runtime-directory=%s/run", k->directory);
        (void)snprintf(state, sizeof(state), "--state-directory=%s", k->state);
        r = start_program(k, program, argv, ret_pidfd);
        return r == 0 || wrong(k, "cannot start", program, -r);
}

/* Until nobody needs it any more. */
static void keep(int pidfd)
{
        struct pollfd p[] = { { .fd = KEEPER_FD, .events = POLLIN },
                              { .fd = pidfd, .events = POLLIN } };

        while (!p[0].revents) {
                (void)fd_poll(p, ELEMENTS(p), USEC_INFINITY);
                if (p[1].revents) {
                        (void)shutdown(KEEPER_FD, SHUT_WR); /* its last words are still read */
                        p[1] = (struct pollfd){ .fd = -1 };
                }
        }
}

static void end_daemon(int pidfd)
{
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        (void)pidfd_signal(pidfd, SIGTERM);
        (void)fd_poll(&p, 1, usec_add(clock_monotonic(), STOP_SECONDS * USEC_PER_SEC));
        (void)orphans_end_all();
}

/* --- the keeper --- */

/* Of a session of its own, and with no descriptor but the connection: whoever waits for the end of
 * broodctl's output does not have to wait for us, nor does another keeper. */
static void be_alone(int fd)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)setsid();
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)prctl(PR_SET_NAME, "bench-keeper");
        for (int i = 0; i < KEEPER_FD && null >= 0; i++)
                (void)dup2(null, i);
        if (fd != KEEPER_FD)
                (void)dup3(fd, KEEPER_FD, O_CLOEXEC);
        (void)close_range(KEEPER_FD + 1, ~0U, 0);
        (void)orphans_adopt();
}

static _Noreturn void keeper_main(int fd, BenchKeeper *k, const BenchKeeperSpec *spec)
{
        int pidfd = -1;
        bool good;

        be_alone(fd);
        good = make_all(k, spec) && start_daemon(k, spec->program, &pidfd);
        (void)fd_write_all(KEEPER_FD, k, sizeof(*k));
        if (good) {
                keep(pidfd);
                end_daemon(pidfd);
        }
        if (spec->state)
                remove_tree(k->state);
        remove_tree(k->directory);
        _exit(0);
}

/* --- in broodctl --- */

/* Returns its wait status. */
static int wait_for(pid_t pid)
{
        int status = 0;

        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return status;
}

bool bench_keeper_start(BenchKeeper *k, const BenchKeeperSpec *spec)
{
        int pair[2];
        pid_t pid;

        *k = (BenchKeeper){ .fd = -1 };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return wrong(k, "cannot make", "a pair of sockets", errno);
        (void)fflush(NULL);
        pid = fork();
        if (pid == 0)
                keeper_main(pair[1], k, spec);
        (void)fd_close(pair[1]);
        if (pid < 0)
                (void)wrong(k, "cannot make", "a process", errno);
        else if (fd_read_all(pair[0], k, sizeof(*k)) != sizeof(*k))
                (void)wrong(k, "cannot start", spec->program, ECHILD);
        k->pid = pid;
        k->fd = pair[0];
        if (k->words[0] && pid > 0)
                bench_keeper_end(k);
        else if (k->words[0])
                k->fd = fd_close(k->fd);
        return !k->words[0];
}

void bench_keeper_end(BenchKeeper *k)
{
        if (k->fd < 0)
                return;
        k->fd = fd_close(k->fd);
        if (!WIFSIGNALED(wait_for(k->pid)))
                return;
        remove_tree(k->state); /* somebody has killed it, and the daemon died with it */
        remove_tree(k->directory);
}
