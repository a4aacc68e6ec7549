/* SPDX-License-Identifier: MIT */
#pragma once

/* Starting a program as a clean child: default signals, an empty mask, no descriptor but the named
 * ones. The one place where this tree runs exec. */

#include <stdbool.h>
#include <sys/types.h>

#include "process/cgroup.h"

enum { PROCESS_FIRST_FD = 3, PROCESS_MAX_FDS = 160 };

typedef struct ProcessStart {
        const char *path;         /* of the program; no search in PATH */
        char *const *argv;        /* ended by NULL */
        char *const *environment; /* ended by NULL */
        int in, out, err;         /* become 0, 1 and 2; -1: /dev/null */
        const int *fds;           /* become 3, 4, 5 …, in this order */
        unsigned n_fds;           /* up to PROCESS_MAX_FDS */
        const char *directory;    /* to start in; NULL: ours */
        bool new_session;         /* setsid() */
        bool new_group;           /* setpgid(0, 0) */
        bool die_with_parent;     /* SIGKILL when the calling thread ends (PR_SET_PDEATHSIG) */
        const CgroupDoor *cgroup; /* where it lives from the start or, if that cannot be, in
                                     ours; NULL: in ours */
        char *pid_to;             /* the child writes its pid here in decimal before it runs the
                                     program (LISTEN_PID= in its environment); NULL: nowhere */
} ProcessStart;

/* Starts it. Returns 0 with its pid and a pidfd (CLOEXEC; ret_pidfd may be NULL), or -errno: also
 * that of execve() (-ENOENT, -EACCES …) and of the change of directory; then there is no child. */
int process_start(const ProcessStart *start, pid_t *ret_pid, int *ret_pidfd);

/* Of a child of ours that has just been started: its pidfd (CLOEXEC). Returns 0 or -errno, and then
 * it has been undone (-ESRCH: no, somebody else has waited for it). */
int process_take(pid_t pid, int *ret_pidfd);
/* Kills it and waits for it; returns `error`. */
int process_undo(pid_t pid, int error);

/* For a child that has just been forked: SIGKILL when the parent's thread ends, and an exit at once
 * if it has ended before (`parent` is its pid). */
void process_die_with_parent(pid_t parent);

/* Default dispositions and an empty mask. Async-signal-safe. */
void process_reset_signals(void);

int pidfd_open_for(pid_t pid);                  /* CLOEXEC; a descriptor or -errno */
int pidfd_signal(int pidfd, int signal);        /* 0 or -errno (-ESRCH: it is over) */
