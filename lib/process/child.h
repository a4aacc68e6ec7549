/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of brood/process.h share: a child before it runs, and the steps that it takes,
 * which have the names that CPython gives them (multiprocessing/spawn.py, process.py):
 *
 *     spawn_main     a fresh image finds that it is a child, and has its data
 *     prepare        the directory and the parent, from the preparation data
 *     bootstrap      stdin, name, sentinel; then run; then its own children are seen to
 *     run            the target with its arguments */

#include <brood/process.h>

#include "process/sentinel.h"
#include "process/start.h"

/* The arguments of a fresh image of this program: `--brood-child`, or `--brood-forkserver`. */
#define CHILD_ARGUMENT  "--brood-child"
#define SERVER_ARGUMENT "--brood-forkserver"

/* Its descriptors. Those that were given along follow. */
enum { CHILD_FD_DATA = 3, CHILD_FD_SENTINEL, CHILD_FD_FIRST };
enum { SERVER_FD_CHANNEL = 3, SERVER_FD_SENTINEL };

enum { CHILD_MAX_FDS = 58 }; /* of PROCESS_MAX_FDS */

/* Preparation data and process object, in one. */
typedef struct ChildObject {
        BroodChild child;    /* child.args is a reference of ours */
        const char *target;  /* borrowed from `data`, or the spec's */
        BroodTarget function;
        bool outlive;
        int sentinel;        /* of its parent */
        pid_t parent_pid;
        const char *parent_name;
        char *directory;     /* NULL: as it is */
        json_t *data;        /* where the texts are from; NULL: elsewhere */
} ChildObject;

/* As JSON in an anonymous file. Returns a descriptor or -errno. */
int child_object_write(const ChildObject *object);
/* The same, read. Returns 0, or -errno (-EBADMSG: it is something else; -ENOENT: there is no such
 * target). Nothing is ever freed: the process is this child. */
int child_object_read(ChildObject *object, int fd);

/* Runs it to its end, children of its own too; returns the exit code. */
int child_bootstrap(const ChildObject *object);

/* After a fork, in the child: what stands in stdio is its parent's to write. */
void child_forget_output(void);
/* Ends the child from anywhere in it: its own children are seen to, what is in stdio is written. */
__attribute__((noreturn)) void child_leave(int code);

/* NULL: there is none. */
BroodTarget entry_find(const char *name);

/* --- children of this process: children.c --- */

/* The sentinel that our children watch; made once. Returns 0 or -errno. */
int children_sentinel(int *ret_watch);
/* How many forks lie between the start of the program and this process: an object that is of
 * another generation is another process's. */
unsigned children_generation(void);
/* Has brood_process_init() been called? Without it a fresh image would run main(). */
bool child_can_be_fresh(void);
/* Ends daemons, waits for the others (Python: util._exit_function()). */
void children_finish(void);

/* --- the fork server: server.c --- */

/* Starts a child by it. The status socket tells how it ended: an int, or the end of file. Returns 0
 * or -errno. */
int server_start_child(const ChildObject *object, pid_t *ret_pid, int *ret_pidfd, int *ret_status);
/* Standard output or error for a fresh image: itself, or -1 (/dev/null): this process has none. */
int child_stream(int fd);
/* In the fresh image that is the server: serves, and does not return. */
__attribute__((noreturn)) void server_main(void);
/* In a forked child: it was our parent's. Async-signal-safe. */
void server_forget(void);

/* --- other programs: starter.c --- */

/* process_start() by a thread that lives as long as this process, so that a parent-death signal,
 * which follows the thread, follows the process. */
int starter_start(const ProcessStart *start, pid_t *ret_pid);
