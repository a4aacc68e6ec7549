/* SPDX-License-Identifier: MIT */

/* The truth is `total`, `orphaned` and what each member holds; what is available follows from it,
 * is kept beside it, and computed anew where somebody died in the middle. */

#include <brood/semaphore.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "ipc/members.h"
#include "ipc/waiting.h"

enum { SEMAPHORE_KIND = 0x73656d61 /* "sema" */ };

typedef struct SharedSemaphore {
        MemberTable members;
        Waiting waiting;
        bool bounded, recursive;
        uint32_t total;
        uint32_t available;
        uint32_t orphaned;  /* units that dead members had, and nobody has got since */
        uint32_t owner_tid; /* of a recursive one */
        uint32_t depth;     /* how often its owner has acquired it beyond the first time */
        uint64_t looked;    /* when somebody last looked for dead members */
        uint32_t held[MEMBERS_MAX];
} SharedSemaphore;

struct BroodSemaphore {
        Members members;
};

static SharedSemaphore *shared_of(const Members *m)
{
        return (SharedSemaphore *)(void *)m->table;
}

/* --- deaths --- */

static void count_available(SharedSemaphore *s)
{
        uint32_t held = 0;

        for (unsigned i = 0; i < MEMBERS_MAX; i++)
                held += s->held[i];
        __atomic_store_n(&s->available, s->total > held ? s->total - held : 0, __ATOMIC_RELAXED);
}

static void repair(Members *m)
{
        count_available(shared_of(m));
}

static void bury(Members *m, unsigned slot)
{
        SharedSemaphore *s = shared_of(m);
        uint32_t units = s->held[slot];

        if (!units)
                return;
        s->orphaned += units; /* first: better told twice than never */
        s->held[slot] = 0;
        s->depth = 0;
        count_available(s);
        waiting_wake(&s->waiting, (int)units);
}

static void bury_dead(Members *m)
{
        SharedSemaphore *s = shared_of(m);

        for (unsigned i = 0; i < MEMBERS_MAX; i++)
                if (s->held[i] && !(m->own >= 0 && m->slot == i) && members_is_dead(m, i))
                        members_bury(m, i);
}

/* --- life --- */

static BroodSemaphore *allocate(void)
{
        BroodSemaphore *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        s->members.repair = repair;
        s->members.bury = bury;
        return s;
}

static int make(BroodSemaphore **ret, unsigned value, bool bounded, bool recursive)
{
        BroodSemaphore *semaphore;
        SharedSemaphore *s;
        int r;

        if (value > BROOD_SEMAPHORE_MAX)
                return -EINVAL;
        semaphore = allocate();
        if (!semaphore)
                return -ENOMEM;
        r = members_new(&semaphore->members, "brood-semaphore", sizeof(SharedSemaphore));
        if (r < 0) {
                free(semaphore);
                return r;
        }
        s = shared_of(&semaphore->members);
        s->bounded = bounded;
        s->recursive = recursive;
        s->total = s->available = value;
        members_complete(&semaphore->members, SEMAPHORE_KIND);
        *ret = semaphore;
        return 0;
}

int brood_semaphore_new(BroodSemaphore **ret, unsigned value, int bounded)
{
        return make(ret, value, bounded, false);
}

int brood_lock_new(BroodSemaphore **ret)
{
        return make(ret, 1, true, false);
}

int brood_recursive_lock_new(BroodSemaphore **ret)
{
        return make(ret, 1, true, true);
}

int brood_semaphore_open(BroodSemaphore **ret, int fd)
{
        BroodSemaphore *semaphore = allocate();
        int r;

        if (!semaphore)
                return -ENOMEM;
        r = members_open(&semaphore->members, fd, SEMAPHORE_KIND, sizeof(SharedSemaphore));
        if (r < 0) {
                free(semaphore);
                return r;
        }
        *ret = semaphore;
        return 0;
}

