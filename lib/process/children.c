/* SPDX-License-Identifier: MIT */

/* The parent's side: children, from their start to their exit code. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/macros.h"
#include "process/child.h"
#include "process/kept.h"
#include "process/start.h"

enum { UNKNOWN_CODE = 255 }; /* it ended, and nobody can say how (Python says the same) */

struct BroodProcess {
        List link;
        pid_t pid;
        int pidfd;     /* -1 if `foreign` */
        int status_fd; /* of one that the fork server started: the int that says how it ended */
        char *name;
        bool daemon, outlive;
        bool foreign;  /* of the process that we are a fork of */
        bool ended;
        int code;
};

/* DYING: it is dead, and who knows how is about to say so. */
typedef enum State { RUNS, DYING, ENDED } State;

enum { WORD = 1000 * 1000, PATIENCE = 1000 * 1000 /* µs */ };

DEFINE_CLEANUP(json_t, json_decref);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static List children = LIST_INIT(children);
static Sentinel sentinel = SENTINEL_INIT;
static unsigned counter, generation;
static bool finishing;

/* --- this process --- */

static void lock(void)
{
        (void)pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
        (void)pthread_mutex_unlock(&mutex);
}

/* Its children are our siblings: they are not ours to wait for or to end. */
static void forget_children(void)
{
        BroodProcess *p, *next;

        LIST_FOREACH_SAFE(&children, p, next, link) {
                list_remove(&p->link);
                p->foreign = true;
                p->pidfd = fd_close(p->pidfd);
                p->status_fd = fd_close(p->status_fd);
        }
        counter = 0;
        generation++;
        finishing = false;
}

/* A child of any kind that kept the write end would keep our children from hearing of our end. Its
 * own children get a sentinel of its own; the read end is what it watches itself. */
static void in_child(void)
{
        sentinel.hold = fd_close(sentinel.hold);
        sentinel.watch = -1;
        forget_children();
        unlock();
}

static void set_up(void)
{
        (void)pthread_atfork(lock, unlock, in_child);
        (void)atexit(children_finish);
}

int children_sentinel(int *ret_watch)
{
        int r = 0;

        (void)pthread_once(&once, set_up);
        lock();
        if (sentinel.watch < 0)
                r = sentinel_init(&sentinel);
        *ret_watch = sentinel.watch;
        unlock();
        return r;
}

unsigned children_generation(void)
{
        return generation;
}

