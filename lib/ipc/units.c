/* SPDX-License-Identifier: MIT */

#include "ipc/units.h"

#include <brood/semaphore.h>

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "ipc/attempt.h"

static Units *units_of(const Members *m)
{
        return (Units *)(void *)m->table;
}

static const UnitsState *state_of(const Units *u)
{
        return &u->states[u->which & 1];
}

static void note_held(Units *u)
{
        const UnitsState *s = state_of(u);

        u->held[s->slot] = s->held;
}

/* A member has so many units from now on, and all else is as in `next`. */
static void change(Units *u, UnitsState *next, unsigned slot, uint32_t held)
{
        uint32_t which = !(u->which & 1);

        next->slot = slot;
        next->held = held;
        u->states[which] = *next;
        __atomic_store_n(&u->which, which, __ATOMIC_RELEASE); /* here it happens */
        note_held(u);
}

/* --- deaths --- */

static void repair(Members *m)
{
        note_held(units_of(m));
}

static void bury(Members *m, unsigned slot)
{
        Units *u = units_of(m);
        UnitsState next = *state_of(u);
        uint32_t units = u->held[slot];

        if (!units)
                return;
        next.orphaned += units;
        next.available += units;
        next.depth = 0;
        change(u, &next, slot, 0);
        waiting_wake(&u->waiting, (int)units);
}

static bool is_own(const Members *m, unsigned slot)
{
        return m->own >= 0 && m->slot == slot;
}

static void bury_dead(Members *m)
{
        const Units *u = units_of(m);

        for (unsigned i = 0; i < MEMBERS_MAX; i++)
                if (u->held[i] && !is_own(m, i) && members_is_dead(m, i))
                        members_bury(m, i);
}

void units_begin(Members *m)
{
        m->repair = repair;
        m->bury = bury;
}

void units_init(Members *m, unsigned value, bool bounded, bool recursive)
{
        Units *u = units_of(m);

        u->bounded = bounded;
        u->recursive = recursive;
        u->states[0] = (UnitsState){ .total = value, .available = value };
}

/* --- acquire --- */

static uint32_t thread_id(void)
{
        return (uint32_t)syscall(SYS_gettid);
}

/* Is it a recursive one that this thread has? */
static bool is_ours(const Members *m, const Units *u)
{
        return m->own >= 0 && u->held[m->slot] && state_of(u)->owner_tid == thread_id();
}

static int take(Members *m, Units *u)
{
        UnitsState next = *state_of(u);
        bool orphaned;
        int slot;

        if (u->recursive && is_ours(m, u)) {
                next.depth++;
                change(u, &next, m->slot, u->held[m->slot]);
                return 0;
        }
        if (!next.available)
                return -EAGAIN;
        slot = members_join(m);
        if (slot < 0)
                return slot;
        next = *state_of(u); /* to join may have buried somebody */
        orphaned = next.orphaned;
        next.available--;
        next.orphaned -= orphaned;
        next.owner_tid = u->recursive ? thread_id() : 0;
        next.depth = 0;
        change(u, &next, (unsigned)slot, u->held[slot] + 1);
        return orphaned ? BROOD_OWNER_DIED : 0;
}

static int try_to_take(Members *m, void *context)
{
        Units *u = context;
        int r = take(m, u);

        if (r != -EAGAIN || !attempt_may_look(&u->looked))
                return r;
        bury_dead(m);
        return take(m, u);
}

int units_acquire(Members *m, int64_t timeout_usec)
{
        Units *u = units_of(m);

        return attempt_until(m, &u->waiting, try_to_take, u, timeout_usec);
}

/* --- release --- */

/* Under the lock: who has a unit; -1: nobody. We, if we have one; else one who lives. */
static int some_holder(Members *m, const Units *u)
{
        if (m->own >= 0 && u->held[m->slot])
                return (int)m->slot;
        for (unsigned i = 0; i < MEMBERS_MAX; i++) {
                if (!u->held[i])
                        continue;
                if (!members_is_dead(m, i))
                        return (int)i;
                members_bury(m, i);
        }
        return -1;
}

/* 1: there is a unit for somebody who waits. */
static int give_back(Members *m, Units *u)
{
        UnitsState next = *state_of(u);
        int holder;

        if (u->recursive && !is_ours(m, u))
                return -EPERM;
        if (u->recursive && next.depth) {
                next.depth--;
                change(u, &next, m->slot, u->held[m->slot]);
                return 0;
        }
        holder = some_holder(m, u);
        next = *state_of(u);
        if (holder < 0 && (u->bounded || next.total >= BROOD_SEMAPHORE_MAX))
                return -EPERM;
        next.available++;
        if (holder >= 0) {
                change(u, &next, (unsigned)holder, u->held[holder] - 1);
        } else {
                next.total++;
                change(u, &next, next.slot, next.held);
        }
        return 1;
}

int units_release(Members *m)
{
        Units *u = units_of(m);
        int r;

        members_lock(m);
        r = give_back(m, u);
        members_unlock(m);
        if (r == 1)
                waiting_wake(&u->waiting, 1);
        return MIN(r, 0);
}

int units_value(Members *m)
{
        int value;

        members_lock(m);
        value = (int)state_of(units_of(m))->available;
        members_unlock(m);
        return value;
}
