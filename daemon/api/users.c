/* SPDX-License-Identifier: MIT */

#include "api/users.h"

#include <stdlib.h>

#include "base/macros.h"

static uint64_t uid_hash(uint32_t uid)
{
        return hash_bytes(&uid, sizeof(uid));
}

static User *find(const Users *users, uint32_t uid)
{
        const HashTable *t = &users->by_uid;

        for (HashLink *l = hashtable_first(t, uid_hash(uid)); l; l = hashtable_next(t, l)) {
                User *user = CONTAINER_OF(l, User, link);

                if (user->uid == uid)
                        return user;
        }
        return NULL;
}

unsigned users_count(const Users *users, uint32_t uid)
{
        const User *user = find(users, uid);

        return user ? user->n_clients : 0;
}

User *users_enter(Users *users, uint32_t uid)
{
        User *user = find(users, uid);

        if (!user) {
                user = calloc(1, sizeof(*user));
                if (!user || hashtable_add(&users->by_uid, &user->link, uid_hash(uid)) < 0) {
                        free(user);
                        return NULL;
                }
                user->uid = uid;
        }
        user->n_clients++;
        return user;
}

void users_leave(Users *users, User *user)
{
        if (--user->n_clients)
                return;
        hashtable_remove(&users->by_uid, &user->link);
        free(user);
}

void users_fini(Users *users)
{
        ASSERT(!users->by_uid.count);
        hashtable_fini(&users->by_uid);
}
