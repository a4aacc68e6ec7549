/* SPDX-License-Identifier: MIT */
#pragma once

/* The socket on which clients arrive. */

#include <event2/event_struct.h>

#include "api/api.h"

typedef struct Listener {
        Api *api;
        int fd;     /* -1: closed */
        char *path; /* ours to unlink; NULL: it was passed to us */
        struct event readable;
        struct event resume; /* after a pause for want of descriptors */
} Listener;

/* Takes the socket that the service manager passed, or makes one at `path`, in place of a stale
 * one. Returns 0, or -errno with why in error[0..size). */
int listener_open(Listener *l, const char *path, char *error, size_t size);

/* Begins to accept. Returns 0 or -ENOMEM. */
int listener_start(Listener *l, Api *api);

/* Closes it; unlinks it if it is ours. */
void listener_close(Listener *l);
