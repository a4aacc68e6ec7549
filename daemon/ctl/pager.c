/* SPDX-License-Identifier: MIT */

#include "ctl/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static pid_t pager; /* stdout is one per process, and so is what stands behind it */

static int spawn_pager(const char *command, int in)
{
        char *with_shell[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
        char *plain[] = { (char *)"less", NULL };
        char **argv = command ? with_shell : plain;
        posix_spawn_file_actions_t actions;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r)
                return -r;
        r = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        if (r == 0)
                r = posix_spawnp(&pager, argv[0], &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (r)
                pager = 0;
        return -r;
}

void pager_open(const Options *o)
{
        const char *command = getenv("PAGER");
        AUTO(fd_close) int in = -1;
        AUTO(fd_close) int out = -1;
        int fds[2];

        if (!isatty(STDOUT_FILENO) || option_given(o, OPTION_NO_PAGER) ||
            option_given(o, OPTION_JSON) || (command && strcmp(command, "cat") == 0))
                return;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        in = fds[0];
        out = fds[1];
        (void)setenv("LESS", "FRSXMK", false); /* as systemd's tools do: quit if it fits */
        if (spawn_pager(command && *command ? command : NULL, in) < 0)
                return;
        (void)signal(SIGPIPE, SIG_IGN); /* whoever quits early has seen enough */
        (void)signal(SIGINT, SIG_IGN);  /* it is the pager's */
        (void)dup2(out, STDOUT_FILENO);
}

void pager_close(void)
{
        if (!pager)
                return;
        (void)fclose(stdout);
        while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
                ;
        pager = 0;
}
