/* SPDX-License-Identifier: MIT */

#include "ipc/members.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "process/kept.h"

enum { MEMBERS_MAGIC = 0x6f6f7262 /* "broo" */ };

/* --- what of ours a fork must not keep --- */

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static List all = { &all, &all };
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
        (void)pthread_mutex_lock(&all_mutex);
}

static void after_fork(void)
{
        (void)pthread_mutex_unlock(&all_mutex);
}

static void in_child(void)
{
        Members *m;

        LIST_FOREACH(&all, m, link)
                m->own = fd_close(m->own);
        (void)pthread_mutex_unlock(&all_mutex);
}

static void watch_forks(void)
{
        (void)pthread_atfork(before_fork, after_fork, in_child);
}

static void enlist(Members *m)
{
        (void)pthread_once(&fork_once, watch_forks);
        before_fork();
        list_append(&all, &m->link);
        after_fork();
        kept_add(m->fd);
}

/* No fork may happen between the two: the child would keep our slot. */
static void delist(Members *m)
{
        kept_remove(m->fd);
        before_fork();
        list_remove(&m->link);
        m->own = fd_close(m->own);
        after_fork();
}

/* --- the memory --- */

static int map(Members *m, size_t size)
{
        void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);

        if (at == MAP_FAILED)
                return -errno;
        m->table = at;
        m->size = size;
        return 0;
}

static int make_lock(MemberTable *t)
{
        pthread_mutexattr_t attributes;
        int r = pthread_mutexattr_init(&attributes);

        if (r)
                return -r;
        (void)pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        (void)pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        r = pthread_mutex_init(&t->mutex, &attributes);
        (void)pthread_mutexattr_destroy(&attributes);
        return -r;
}

static void begin(Members *m)
{
        m->table = NULL;
        m->own = -1;
        list_init(&m->link);
}

int members_new(Members *m, const char *name, size_t size)
{
        const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        int r;

        begin(m);
        m->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (m->fd < 0)
                return -errno;
        r = ftruncate(m->fd, (off_t)size) < 0 ? -errno : 0;
        if (r == 0)
                r = fcntl(m->fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
        if (r == 0)
                r = map(m, size);
        if (r == 0)
                r = make_lock(m->table);
        if (r == 0)
                enlist(m);
        else
                members_fini(m);
        return r;
}

void members_complete(Members *m, uint32_t kind)
{
        m->table->magic = MEMBERS_MAGIC;
        __atomic_store_n(&m->table->kind, kind, __ATOMIC_RELEASE);
}

/* Memory that can not shrink below what we look at: sealed as members_new() does. */
static int check_file(int fd, size_t least, size_t *ret_size)
{
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        if (seals < 0 && errno == EBADF)
                return -EBADF;
        if (seals < 0 || !(seals & F_SEAL_SHRINK))
                return -EBADMSG;
        if (fstat(fd, &st) < 0)
                return -errno;
        *ret_size = (size_t)st.st_size;
        return *ret_size < MAX(least, sizeof(MemberTable)) ? -EBADMSG : 0;
}

int members_open(Members *m, int fd, uint32_t kind, size_t least)
{
        size_t size = 0;
        int r;

        begin(m);
        m->fd = fd;
        r = check_file(fd, least, &size);
        if (r == 0)
                r = fd_cloexec(fd, true);
        if (r == 0)
                r = map(m, size);
        if (r == 0 && (__atomic_load_n(&m->table->kind, __ATOMIC_ACQUIRE) != kind ||
                       m->table->magic != MEMBERS_MAGIC))
                r = -EBADMSG;
        if (r == 0)
                enlist(m);
        else
                members_fini(m);
        return r;
}

void members_fini(Members *m)
{
        if (!list_empty(&m->link)) {
                members_lock(m);
                if (m->own >= 0)
                        members_bury(m, m->slot);
                members_unlock(m);
                delist(m);
        }
        if (m->table)
                (void)munmap(m->table, m->size);
        m->fd = fd_close(m->fd);
}

/* --- the lock --- */

void members_lock(Members *m)
{
        int r = pthread_mutex_lock(&m->table->mutex);

        if (r == EOWNERDEAD) {
                m->repair(m);
                r = pthread_mutex_consistent(&m->table->mutex);
        }
        ASSERT(r == 0);
}

void members_unlock(Members *m)
{
        (void)pthread_mutex_unlock(&m->table->mutex);
}

/* --- slots --- */

static bool lock_byte(int fd, int command, unsigned slot, struct flock *l)
{
        *l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };

        return fcntl(fd, command, l) == 0;
}

bool members_is_dead(const Members *m, unsigned slot)
{
        struct flock l;

        return lock_byte(m->fd, F_OFD_GETLK, slot, &l) && l.l_type == F_UNLCK;
}

void members_bury(Members *m, unsigned slot)
{
        if (m->bury)
                m->bury(m, slot);
        m->table->used[slot] = 0;
}

/* The first that nobody has, or that a dead one had. */
static int take_slot(Members *m, int own, bool dead_too)
{
        struct flock l;

        for (unsigned i = 0; i < MEMBERS_MAX; i++) {
                if ((m->table->used[i] && !dead_too) || !lock_byte(own, F_OFD_SETLK, i, &l))
                        continue;
                if (m->table->used[i])
                        members_bury(m, i);
                m->table->used[i] = 1;
                return (int)i;
        }
        return -ENOSPC;
}

static int open_and_take(Members *m)
{
        AUTO(fd_close) int own = -1;
        char path[64];
        int slot;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
        own = open(path, O_RDWR | O_CLOEXEC);
        if (own < 0)
                return -errno;
        slot = take_slot(m, own, false);
        if (slot < 0)
                slot = take_slot(m, own, true);
        if (slot < 0)
                return slot;
        m->slot = (unsigned)slot;
        m->own = MOVE_FD(own);
        return slot;
}

int members_join(Members *m)
{
        int slot;

        if (m->own >= 0)
                return (int)m->slot;
        before_fork(); /* no child may get it from between the lines */
        slot = open_and_take(m);
        after_fork();
        return slot;
}
