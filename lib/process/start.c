/* SPDX-License-Identifier: MIT */

/* vfork() and not posix_spawn(): that one can neither set a parent-death signal nor tell the child
 * its own pid for LISTEN_PID=, and fork() would copy the page tables of a large worker for nothing.
 * The child runs on our memory while we wait, so it calls only what is async-signal-safe, changes
 * nothing of ours but `error` and the bytes at pid_to, and all signals are blocked meanwhile: a
 * handler of ours must not run in it.
 *
 * Into a cgroup it goes by clone3(), with memory of its own, which needs no assembler: to write to
 * cgroup.procs may mean to wait for all CPUs (some 10 ms), and keeps others from forking meanwhile.
 * But clone3() asks for our rights to that group, and writing for those of whoever opened it. And
 * where a group has been killed as a whole more often than ours, some kernels (6.18) take a child
 * that is born in it for one that was forked during such a kill, and kill it before its first step:
 * then writing is the way, too. */

#include "process/start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macros.h"

void process_reset_signals(void)
{
        struct sigaction standard = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int s = 1; s < NSIG; s++)
                (void)sigaction(s, &standard, NULL); /* EINVAL for SIGKILL and SIGSTOP */
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void process_die_with_parent(pid_t parent)
{
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
}

int pidfd_open_for(pid_t pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);

        return fd < 0 ? -errno : fd;
}

int process_undo(pid_t pid, int error)
{
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return error;
}

int process_take(pid_t pid, int *ret_pidfd)
{
        int fd = pidfd_open_for(pid);

        if (fd < 0)
                return fd == -ESRCH ? fd : process_undo(pid, fd);
        *ret_pidfd = fd;
        return 0;
}

int pidfd_signal(int pidfd, int signal)
{
        return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

static void write_decimal(char *to, unsigned long v)
{
        char digits[24];
        int n = 0;

        do
                digits[n++] = (char)('0' + v % 10);
        while (v /= 10);
        while (n)
                *to++ = digits[--n];
        *to = '\0';
}

/* In the child: out of the way of the numbers that they will get. */
static int lift(int fd, int floor)
{
        return fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, floor);
}

static int arrange_fds(const ProcessStart *s)
{
        int floor = PROCESS_FIRST_FD + (int)s->n_fds, lifted[PROCESS_MAX_FDS + 3];
        const int standard[3] = { s->in, s->out, s->err };

        for (int i = 0; i < floor; i++) {
                int fd = lift(i < 3 ? standard[i] : s->fds[i - 3], floor);

                if (fd >= 0 && fd < floor) { /* /dev/null came out low */
                        int high = fcntl(fd, F_DUPFD_CLOEXEC, floor);

                        (void)close(fd);
                        fd = high;
                }
                if (fd < 0)
                        return -errno;
                lifted[i] = fd;
        }
        for (int i = 0; i < floor; i++)
                if (dup2(lifted[i], i) < 0)
                        return -errno;
        (void)syscall(SYS_close_range, (unsigned)floor, ~0U, CLOSE_RANGE_CLOEXEC);
        return 0;
}

static int run_child(const ProcessStart *s, pid_t parent)
{
        int r;

        if (s->new_session)
                (void)setsid();
        if (s->new_group)
                (void)setpgid(0, 0);
        if (s->die_with_parent)
                process_die_with_parent(parent);
        r = arrange_fds(s);
        if (r < 0)
                return r;
        if (s->directory && chdir(s->directory) < 0)
                return -errno;
        if (s->pid_to)
                write_decimal(s->pid_to, (unsigned long)getpid());
        process_reset_signals();
        (void)execve(s->path, s->argv, s->environment);
        return -errno;
}

enum { NOT_BEGUN = 1 }; /* no error: those are negative */

/* Returns its pid with what it failed at in *error, or -1: this way does not work here. */
static pid_t start_inside(const ProcessStart *s, pid_t parent, volatile int *error)
{
        struct clone_args how = { .flags = CLONE_INTO_CGROUP | CLONE_VFORK,
                                  .exit_signal = SIGCHLD,
                                  .cgroup = (unsigned)s->cgroup->group };
        volatile int *told = s->cgroup->group < 0
                                     ? MAP_FAILED
                                     : mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t pid;

        if (told == MAP_FAILED)
                return -1;
        *told = NOT_BEGUN;
        pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
        if (pid == 0) {
                *told = 0;
                *told = run_child(s, parent);
                _exit(127);
        }
        if (pid > 0 && *told == NOT_BEGUN) {
                (void)waitpid(pid, NULL, 0);
                pid = -1;
        } else if (pid > 0) {
                *error = *told;
        }
        (void)munmap((void *)told, sizeof(*told));
        return pid;
}

static pid_t start_beside(const ProcessStart *s, pid_t parent, volatile int *error)
{
        pid_t pid = vfork();

        if (pid == 0) {
                if (s->cgroup)
                        (void)cgroup_enter(s->cgroup->procs); /* outside is better than nowhere */
                *error = run_child(s, parent);
                _exit(127);
        }
        return pid;
}

int process_start(const ProcessStart *start, pid_t *ret_pid, int *ret_pidfd)
{
        volatile int error = 0;
        sigset_t all, before;
        pid_t parent = getpid(), pid;

        ASSERT(start->n_fds <= PROCESS_MAX_FDS);
        sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        pid = start->cgroup ? start_inside(start, parent, &error) : -1;
        if (pid < 0)
                pid = start_beside(start, parent, &error);
        if (pid < 0)
                error = -errno;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (pid > 0 && error)
                (void)waitpid(pid, NULL, 0);
        if (error)
                return error;
        if (ret_pidfd)
                error = process_take(pid, ret_pidfd);
        if (!error)
                *ret_pid = pid;
        return error;
}
