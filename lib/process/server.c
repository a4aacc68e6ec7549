/* SPDX-License-Identifier: MIT */

/* The fork server of a program: a fresh image of it that never gets beyond brood_process_init(),
 * has one thread and little memory, and forks a child when its parent asks for one (Python:
 * multiprocessing/forkserver.py). Its children are not the parent's, so it is the one that waits
 * for them: how each ended goes into a pipe of its own. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "process/child.h"
#include "process/kept.h"
#include "process/start.h"

/* A request has descriptors: data, status, and those that were given along; in more than one
 * message, as one carries no more than FD_PASS_MAX. */
typedef struct Request {
        uint32_t n_fds; /* of all messages of this request */
} Request;

typedef struct Reply {
        int32_t error;
        int32_t pid; /* with its pidfd beside it */
} Reply;

/* --- the parent's side --- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int channel = -1; /* -1: there is no server */

static int start_server(void)
{
        char *argv[] = { program_invocation_name, (char *)SERVER_ARGUMENT, NULL };
        AUTO(fd_close) int theirs = -1;
        AUTO(fd_close) int pidfd = -1;
        int ends[2], watch, r = children_sentinel(&watch);
        int fds[2];
        ProcessStart start = { .path = "/proc/self/exe", .argv = argv, .environment = environ,
                               .in = -1, .out = STDOUT_FILENO, .err = STDERR_FILENO, .fds = fds,
                               .n_fds = ELEMENTS(fds) };
        pid_t pid;

        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        theirs = fds[0] = ends[1];
        fds[1] = watch;
        r = process_start(&start, &pid, &pidfd);
        if (r < 0) {
                fd_close(ends[0]);
                return r;
        }
        channel = ends[0];
        return 0;
}

void server_forget(void)
{
        channel = fd_close(channel);
}

static int send_request(const int *fds, unsigned n)
{
        Request request = { n };

        for (unsigned at = 0; at < n;) {
                unsigned k = MIN(n - at, (unsigned)FD_PASS_MAX);
                ssize_t r = fd_send(channel, &request, sizeof(request), fds + at, k, 0);

                if (r < 0)
                        return (int)r;
                at += k;
        }
        return 0;
}

static int hear_reply(pid_t *ret_pid, int *ret_pidfd)
{
        Reply reply;
        size_t n_fds = 1;
        int pidfd = -1;
        ssize_t n = fd_receive(channel, &reply, sizeof(reply), &pidfd, &n_fds, 0);

        if (n != sizeof(reply))
                return n < 0 ? (int)n : -ECONNRESET;
        if (reply.error)
                return -reply.error;
        *ret_pid = reply.pid;
        *ret_pidfd = pidfd;
        return 0;
}

static int ask(const ChildObject *o, int data, int status, pid_t *ret_pid, int *ret_pidfd)
{
        int fds[CHILD_MAX_FDS + 2] = { data, status };
        int r = channel < 0 ? start_server() : 0;

        if (o->child.n_fds)
                memcpy(fds + 2, o->child.fds, o->child.n_fds * sizeof(int));
        if (r == 0)
                r = send_request(fds, o->child.n_fds + 2);
        return r < 0 ? r : hear_reply(ret_pid, ret_pidfd);
}

int server_start_child(const ChildObject *o, pid_t *ret_pid, int *ret_pidfd, int *ret_status)
{
        AUTO(fd_close) int data = child_object_write(o);
        AUTO(fd_close) int status = -1;
        AUTO(fd_close) int theirs = -1;
        int ends[2], r = -ECONNRESET;

        if (data < 0)
                return data;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        status = ends[0];
        theirs = ends[1];
        (void)pthread_mutex_lock(&mutex);
        for (int i = 0; i < 2 && (r == -ECONNRESET || r == -EPIPE); i++) {
                r = ask(o, data, theirs, ret_pid, ret_pidfd);
                if (r == -ECONNRESET || r == -EPIPE)
                        server_forget(); /* somebody has killed it: there is another */
        }
        (void)pthread_mutex_unlock(&mutex);
        if (r == 0)
                *ret_status = MOVE_FD(status);
        return r;
}

/* --- the server --- */

typedef struct ServerChild {
        pid_t pid;
        int status;
} ServerChild;

typedef struct Server {
        int signals;
        ServerChild *children;
        unsigned n_children, capacity;
        int fds[CHILD_MAX_FDS + 2]; /* of the request that is coming in */
        unsigned n_fds;
} Server;

