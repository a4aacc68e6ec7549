/* SPDX-License-Identifier: MIT */

#include <brood/semaphore.h>

#include <errno.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "ipc/units.h"

enum { SEMAPHORE_KIND = 0x73656d61 /* "sema" */ };

struct BroodSemaphore {
        Members members;
};

static BroodSemaphore *allocate(void)
{
        BroodSemaphore *s = calloc(1, sizeof(*s));

        if (s)
                units_begin(&s->members);
        return s;
}

static int make(BroodSemaphore **ret, unsigned value, bool bounded, bool recursive)
{
        AUTO(free) BroodSemaphore *s = NULL;
        int r;

        if (value > BROOD_SEMAPHORE_MAX)
                return -EINVAL;
        s = allocate();
        if (!s)
                return -ENOMEM;
        r = members_new(&s->members, "brood-semaphore", sizeof(Units));
        if (r < 0)
                return r;
        units_init(&s->members, value, bounded, recursive);
        members_complete(&s->members, SEMAPHORE_KIND);
        *ret = MOVE_PTR(s);
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
        AUTO(free) BroodSemaphore *s = allocate();
        int r;

        if (!s) {
                fd_close(fd);
                return -ENOMEM;
        }
        r = members_open(&s->members, fd, SEMAPHORE_KIND, sizeof(Units));
        if (r < 0)
                return r;
        *ret = MOVE_PTR(s);
        return 0;
}

int brood_semaphore_fd(const BroodSemaphore *s)
{
        return s->members.fd;
}

int brood_semaphore_acquire(BroodSemaphore *s, int64_t timeout_usec)
{
        return units_acquire(&s->members, timeout_usec);
}

int brood_semaphore_release(BroodSemaphore *s)
{
        return units_release(&s->members);
}

int brood_semaphore_value(const BroodSemaphore *s)
{
        return units_value((Members *)&s->members); /* nothing that the caller sees changes */
}

void brood_semaphore_free(BroodSemaphore *s)
{
        if (!s)
                return;
        members_fini(&s->members);
        free(s);
}
