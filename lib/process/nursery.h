/* SPDX-License-Identifier: MIT */
#pragma once

/* The children of a fork server, and the loop in which it serves.
 *
 * A fork server has one thread and little memory. It waits for requests on its channel, for the
 * ends of its children, and for the end of its parent. What a request is, what a newborn becomes,
 * and who is told how it ended are the server's own: it has a Nursery in it, and two functions. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/exit.h"

enum { NURSERY_MAX_FDS = 140 };

typedef struct NurseryChild {
        pid_t pid;
        uint64_t key; /* the server's: whose it is */
} NurseryChild;

typedef struct Nursery Nursery;

struct Nursery {
        int channel;          /* SEQPACKET; at its end there is nobody to serve */
        int sentinel;         /* the same; -1: the kernel ends us then */
        bool adopts;          /* it is a subreaper: what is none of its children is killed */
        void *request;        /* where the next one is written */
        size_t request_size;
        /* One has come, of that size (or 0, at the end, or -errno): false to serve no more. Its
         * descriptors are in `fds`, behind those that nobody has closed. */
        bool (*hear)(Nursery *n, ssize_t size);
        /* It has ended, and is forgotten. */
        void (*mourn)(Nursery *n, const NurseryChild *child, const ExitVerdict *verdict);

        int fds[NURSERY_MAX_FDS]; /* ours */
        unsigned n_fds;
        int signals;          /* an eventfd: SIGCHLD has come */
        NurseryChild *children;
        unsigned n_children, capacity;
};

/* Begins to watch for the ends of children: SIGCHLD is ours from here on. There is one nursery in a
 * process. What stands above in the struct is the caller's to set. Returns 0 or -errno. */
int nursery_init(Nursery *n);
void nursery_fini(Nursery *n);

/* Takes in a child that has just been started. Returns 0 with its pidfd, or -errno: then there is
 * no such child. */
int nursery_take(Nursery *n, pid_t pid, uint64_t key, int *ret_pidfd);

/* Closes the descriptors of the request. */
void nursery_close_fds(Nursery *n);

/* Serves until hear() says so, or the parent has gone. */
void nursery_serve(Nursery *n);
