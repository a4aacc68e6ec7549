/* SPDX-License-Identifier: MIT */

/* The fork server of a program: a fresh image of it that never gets beyond brood_process_init(),
 * has one thread and little memory, and forks a child when its parent asks for one (Python:
 * multiprocessing/forkserver.py). Its children are not the parent's, so it is the one that waits
 * for them: how each ended goes into a socket of its own.
 *
 * The server may be killed at any moment, and then its parent can not know whether a child was
 * born. So a child begins only when its parent has heard of it, and says so through that socket;
 * of one that nobody heard of the socket is closed, and it goes. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "process/child.h"
#include "process/kept.h"
#include "process/nursery.h"
#include "process/start.h"

/* A request has descriptors: data, status, and those that were given along; in more than one
 * message, as one carries no more than FD_PASS_MAX. */
typedef struct Request {
        uint32_t left; /* descriptors that come with further messages */
} Request;

typedef struct Reply {
        int32_t error;
        int32_t pid; /* with its pidfd beside it */
} Reply;

/* --- the parent's side --- */

enum { PATIENCE = 10 * 1000 /* ms: then it is taken for dead */, ATTEMPTS = 5 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int channel = -1; /* -1: there is no server */
static int server = -1;  /* its pidfd */

static void in_child(void)
{
        server_forget();
        mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static void watch_forks(void)
{
        (void)pthread_atfork(NULL, NULL, in_child);
}

static int start_server(void)
{
        char *argv[] = { program_invocation_name, (char *)SERVER_ARGUMENT, NULL };
        AUTO(fd_close) int theirs = -1;
        int ends[2], watch, pidfd, r = children_sentinel(&watch);
        int fds[2];
        ProcessStart start = { .path = "/proc/self/exe", .argv = argv, .environment = environ,
                               .in = -1, .out = child_stream(STDOUT_FILENO),
                               .err = child_stream(STDERR_FILENO), .fds = fds,
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
        channel = fd_own(ends[0]);
        server = fd_own(pidfd);
        return 0;
}

void server_forget(void)
{
        channel = fd_close(channel);
        server = fd_close(server);
}

/* It is dead, or of no use. */
static void end_server(void)
{
        siginfo_t info;

        if (server >= 0) {
                (void)pidfd_signal(server, SIGKILL);
                (void)waitid(P_PIDFD, (id_t)server, &info, WEXITED);
        }
        server_forget();
}

static int send_request(const int *fds, unsigned n)
{
        for (unsigned at = 0; at < n;) {
                unsigned k = MIN(n - at, (unsigned)FD_PASS_MAX);
                Request request = { n - at - k };
                ssize_t r = fd_send(channel, &request, sizeof(request), fds + at, k, 0);

                if (r < 0) {
                        if (at)
                                end_server(); /* it has a part of it */
                        return (int)r;
                }
                at += k;
        }
        return 0;
}

static int hear_reply(pid_t *ret_pid, int *ret_pidfd)
{
        Reply reply;
        size_t n_fds = 1;
        struct pollfd p = { channel, POLLIN, 0 };
        int pidfd = -1, r;
        ssize_t n;

        do
                r = poll(&p, 1, PATIENCE);
        while (r < 0 && errno == EINTR);
        if (r <= 0)
                return -ECONNRESET;
        n = fd_receive(channel, &reply, sizeof(reply), &pidfd, &n_fds, 0);
        if (n == -EXFULL)
                return -EMFILE;
        if (n != sizeof(reply))
                return -ECONNRESET;
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

        if (r < 0)
                return r;
        if (o->child.n_fds)
                memcpy(fds + 2, o->child.fds, o->child.n_fds * sizeof(int));
        r = send_request(fds, o->child.n_fds + 2);
        if (r == 0)
                r = hear_reply(ret_pid, ret_pidfd);
        return r;
}

/* One attempt. -ECONNRESET or -EPIPE: there was no server that could answer, and no child. */
static int try(const ChildObject *o, int data, pid_t *ret_pid, int *ret_pidfd, int *ret_status)
{
        const char go = 1;
        AUTO(fd_close) int status = -1;
        AUTO(fd_close) int theirs = -1;
        int ends[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        status = fd_own(ends[0]);
        theirs = ends[1];
        r = ask(o, data, theirs, ret_pid, ret_pidfd);
        if (r < 0)
                return r;
        (void)send(status, &go, sizeof(go), MSG_NOSIGNAL); /* it may have been killed */
        *ret_status = MOVE_FD(status);
        return 0;
}

int server_start_child(const ChildObject *o, pid_t *ret_pid, int *ret_pidfd, int *ret_status)
{
        AUTO(fd_close) int data = child_object_write(o);
        int r = -ECONNRESET;

        if (data < 0)
                return data;
        (void)pthread_once(&once, watch_forks);
        (void)pthread_mutex_lock(&mutex);
        for (int i = 0; i < ATTEMPTS && (r == -ECONNRESET || r == -EPIPE); i++) {
                r = try(o, data, ret_pid, ret_pidfd, ret_status);
                if (r == -ECONNRESET || r == -EPIPE)
                        end_server(); /* if it was not dead */
        }
        (void)pthread_mutex_unlock(&mutex);
        return r;
}

/* --- the server --- */

typedef struct Server {
        Nursery nursery; /* the key of a child is its status socket */
        Request request;
        int error; /* there was no room for all descriptors of the request that is coming in */
} Server;

static void tell_end(Nursery *n, const NurseryChild *child, const ExitVerdict *verdict)
{
        int code = exit_verdict_code(verdict), status = (int)child->key;

        (void)send(status, &code, sizeof(code), MSG_NOSIGNAL);
        fd_close(status);
}

/* Has the parent heard of this child? It does before long, or goes, or lets go. */
static bool may_begin(int status)
{
        char go;
        ssize_t n;

        do
                n = recv(status, &go, sizeof(go), 0);
        while (n < 0 && errno == EINTR);
        return n == sizeof(go);
}

/* In the child. Signals are as they were when the program was started. */
__attribute__((noreturn)) static void become_child(Nursery *n)
{
        ChildObject o;
        sigset_t none;
        int keep[CHILD_MAX_FDS + 1];

        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (child_object_read(&o, n->fds[0]) < 0 || !may_begin(n->fds[1]))
                _exit(1);
        o.child.fds = n->fds + 2;
        o.child.n_fds = n->n_fds - 2;
        o.sentinel = SERVER_FD_SENTINEL;
        keep[0] = o.sentinel;
        memcpy(keep + 1, n->fds + 2, o.child.n_fds * sizeof(int));
        kept_close_others(keep, o.child.n_fds + 1);
        (void)prctl(PR_SET_NAME, o.child.name);
        if (o.directory && chdir(o.directory) < 0)
                fprintf(stderr, "%s: %s: %s\n", o.child.name, o.directory, strerror(errno));
        child_leave(child_bootstrap(&o));
}

static int give_birth(Server *s, pid_t *ret_pid, int *ret_pidfd)
{
        Nursery *n = &s->nursery;
        pid_t pid;
        int r;

        if (s->error)
                return s->error;
        pid = fork();
        if (pid == 0)
                become_child(n);
        if (pid < 0)
                return -errno;
        r = nursery_take(n, pid, (uint64_t)n->fds[1], ret_pidfd);
        if (r < 0)
                return r;
        n->fds[1] = -1; /* it stays open until tell_end() */
        *ret_pid = pid;
        return 0;
}

static void answer(Server *s)
{
        AUTO(fd_close) int pidfd = -1;
        pid_t pid = -1;
        Reply reply = { .error = -give_birth(s, &pid, &pidfd) };

        reply.pid = pid;
        nursery_close_fds(&s->nursery);
        (void)fd_send(SERVER_FD_CHANNEL, &reply, sizeof(reply), &pidfd, !reply.error, 0);
}

/* False: the parent has gone. */
static bool hear(Nursery *n, ssize_t size)
{
        Server *s = CONTAINER_OF(n, Server, nursery);

        if (size == -EXFULL)
                s->error = -EMFILE; /* and the request was read all the same */
        else if (size != sizeof(s->request))
                return false;
        if (s->request.left)
                return true;
        if (n->n_fds >= 2 || s->error)
                answer(s);
        s->error = 0;
        return true;
}

/* Of the terminal: it is for the server's children and its parent. */
static void ignore_interrupts(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

void server_main(void)
{
        Server s = { .nursery = { .channel = SERVER_FD_CHANNEL,
                                  .sentinel = -1,
                                  .request = &s.request,
                                  .request_size = sizeof(s.request),
                                  .hear = hear,
                                  .mourn = tell_end } };

        (void)fd_cloexec(SERVER_FD_CHANNEL, true);
        (void)fd_cloexec(SERVER_FD_SENTINEL, true);
        (void)prctl(PR_SET_NAME, "brood-forksrv");
        if (sentinel_arm(SERVER_FD_SENTINEL) < 0 || sentinel_gone(SERVER_FD_SENTINEL))
                _exit(1);
        ignore_interrupts();
        if (nursery_init(&s.nursery) < 0)
                _exit(1);
        nursery_serve(&s.nursery);
        _exit(0);
}
