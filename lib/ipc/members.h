/* SPDX-License-Identifier: MIT */
#pragma once

/* The processes that share an object in a memfd: which of them live, and one lock for all.
 *
 * Each has a slot in a table at the start of the memory. It holds the slot by a lock (F_OFD_SETLK)
 * on one byte of the file, through an open file description of its own, so the kernel lets go of it
 * when the process dies, reaped or not, in whatever pid namespace. No pid is trusted. A fork copies
 * descriptors, which would keep a dead parent's slot: so a handler (pthread_atfork) closes them in
 * the child, which takes slots of its own when it first needs them.
 *
 * The lock is a robust mutex. Who gets it after its owner has died repairs the object first, so
 * everything that is changed under it has to be repairable at each instruction. It is held for some
 * hundred nanoseconds, never while somebody waits for something else. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

enum { MEMBERS_MAX = 1024 };

/* In the shared memory; the object follows. */
typedef struct MemberTable {
        uint32_t magic;
        uint32_t kind; /* what the object is; written last: then it is complete */
        pthread_mutex_t mutex;
        uint8_t used[MEMBERS_MAX]; /* the slot has an owner, who may have died */
} MemberTable;

/* In each process. */
typedef struct Members {
        List link;          /* all of this process */
        MemberTable *table;
        size_t size;        /* of the mapping */
        int fd;             /* the memfd */
        int own;            /* our open file description; -1: we have no slot yet */
        unsigned slot;
        void (*repair)(struct Members *members); /* the last owner of the lock died in it */
        void (*bury)(struct Members *members, unsigned slot); /* what a dead member had */
} Members;

/* Makes memory of so many bytes, of zeros, for an object, and maps it. The caller fills it
 * in and then says members_complete(). Returns 0 or -errno. */
int members_new(Members *m, const char *name, size_t size);
void members_complete(Members *m, uint32_t kind);

/* Maps what another process has made; fd is taken over, also on failure. -EBADMSG: it is something
 * else. */
int members_open(Members *m, int fd, uint32_t kind, size_t least);

/* Forgets it; a slot is given back, with bury() of what is left in it. */
void members_fini(Members *m);

void members_lock(Members *m);
void members_unlock(Members *m);

/* Under the lock: our slot, taken if we have none. Returns it, or -errno (-ENOSPC: MEMBERS_MAX live
 * processes have theirs). */
int members_join(Members *m);

/* Under the lock: is its owner dead? Not of our own slot. Costs a system call. */
bool members_is_dead(const Members *m, unsigned slot);

/* Under the lock: buries the owner of a slot and frees it. */
void members_bury(Members *m, unsigned slot);
