/* SPDX-License-Identifier: MIT */

/* Children are listed per thread in /proc/self/task/TID/children; orphans fall to any thread. */

#include "process/orphans.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(DIR, closedir);

int orphans_adopt(void)
{
        return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
}

typedef struct Sweep {
        bool (*keep)(pid_t pid, void *context);
        void *context;
        int killed;
        int refused; /* of those: the ones that we may not kill */
} Sweep;

static void sweep_one(Sweep *s, pid_t pid)
{
        if (s->keep && s->keep(pid, s->context))
                return;
        /* a zombie, or gone: it will be waited for all the same */
        if (kill(pid, SIGKILL) < 0 && errno == EPERM)
                s->refused++;
        s->killed++;
}

/* The file is a line of numbers with a blank behind each. */
static int sweep_thread(Sweep *s, const char *tid)
{
        AUTO(fd_close) int fd = -1;
        char path[64], text[4096];
        pid_t pid = 0;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", tid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        while ((n = read(fd, text, sizeof(text))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        if (text[i] >= '0' && text[i] <= '9') {
                                pid = pid * 10 + (text[i] - '0');
                        } else if (pid) {
                                sweep_one(s, pid);
                                pid = 0;
                        }
                }
        return n < 0 ? -errno : 0;
}

static int sweep(Sweep *s)
{
        AUTO(closedir) DIR *tasks = opendir("/proc/self/task");
        struct dirent *entry;
        int r = 0;

        if (!tasks)
                return -errno;
        while ((entry = readdir(tasks)))
                if (entry->d_name[0] != '.') {
                        int one = sweep_thread(s, entry->d_name);

                        r = one < 0 ? one : r;
                }
        return r;
}

int orphans_kill(bool (*keep)(pid_t pid, void *context), void *context)
{
        Sweep s = { .keep = keep, .context = context };
        int r = sweep(&s);

        return r < 0 ? r : s.killed;
}

int orphans_end_all(void)
{
        for (;;) {
                Sweep s = { .keep = NULL };
                int r = sweep(&s);
                pid_t pid;

                if (r < 0)
                        return r;
                /* a zombie that we may not kill can be waited for; what lives would hold us up */
                pid = waitpid(-1, NULL, __WALL | (s.refused == s.killed ? WNOHANG : 0));
                if (pid < 0 && errno == ECHILD)
                        return 0;
                if (pid == 0)
                        return s.refused;
        }
}
