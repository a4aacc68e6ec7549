/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may do what: the one place that decides.
 *
 * A client is who the kernel says that it is (SO_PEERCRED and SO_PEERGROUPS of unix(7): the process
 * that connected, as it was then), never who its messages say. There are four rights: to submit,
 * which a pool may narrow or widen for itself; to see one's own jobs and to end them, which
 * everybody has; to see all; and to operate, which is everything. Root and the daemon's own user
 * always may operate. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "settings/settings.h"

typedef struct Access {
        const Settings *settings;
        PrincipalIds groups; /* all that the config names: others are of no interest */
        bool opened; /* our own socket is open to all, for the sake of those that are named */
} Access;

typedef struct Peer {
        uint32_t uid, gid;
        pid_t pid;
        PrincipalIds groups; /* its own, as far as the config names them */
        bool came_in_open;   /* it would not have reached the socket, had that not been opened */
} Peer;

typedef struct Rights {
        bool submit; /* where the pool has no Submit= */
        bool see_all;
        bool operate;
} Rights;

/* Does the config name anybody for whom a socket of our own has to be opened? */
bool access_names_anybody(const Settings *settings);

/* A config comes into force; `opened`: for its sake our own socket is open to all users. Without
 * memory groups are not known, and nobody has a right by one. */
void access_take_effect(Access *access, const Settings *settings, bool opened);
void access_fini(Access *access);

/* Who has connected? Returns 0 or -errno. */
int access_peer(const Access *access, int fd, Peer *ret);
/* Its groups, after a config has come into force. */
void access_peer_groups(const Access *access, int fd, Peer *who);
void peer_fini(Peer *who);

Rights access_rights(const Access *access, const Peer *who);

/* May it submit to this pool? NULL: one that is not there just now. */
bool access_may_submit(const Peer *who, Rights rights, const PoolSettings *pool);

/* Root and the daemon's own user: quotas of users do not hold for them. */
bool access_is_unlimited(uint32_t uid);
