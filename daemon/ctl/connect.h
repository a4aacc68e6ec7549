/* SPDX-License-Identifier: MIT */
#pragma once

/* Finding the daemon. */

#include "ctl/ctl.h"

/* Is it the user's own daemon that is meant, by the options or because there is one? */
bool connect_to_user(const Options *o);

/* Connects ctl->client to the socket of --socket, --user or --system, else $BROOD_SOCKET, else the
 * user's daemon if its socket is there, else the system's. Returns a status. */
int connect_daemon(Ctl *ctl);

/* Only finds out which socket that is: ctl->socket. Returns a status. */
int connect_find(Ctl *ctl);

/* One more connection to the same daemon: a copy of ctl with a client of its own, to be ended with
 * connect_end(). Returns a status. */
int connect_again(const Ctl *ctl, Ctl *ret);
void connect_end(Ctl *ctl);

/* Says that the connection failed with this -errno; returns STATUS_UNREACHABLE. */
int connect_lost(const Ctl *ctl, int error);
