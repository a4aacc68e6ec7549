/* SPDX-License-Identifier: MIT */

#include "base/entropy.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/macros.h"

static __thread struct {
        unsigned char bytes[4096];
        size_t left;
} pool;

static void refill(void)
{
        size_t have = 0;

        while (have < sizeof(pool.bytes)) {
                ssize_t n = getrandom(pool.bytes + have, sizeof(pool.bytes) - have, 0);

                ASSERT(n > 0 || errno == EINTR);
                if (n > 0)
                        have += (size_t)n;
        }
        pool.left = sizeof(pool.bytes);
}

void entropy_fill(void *to, size_t n)
{
        unsigned char *out = to;

        while (n) {
                size_t now;

                if (!pool.left)
                        refill();
                now = MIN(n, pool.left);
                memcpy(out, pool.bytes + sizeof(pool.bytes) - pool.left, now);
                pool.left -= now;
                out += now;
                n -= now;
        }
}

void entropy_forget(void)
{
        pool.left = 0;
}
