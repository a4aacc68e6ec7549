/* SPDX-License-Identifier: MIT */

/* A recursive lock, and behind it the elements. */

#include <brood/shared.h>

#include <errno.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "ipc/units.h"

enum { VALUE_KIND = 0x76616c75 /* "valu" */ };

typedef struct SharedValue {
        Units lock;
        uint64_t element_size, n;
        _Alignas(64) char elements[];
} SharedValue;

struct BroodValue {
        Members members;
        size_t element_size, n; /* our own: what others write there does not move our bounds */
};

static SharedValue *shared_of(const BroodValue *value)
{
        return (SharedValue *)(void *)value->members.table;
}

static BroodValue *allocate(void)
{
        BroodValue *value = calloc(1, sizeof(*value));

        if (value)
                units_begin(&value->members);
        return value;
}

/* Of so many elements with what belongs to them; false: there is no such size. */
static bool find_size(size_t element_size, size_t n, size_t *ret)
{
        size_t bytes;

        return element_size && n && !__builtin_mul_overflow(element_size, n, &bytes) &&
               !__builtin_add_overflow(bytes, sizeof(SharedValue), ret) && *ret <= PTRDIFF_MAX;
}

int brood_value_new(BroodValue **ret, size_t element_size, size_t n)
{
        AUTO(free) BroodValue *value = NULL;
        size_t size;
        int r;

        if (!element_size || !n)
                return -EINVAL;
        if (!find_size(element_size, n, &size))
                return -ENOMEM;
        value = allocate();
        if (!value)
                return -ENOMEM;
        r = members_new(&value->members, "brood-value", size);
        if (r < 0)
                return r;
        units_init(&value->members, 1, true, true);
        shared_of(value)->element_size = value->element_size = element_size;
        shared_of(value)->n = value->n = n;
        members_complete(&value->members, VALUE_KIND);
        *ret = MOVE_PTR(value);
        return 0;
}

int brood_value_open(BroodValue **ret, int fd)
{
        AUTO(free) BroodValue *value = allocate();
        size_t size;
        int r;

        if (!value) {
                fd_close(fd);
                return -ENOMEM;
        }
        r = members_open(&value->members, fd, VALUE_KIND, sizeof(SharedValue));
        if (r < 0)
                return r;
        value->element_size = shared_of(value)->element_size;
        value->n = shared_of(value)->n;
        if (!find_size(value->element_size, value->n, &size) || size > value->members.size) {
                members_fini(&value->members);
                return -EBADMSG;
        }
        *ret = MOVE_PTR(value);
        return 0;
}

int brood_value_fd(const BroodValue *value)
{
        return value->members.fd;
}

void *brood_value_at(const BroodValue *value, size_t i)
{
        return i < value->n ? shared_of(value)->elements + i * value->element_size : NULL;
}

size_t brood_value_length(const BroodValue *value)
{
        return value->n;
}

int brood_value_lock(BroodValue *value, int64_t timeout_usec)
{
        return units_acquire(&value->members, timeout_usec);
}

int brood_value_unlock(BroodValue *value)
{
        return units_release(&value->members);
}

void brood_value_free(BroodValue *value)
{
        if (!value)
                return;
        members_fini(&value->members);
        free(value);
}