int brood_semaphore_fd(const BroodSemaphore *semaphore)
{
        return semaphore->members.fd;
}

int brood_semaphore_value(const BroodSemaphore *semaphore)
{
        return (int)__atomic_load_n(&shared_of(&semaphore->members)->available, __ATOMIC_RELAXED);
}

/* --- acquire --- */

static uint32_t thread_id(void)
{
        return (uint32_t)syscall(SYS_gettid);
}

static bool is_owner(const Members *m, const SharedSemaphore *s)
{
        return m->own >= 0 && s->held[m->slot] && s->owner_tid == thread_id();
}

/* Under the lock: 0 or BROOD_OWNER_DIED with a unit, -EAGAIN without one, or another error. */
static int take(Members *m, SharedSemaphore *s)
{
        int slot;

        if (s->recursive && is_owner(m, s)) {
                s->depth++;
                return 0;
        }
        if (!s->available)
                return -EAGAIN;
        slot = members_join(m);
        if (slot < 0)
                return slot;
        s->held[slot]++; /* from here on it is taken */
        __atomic_store_n(&s->available, s->available - 1, __ATOMIC_RELAXED);
        if (s->recursive) {
                s->owner_tid = thread_id();
                s->depth = 0;
        }
        if (!s->orphaned)
                return 0;
        s->orphaned--;
        return BROOD_OWNER_DIED;
}

/* The same; if there is none, and nobody has looked for a while, it may be that its owner has
 * died. */
static int try(Members *m, SharedSemaphore *s)
{
        usec_t now;
        int r = take(m, s);

        if (r != -EAGAIN)
                return r;
        now = clock_monotonic();
        if (now - s->looked < WAITING_LOOK)
                return r;
        s->looked = now;
        bury_dead(m);
        return take(m, s);
}

int brood_semaphore_acquire(BroodSemaphore *semaphore, int64_t timeout_usec)
{
        Members *m = &semaphore->members;
        SharedSemaphore *s = shared_of(m);
        usec_t until = timeout_usec ? waiting_until(timeout_usec) : 0;
        uint32_t mark;
        int r;

        for (;;) {
                mark = waiting_mark(&s->waiting);
                members_lock(m);
                r = try(m, s);
                members_unlock(m);
                if (r != -EAGAIN)
                        return r;
                if (!timeout_usec || clock_monotonic() >= until)
                        return -ETIMEDOUT;
                waiting_sleep(&s->waiting, mark, until);
        }
}

/* --- release --- */

/* Under the lock: who has a unit; -1: nobody. We, if we have one. */
static int some_holder(const Members *m, const SharedSemaphore *s)
{
        if (m->own >= 0 && s->held[m->slot])
                return (int)m->slot;
        for (int i = 0; i < MEMBERS_MAX; i++)
                if (s->held[i])
                        return i;
        return -1;
}

static int give_back(Members *m, SharedSemaphore *s)
{
        int holder;

        if (s->recursive && !is_owner(m, s))
                return -EPERM;
        if (s->recursive && s->depth) {
                s->depth--;
                return 0;
        }
        holder = some_holder(m, s);
        if (holder < 0 && (s->bounded || s->total >= BROOD_SEMAPHORE_MAX))
                return -EPERM;
        if (holder >= 0)
                s->held[holder]--;
        else
                s->total++;
        __atomic_store_n(&s->available, s->available + 1, __ATOMIC_RELAXED);
        return 1;
}

int brood_semaphore_release(BroodSemaphore *semaphore)
{
        Members *m = &semaphore->members;
        SharedSemaphore *s = shared_of(m);
        int r;

        members_lock(m);
        r = give_back(m, s);
        members_unlock(m);
        if (r == 1)
                waiting_wake(&s->waiting, 1);
        return MIN(r, 0);
}

void brood_semaphore_free(BroodSemaphore *semaphore)
{
        if (!semaphore)
                return;
        members_fini(&semaphore->members);
        free(semaphore);
}