unsigned brood_cpu_count(void)
{
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) == 0)
                return (unsigned)CPU_COUNT(&set);
        return (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

/* --- starting --- */

static char *name_of(const BroodProcessSpec *spec)
{
        char *name;
        unsigned n;

        if (spec->name)
                return strdup(spec->name);
        lock();
        n = ++counter;
        unlock();
        return asprintf(&name, "Process-%u", n) < 0 ? NULL : name;
}

static void free_process(BroodProcess *p)
{
        fd_close(p->pidfd);
        fd_close(p->status_fd);
        free(p->name);
        free(p);
}

DEFINE_CLEANUP(BroodProcess, free_process);

/* It does not return. */
static void become_child(ChildObject *o)
{
        static int fds[CHILD_MAX_FDS + 1];

        for (unsigned i = 0; i < o->child.n_fds; i++) {
                int fd = o->child.fds[i];

                fds[i] = fd == STDIN_FILENO ? fcntl(fd, F_DUPFD, STDERR_FILENO + 1) : fd;
        }
        o->child.fds = fds;
        fds[o->child.n_fds] = o->sentinel;
        kept_close_others(fds, o->child.n_fds + 1);
        child_forget_output();
        child_leave(child_bootstrap(o));
}

/* It has ended, and somebody else has reaped it before we could look: nobody knows how. */
static int take_unseen(BroodProcess *p)
{
        p->pidfd = fd_own(eventfd(1, EFD_CLOEXEC)); /* readable, as that of an ended one */
        if (p->pidfd < 0)
                return -errno;
        p->ended = true;
        p->code = UNKNOWN_CODE;
        return 0;
}

/* Of a child of ours that has just been started. */
static int take_pidfd(BroodProcess *p)
{
        int r = process_take(p->pid, &p->pidfd);

        if (r == -ESRCH)
                return take_unseen(p);
        p->pidfd = fd_own(p->pidfd);
        return r;
}

static int start_fork(ChildObject *o, BroodProcess *p)
{
        (void)fflush(stdout); /* or both would write what is in it */
        (void)fflush(stderr);
        p->pid = fork();
        if (p->pid == 0)
                become_child(o);
        if (p->pid < 0)
                return -errno;
        return take_pidfd(p);
}

int child_stream(int fd)
{
        return fcntl(fd, F_GETFD) < 0 ? -1 : fd;
}

static int start_image(const ChildObject *o, BroodProcess *p)
{
        char *argv[] = { program_invocation_name, (char *)CHILD_ARGUMENT, NULL };
        AUTO(fd_close) int data = child_object_write(o);
        int fds[CHILD_MAX_FDS + 2];
        ProcessStart start = { .path = "/proc/self/exe", .argv = argv, .environment = environ,
                               .in = -1, .out = child_stream(STDOUT_FILENO),
                               .err = child_stream(STDERR_FILENO), .fds = fds,
                               .n_fds = o->child.n_fds + 2 };
        int r;

        if (data < 0)
                return data;
        fds[0] = data;
        fds[1] = o->sentinel;
        if (o->child.n_fds)
                memcpy(fds + 2, o->child.fds, o->child.n_fds * sizeof(int));
        r = process_start(&start, &p->pid, NULL);
        return r < 0 ? r : take_pidfd(p);
}

/* In another program nobody arms the sentinel: the kernel ends it with the thread that started it.
 */
static int start_program(const BroodProcessSpec *spec, BroodProcess *p)
{
        ProcessStart start = { .path = spec->program, .argv = spec->argv, .environment = environ,
                               .in = -1, .out = child_stream(STDOUT_FILENO),
                               .err = child_stream(STDERR_FILENO),
                               .fds = spec->fds, .n_fds = spec->n_fds,
                               .die_with_parent = !spec->outlive };
        int r = spec->outlive ? process_start(&start, &p->pid, NULL)
                              : starter_start(&start, &p->pid);

        return r < 0 ? r : take_pidfd(p);
}

static int check_fds(const BroodProcessSpec *s)
{
        for (unsigned i = 0; i < s->n_fds; i++)
                if (fcntl(s->fds[i], F_GETFD) < 0)
                        return -errno;
        return 0;
}

static int check(const BroodProcessSpec *s)
{
        if (s->n_fds > CHILD_MAX_FDS || (s->n_fds && !s->fds) ||
            (s->args && !json_is_object(s->args)) || (s->program && (!s->argv || !s->argv[0])))
                return -EINVAL;
        if (!!s->program + !!s->target + !!s->function != 1 ||
            (s->program && s->method != BROOD_SPAWN) ||
            (s->function && s->method != BROOD_FORK) || (unsigned)s->method > BROOD_FORKSERVER)
                return -EINVAL;
        if (s->target && s->method != BROOD_FORK && !child_can_be_fresh())
                return -ENOTSUP;
        if (s->target && !entry_find(s->target))
                return -ENOENT;
        return check_fds(s);
}

static bool is_finishing(void)
{
        bool is;

        lock();
        is = finishing;
        unlock();
        return is;
}

static int start(const BroodProcessSpec *spec, json_t *args, BroodProcess *p)
{
        const BroodChild *self = brood_process_self();
        ChildObject o = { .child = { p->name, args, spec->fds, spec->n_fds, spec->context },
                          .target = spec->target,
                          .function = spec->function ? spec->function : entry_find(spec->target),
                          .outlive = spec->outlive,
                          .parent_pid = getpid(),
                          .parent_name = self ? self->name : "MainProcess" };
        int r = children_sentinel(&o.sentinel);

        if (r < 0)
                return r;
        if (spec->program)
                return start_program(spec, p);
        if (spec->method == BROOD_FORK)
                return start_fork(&o, p);
        if (spec->method == BROOD_SPAWN)
                return start_image(&o, p);
        return server_start_child(&o, &p->pid, &p->pidfd, &p->status_fd);
}

int brood_process_start(BroodProcess **ret, const BroodProcessSpec *spec)
{
        AUTO(json_decref) json_t *args = spec->args ? spec->args : json_object();
        AUTO(free_process) BroodProcess *p = calloc(1, sizeof(*p));
        int r = check(spec);

        if (r < 0)
                return r;
        if (!p || !args)
                return -ENOMEM;
        list_init(&p->link);
        p->pidfd = p->status_fd = -1;
        if (is_finishing())
                return -ESHUTDOWN;
        p->name = name_of(spec);
        p->daemon = spec->daemon;
        p->outlive = spec->outlive;
        if (!p->name)
                return -ENOMEM;
        (void)brood_process_children(NULL, 0); /* reaps */
        r = start(spec, args, p);
        if (r < 0)
                return r;
        lock();
        list_append(&children, &p->link);
        unlock();
        *ret = MOVE_PTR(p);
        return 0;
}

/* --- its end --- */

int brood_process_sentinel(const BroodProcess *p)
{
        return p->pidfd;
}

static int code_of(const siginfo_t *info)
{
        return info->si_code == CLD_EXITED ? info->si_status : -info->si_status;
}

static bool is_readable(int fd)
{
        struct pollfd p = { fd, POLLIN, 0 };

        return poll(&p, 1, 0) > 0;
}

/* Both return false if it can not be said yet. */
static bool ask_kernel(BroodProcess *p)
{
        siginfo_t info = { 0 };
        int r = waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG);

        if (r == 0 && !info.si_pid)
                return false; /* somebody who traces it is first */
        p->code = r == 0 ? code_of(&info) : UNKNOWN_CODE; /* somebody else has reaped it */
        return true;
}

