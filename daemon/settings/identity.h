/* SPDX-License-Identifier: MIT */
#pragma once

/* Whom the workers of a pool run as: User=, Group= and SupplementaryGroups=, looked up when the
 * config is read, so that a wrong name is a fault of the config and nobody asks for it later. */

#include <stdbool.h>
#include <stdint.h>

typedef struct PoolSettings PoolSettings;
typedef struct SettingsError SettingsError;

#define IDENTITY_OURS UINT64_MAX

typedef struct Identity {
        uint64_t uid, gid;  /* IDENTITY_OURS: the daemon's */
        char **groups;      /* supplementary ones, decimal; NULL: none, or the daemon's */
        bool groups_named;  /* SupplementaryGroups= is set */
        char *name;         /* of User=, as the database has it; NULL: no User= */
        char *home, *shell; /* NULL: not known; no shell: it is one that lets nobody in */
} Identity;

/* Looks up what the pool's settings name. Returns 0, -ENOMEM, or -EINVAL with *error filled. */
int identity_find(PoolSettings *pool, SettingsError *error);
void identity_fini(Identity *i);
bool identity_equal(const Identity *a, const Identity *b);

/* Where a row of the pool's table stands, for messages: that of User= may be PoolUser= of
 * brood.conf. */
typedef struct IdentityPlace {
        const char *key, *file;
        int line;
} IdentityPlace;

IdentityPlace identity_place(const PoolSettings *pool, unsigned row);

/* Is it what this process is? Then nothing has to be changed, and no right is needed. */
bool identity_is_ours(const Identity *i);
