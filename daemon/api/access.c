/* SPDX-License-Identifier: MIT */

/* A process may have 65536 groups, and so may each of its connections: what is kept of them is
 * bounded by what the config names, and where that names none, nobody asks. */

#include "api/access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"

enum { USUAL_GROUPS = 64, MOST_GROUPS = 65536 }; /* NGROUPS_MAX, see getgroups(2) */

/* --- what the config says --- */

bool access_names_anybody(const Settings *s)
{
        return !principals_nobody(s->submit) || !principals_nobody(s->see) ||
               !principals_nobody(s->operate);
}

/* Without memory some are missing, and that is no right too many. */
static void note_groups(Access *a, const Principals *p)
{
        for (unsigned i = 0; p && i < p->groups.n; i++)
                (void)principal_ids_add(&a->groups, p->groups.ids[i]);
}

void access_take_effect(Access *a, const Settings *s, bool opened)
{
        principal_ids_clear(&a->groups);
        a->settings = s;
        a->opened = opened;
        note_groups(a, s->submit);
        note_groups(a, s->see);
        note_groups(a, s->operate);
        for (unsigned i = 0; i < s->n_pools; i++)
                note_groups(a, s->pools[i].submit);
}

void access_fini(Access *a)
{
        principal_ids_clear(&a->groups);
}

/* --- who somebody is --- */

static void keep_named(const Access *a, const gid_t *gids, size_t n, Peer *who)
{
        for (size_t i = 0; i < n; i++)
                if (principal_ids_have(&a->groups, gids[i]))
                        (void)principal_ids_add(&who->groups, gids[i]);
}

/* All that do not fit on the stack; the kernel has said how many bytes. */
static void read_many_groups(const Access *a, int fd, socklen_t size, Peer *who)
{
        AUTO(free) gid_t *gids = size <= MOST_GROUPS * sizeof(gid_t) ? malloc(size) : NULL;

        if (gids && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &size) == 0)
                keep_named(a, gids, size / sizeof(gid_t), who);
}

void access_peer_groups(const Access *a, int fd, Peer *who)
{
        gid_t usual[USUAL_GROUPS];
        socklen_t size = sizeof(usual);

        principal_ids_clear(&who->groups);
        if (!a->groups.n)
                return;
        keep_named(a, &who->gid, 1, who);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, usual, &size) == 0)
                keep_named(a, usual, size / sizeof(gid_t), who);
        else if (errno == ERANGE)
                read_many_groups(a, fd, size, who);
}

int access_peer(const Access *a, int fd, Peer *ret)
{
        struct ucred cred;
        socklen_t size = sizeof(cred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return -errno;
        if (cred.uid == (uid_t)-1)
                return -EPERM; /* the kernel does not know it */
        *ret = (Peer){ .uid = cred.uid, .gid = cred.gid, .pid = cred.pid,
                           .came_in_open = a->opened };
        access_peer_groups(a, fd, ret);
        return 0;
}

void peer_fini(Peer *who)
{
        principal_ids_clear(&who->groups);
}

/* --- what it may --- */

static bool is_meant(const Principals *p, const Peer *who)
{
        return p && principals_match(p, who->uid, who->groups.ids, who->groups.n);
}

bool access_is_unlimited(uint32_t uid)
{
        return uid == 0 || uid == geteuid();
}

/* Where Submit= is not set, who could connect may; but nobody could connect to a socket that is not
 * opened, and it is not opened for that. */
static bool may_submit_at_all(const Access *a, const Peer *who)
{
        if (a->settings->submit)
                return is_meant(a->settings->submit, who);
        return !a->opened && !who->came_in_open;
}

Rights access_rights(const Access *a, const Peer *who)
{
        bool operate = access_is_unlimited(who->uid) || is_meant(a->settings->operate, who);

        return (Rights){ .operate = operate,
                         .see_all = operate || is_meant(a->settings->see, who),
                         .submit = operate || may_submit_at_all(a, who) };
}

bool access_may_submit(const Peer *who, Rights rights, const PoolSettings *pool)
{
        if (rights.operate || !pool || !pool->submit)
                return rights.submit;
        return is_meant(pool->submit, who);
}
