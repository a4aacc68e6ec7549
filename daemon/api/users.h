/* SPDX-License-Identifier: MIT */
#pragma once

/* How many connections each user has. */

#include "base/hashtable.h"

typedef struct Users {
        HashTable by_uid;
} Users;

typedef struct User {
        HashLink link;
        uint32_t uid;
        unsigned n_clients;
} User;

/* How many this user has. */
unsigned users_count(const Users *users, uint32_t uid);

/* One more. NULL if memory ran out. */
User *users_enter(Users *users, uint32_t uid);
/* One less; the last one takes the user along. */
void users_leave(Users *users, User *user);

/* All must have left. */
void users_fini(Users *users);