static bool ask_server(BroodProcess *p)
{
        ssize_t n;
        int code;

        do /* ECONNRESET, once, of one that was killed before it began; then what there is */
                n = recv(p->status_fd, &code, sizeof(code), MSG_DONTWAIT);
        while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        if (n < 0 && errno == EAGAIN)
                return false;
        p->code = n == sizeof(code) ? code : UNKNOWN_CODE; /* it was killed, too */
        return true;
}

/* Under the lock, and without waiting. */
static State settle(BroodProcess *p)
{
        if (p->ended)
                return ENDED;
        if (!is_readable(p->pidfd))
                return RUNS;
        p->ended = p->status_fd >= 0 ? ask_server(p) : ask_kernel(p);
        return p->ended ? ENDED : DYING;
}

static void give_up(BroodProcess *p)
{
        lock();
        if (!p->ended)
                p->code = UNKNOWN_CODE;
        p->ended = true;
        unlock();
}

static int poll_one(int fd, usec_t until)
{
        struct pollfd p = { fd, POLLIN, 0 };

        return fd_poll(&p, 1, until);
}

static State look(BroodProcess *p)
{
        State state;

        lock();
        state = settle(p);
        unlock();
        return state;
}

/* That it is dead does not wait for a fork server that is stopped: who was to say how may not. */
static void hear_word(BroodProcess *p)
{
        if (p->status_fd < 0)
                (void)poll(NULL, 0, 1);
        else if (poll_one(p->status_fd, clock_monotonic() + WORD) == 0)
                give_up(p);
}

int brood_process_join(BroodProcess *p, int64_t timeout_usec)
{
        usec_t until = clock_until(timeout_usec);
        State state;

        if (p->foreign)
                return -ECHILD;
        while ((state = look(p)) != ENDED) {
                int n = 1;

                if (state == DYING)
                        hear_word(p);
                else
                        n = poll_one(p->pidfd, until);
                if (n <= 0)
                        return n < 0 ? n : -ETIMEDOUT;
        }
        return 0;
}

