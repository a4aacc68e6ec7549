/* SPDX-License-Identifier: MIT */

/* For LD_PRELOAD: while the file $BROOD_LAST_WORDS is there, a fork server that has reaped a child
 * with wait4() dies at once, before it can tell anybody. The file is removed first: once only. The
 * variable is read at the start: later the fork server has the environment of its pool. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *file;
static pid_t started;

__attribute__((constructor)) static void begin(void)
{
        file = getenv("BROOD_LAST_WORDS");
        started = getpid();
}

__attribute__((visibility("default"))) pid_t wait4(pid_t pid, int *status, int options,
                                                   struct rusage *usage)
{
        pid_t r = (pid_t)syscall(SYS_wait4, pid, status, options, usage);
        char name[16] = "";

        if (r > 0 && file && getpid() == started && prctl(PR_GET_NAME, name) == 0 &&
            strcmp(name, "brood-forksrv") == 0 && unlink(file) == 0)
                (void)kill(getpid(), SIGKILL);
        return r;
}
