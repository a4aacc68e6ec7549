/* SPDX-License-Identifier: MIT */
#pragma once

/* The socket on which clients arrive. */

#include <event2/event_struct.h>

#include "api/api.h"

typedef struct Listener {
        Api *api;
        int fd;     /* -1: closed */
        int metrics_fd; /* passed along for the metrics, for who takes it; -1: none */
        char *path; /* ours to unlink; NULL: it was passed to us */
        uint64_t device, inode; /* of ours */
        struct event readable;
        struct event resume; /* after a pause for want of descriptors */
} Listener;

/* Takes the socket that the service manager passed, or makes one at `path`, in place of a stale
 * one. Returns 0, or -errno with why in error[0..size). */
int listener_open(Listener *l, const char *path, char *error, size_t size);

/* Lets all users connect (mode 0666), or only the daemon's own (0600), which is how it begins. A
 * socket that was passed keeps the mode that it has. Returns whether the socket is ours and open to
 * all, for all that is known. */
bool listener_open_to_all(Listener *l, bool open);

/* The path by which clients know it; "": it has none. */
void listener_path(const Listener *l, char *to, size_t size);

/* Begins to accept. Returns 0 or -ENOMEM. */
int listener_start(Listener *l, Api *api);

/* Closes it; unlinks it if it is ours. */
void listener_close(Listener *l);