static int remember(Server *s, ServerChild child)
{
        if (s->n_children == s->capacity) {
                unsigned more = MAX(s->capacity * 2, 16u);
                ServerChild *grown = realloc(s->children, more * sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                s->children = grown;
                s->capacity = more;
        }
        s->children[s->n_children++] = child;
        return 0;
}

static void reap(Server *s)
{
        int status, code;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                for (unsigned i = 0; i < s->n_children; i++) {
                        if (s->children[i].pid != pid)
                                continue;
                        code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
                        (void)!write(s->children[i].status, &code, sizeof(code)); /* who wants it */
                        fd_close(s->children[i].status);
                        s->children[i] = s->children[--s->n_children];
                        break;
                }
}

/* In the child. Signals are as they were when the program was started. */
__attribute__((noreturn)) static void become_child(Server *s)
{
        ChildObject o;
        sigset_t none;
        int keep[CHILD_MAX_FDS + 1];

        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        if (child_object_read(&o, s->fds[0]) < 0)
                _exit(1);
        o.child.fds = s->fds + 2;
        o.child.n_fds = s->n_fds - 2;
        o.sentinel = SERVER_FD_SENTINEL;
        keep[0] = o.sentinel;
        memcpy(keep + 1, s->fds + 2, o.child.n_fds * sizeof(int));
        kept_close_others(keep, o.child.n_fds + 1);
        (void)prctl(PR_SET_NAME, o.child.name);
        if (o.directory && chdir(o.directory) < 0)
                fprintf(stderr, "%s: %s: %s\n", o.child.name, o.directory, strerror(errno));
        int code = child_bootstrap(&o);

        (void)fflush(NULL);
        _exit(code);
}

static void close_fds(Server *s, unsigned but)
{
        for (unsigned i = 0; i < s->n_fds; i++)
                if (i != but)
                        fd_close(s->fds[i]);
        s->n_fds = 0;
}

static void give_birth(Server *s)
{
        Reply reply = { 0 };
        AUTO(fd_close) int pidfd = -1;
        pid_t pid = fork();

        if (pid == 0)
                become_child(s);
        reply.pid = pid;
        if (pid < 0)
                reply.error = errno;
        else
                pidfd = pidfd_open_for(pid);
        if (pid > 0 && (pidfd < 0 || remember(s, (ServerChild){ pid, s->fds[1] }) < 0)) {
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
                reply.error = ENOMEM;
        }
        close_fds(s, reply.error ? UINT32_MAX : 1);
        (void)fd_send(SERVER_FD_CHANNEL, &reply, sizeof(reply), &pidfd, !reply.error, 0);
}

/* Returns false when the parent has gone. */
static bool hear(Server *s)
{
        Request request;
        size_t room = MIN(ELEMENTS(s->fds) - s->n_fds, (size_t)FD_PASS_MAX);
        ssize_t n = fd_receive(SERVER_FD_CHANNEL, &request, sizeof(request), s->fds + s->n_fds,
                               &room, MSG_DONTWAIT);

        if (n == -EAGAIN || n == -EINTR)
                return true;
        if (n != sizeof(request))
                return false;
        s->n_fds += (unsigned)room;
        if (s->n_fds >= request.n_fds && s->n_fds >= 2)
                give_birth(s);
        return true;
}

static void watch_children(Server *s)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGINT); /* of the terminal: it is for its children and its parent */
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        (void)signal(SIGPIPE, SIG_IGN); /* a parent that does not want to know how one ended */
        sigdelset(&set, SIGINT);
        s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void server_main(void)
{
        Server s = { 0 };
        struct signalfd_siginfo info;
        struct pollfd p[2] = { { SERVER_FD_CHANNEL, POLLIN, 0 } };

        (void)fd_cloexec(SERVER_FD_CHANNEL, true);
        (void)fd_cloexec(SERVER_FD_SENTINEL, true);
        (void)prctl(PR_SET_NAME, "brood-forksrv");
        if (sentinel_arm(SERVER_FD_SENTINEL) < 0 || sentinel_gone(SERVER_FD_SENTINEL))
                _exit(1);
        watch_children(&s);
        p[1] = (struct pollfd){ s.signals, POLLIN, 0 };
        for (;;) {
                if (poll(p, ELEMENTS(p), -1) < 0)
                        continue;
                if (p[1].revents && read(s.signals, &info, sizeof(info)) > 0)
                        reap(&s);
                if (p[0].revents && !hear(&s))
                        _exit(0);
        }
}
