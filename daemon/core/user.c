/* SPDX-License-Identifier: MIT */

#include "core/user.h"

#include "core/inside.h"
#include "core/semaphore.h"

static uint64_t uid_hash(uint32_t uid)
{
        return hash_bytes(&uid, sizeof(uid));
}

CoreUser *user_find(const Core *core, uint32_t uid)
{
        HashLink *l = hashtable_first(&core->users, uid_hash(uid));

        for (; l; l = hashtable_next(&core->users, l))
                if (CONTAINER_OF(l, CoreUser, link)->uid == uid)
                        return CONTAINER_OF(l, CoreUser, link);
        return NULL;
}

CoreUser *user_get(Core *core, uint32_t uid)
{
        CoreUser *user = user_find(core, uid);

        if (user)
                return user;
        user = calloc(1, sizeof(*user));
        if (!user)
                return NULL;
        user->uid = uid;
        if (hashtable_add(&core->users, &user->link, uid_hash(uid)) < 0) {
                free(user);
                return NULL;
        }
        return user;
}

void user_forget_all(Core *core)
{
        for (size_t i = 0; i < core->users.size; i++)
                if (core->users.entries[i].link)
                        free(CONTAINER_OF(core->users.entries[i].link, CoreUser, link));
        hashtable_fini(&core->users);
}

/* --- limits --- */

static bool is_limited(const Core *core, const CoreUser *user)
{
        return user->uid != 0 && user->uid != core->limits.own_uid;
}

int user_check(const Core *core, const CoreUser *user, uint64_t size)
{
        const CoreUserLimits *l = &core->limits.user;

        if (!is_limited(core, user))
                return 0;
        if (l->max_queued && user->open >= l->max_queued)
                return CORE_E_USER_QUEUED;
        if (l->max_bytes && user->bytes + size > l->max_bytes)
                return CORE_E_USER_BYTES;
        return 0;
}

/* A job takes its share of a second, and nobody may be more than a second ahead. */
int user_take_rate(const Core *core, CoreUser *user, unsigned n, usec_t now)
{
        uint64_t rate = core->limits.user.max_rate;
        usec_t from = MAX(user->rate_until, now);

        if (!rate || !is_limited(core, user))
                return 0;
        if (n > rate || from + n * USEC_PER_SEC / rate > now + USEC_PER_SEC)
                return CORE_E_USER_RATE;
        user->rate_until = from + n * USEC_PER_SEC / rate;
        return 0;
}

int user_semaphore(Core *core, CoreUser *user, CoreSemaphore **ret)
{
        *ret = NULL;
        if (!core->limits.user.max_running || !is_limited(core, user))
                return 0;
        if (!user->running) {
                user->running = semaphore_of_user(core, user->uid);
                if (!user->running)
                        return -ENOMEM;
                user->running->size = core->limits.user.max_running;
        }
        *ret = user->running;
        return 0;
}

void core_set_limits(Core *core, const CoreLimits *limits)
{
        CoreSemaphore *s;

        core->limits = *limits;
        LIST_FOREACH(&core->semaphores, s, link)
                if (s->of_user)
                        s->size = limits->user.max_running ? limits->user.max_running : UINT64_MAX;
}

/* --- counting --- */

void count_open(Core *core, const Job *job, int by)
{
        core->open += (uint64_t)by;
        job->pool->open += (uint64_t)by;
        user_find(core, job->uid)->open += (uint64_t)by; /* made when its first job was */
}

void count_bytes(Core *core, const Job *job, int64_t by)
{
        core->bytes += (uint64_t)by;
        user_find(core, job->uid)->bytes += (uint64_t)by;
}