int brood_process_signal(BroodProcess *p, int signal)
{
        int r = p->foreign ? -ECHILD : 0;

        if (r == 0 && look(p) == RUNS)
                r = pidfd_signal(p->pidfd, signal);
        return r == -ESRCH ? 0 : r;
}

int brood_process_terminate(BroodProcess *p)
{
        return brood_process_signal(p, SIGTERM);
}

int brood_process_kill(BroodProcess *p)
{
        return brood_process_signal(p, SIGKILL);
}

bool brood_process_is_alive(BroodProcess *p)
{
        return brood_process_join(p, 0) == -ETIMEDOUT;
}

int brood_process_exit_code(BroodProcess *p, int *ret)
{
        int r = brood_process_join(p, 0);

        if (r < 0)
                return r == -ETIMEDOUT ? -EAGAIN : r;
        *ret = p->code;
        return 0;
}

pid_t brood_process_pid(const BroodProcess *p)
{
        return p->pid;
}

const char *brood_process_name(const BroodProcess *p)
{
        return p->name;
}

bool brood_process_daemon(const BroodProcess *p)
{
        return p->daemon;
}

unsigned brood_process_children(BroodProcess **ret, unsigned n)
{
        BroodProcess *p;
        unsigned found = 0;

        lock();
        LIST_FOREACH(&children, p, link) {
                if (settle(p) != RUNS)
                        continue;
                if (found < n)
                        ret[found] = p;
                found++;
        }
        unlock();
        return found;
}

int brood_process_free(BroodProcess *p)
{
        int code;

        if (!p)
                return 0;
        if (p->daemon)
                (void)brood_process_kill(p);
        if (brood_process_join(p, -1) < 0)
                p->code = UNKNOWN_CODE; /* it is another process's */
        code = p->code;
        lock();
        list_remove(&p->link);
        unlock();
        free_process(p);
        return code;
}

static void signal_daemons(int signal)
{
        BroodProcess *p;

        LIST_FOREACH(&children, p, link)
                if (p->daemon && settle(p) == RUNS)
                        (void)pidfd_signal(p->pidfd, signal);
}

/* One that is waited for. */
static BroodProcess *unfinished(void)
{
        BroodProcess *p;

        LIST_FOREACH(&children, p, link)
                if ((!p->outlive || p->daemon) && settle(p) == RUNS)
                        return p;
        return NULL;
}

/* Other threads may be at it, too: a pool's foreman, whose workers are daemons and are not to be
 * replaced now. */
void children_finish(void)
{
        usec_t patience = usec_add(clock_monotonic(), PATIENCE);
        const BroodProcess *p;

        lock();
        finishing = true;
        signal_daemons(SIGTERM);
        while ((p = unfinished())) {
                int fd = fcntl(p->pidfd, F_DUPFD_CLOEXEC, 0);

                unlock();
                (void)poll_one(fd, clock_monotonic() + 100 * USEC_PER_MSEC);
                fd_close(fd);
                lock();
                if (clock_monotonic() >= patience)
                        signal_daemons(SIGKILL);
        }
        finishing = false;
        unlock();
}

int brood_wait(const int *fds, unsigned n, int64_t timeout_usec, uint64_t *ret_ready)
{
        struct pollfd p[64];
        usec_t until = clock_until(timeout_usec);
        int found;

        if (n > ELEMENTS(p))
                return -EINVAL;
        for (unsigned i = 0; i < n; i++)
                p[i] = (struct pollfd){ fds[i], POLLIN, 0 };
        found = fd_poll(p, n, until);
        if (found < 0)
                return found;
        *ret_ready = 0;
        for (unsigned i = 0; i < n; i++)
                *ret_ready |= (uint64_t)(p[i].revents != 0) << i;
        return found;
}
