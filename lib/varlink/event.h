/* SPDX-License-Identifier: MIT */
#pragma once

/* The libevent driver: one connection (client or server side) on an event loop.
 *
 * A link reads when there is something and hands the bytes over; what its owner writes into the
 * link's `out` buffer is sent at the end of the turn, all of it with one write, after link_touch().
 * A turn of the loop is: callbacks, then what the daemon decides, then turn_flush(). */

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"

enum { LINK_READ_SIZE = 256 * 1024, LINK_MAX_FDS = 16 };

/* What all links of a loop share. */
typedef struct Turn {
        struct event_base *base;
        List dirty;  /* links with something to send */
        usec_t *began; /* where it says since when it is under way (steady; 0: it is not). The owner
                          clears it at the end of the turn, and may have it stand elsewhere */
        usec_t own_began;
        char *bytes; /* LINK_READ_SIZE, where all of them read */
} Turn;

/* Something happens in it. */
void turn_begin(Turn *turn);

/* Returns 0 or -ENOMEM. */
int turn_init(Turn *turn, struct event_base *base);
void turn_fini(Turn *turn);
/* Sends what is to be sent. May call `ended` of any link. */
void turn_flush(Turn *turn);

typedef struct Link Link;

typedef struct LinkOps {
        /* Bytes came, valid during the call; descriptors that came with the first of them are in
         * link->fds. Negative: drop the connection, `ended` is called with it. */
        int (*feed)(Link *link, const char *bytes, size_t n);
        /* The connection is over (0: the other side closed it; else -errno). Usually frees it. */
        void (*ended)(Link *link, int error);
        /* Some of `out` was sent; NULL: nobody asks. Must not end the link. */
        void (*sent)(Link *link);
} LinkOps;

struct Link {
        const LinkOps *ops;
        Turn *turn;
        int fd; /* -1: closed */
        Buffer *out;
        struct event readable, writable;
        List dirty;
        bool reading, blocked; /* blocked: waits to be writable */
        bool take_fds;
        usec_t progress;  /* monotonic: when something was last sent, or began to wait */
        int fds[LINK_MAX_FDS]; /* received with what is being fed; take them by setting n_fds to 0
                                */
        size_t n_fds;
        int send_fds[3]; /* go with a byte of `out`; -1: none */
        size_t send_at;  /* how many bytes are ahead of that one */
};

/* Takes over a connected, non-blocking socket; `out` belongs to the owner. Starts reading. Returns
 * 0 or -ENOMEM. */
int link_init(Link *link, Turn *turn, int fd, Buffer *out, const LinkOps *ops, bool take_fds);
/* Closes the socket. */
void link_fini(Link *link);

/* There is something in `out`. */
static inline void link_touch(Link *link)
{
        if (link->dirty.next == &link->dirty && !link->blocked)
                list_append(&link->turn->dirty, &link->dirty);
}

/* The next byte that is written into `out` goes with these three descriptors, which are then
 * closed. One set at a time. */
void link_pass_fds(Link *link, const int fds[3]);

/* Stops and resumes reading. */
void link_read(Link *link, bool on);

/* Reads until there is nothing more, feeding it; for a peer that is dead. */
void link_drain(Link *link);
