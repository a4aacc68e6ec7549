/* SPDX-License-Identifier: MIT */

#include "ipc/waiting.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

void waiting_sleep(Waiting *w, uint32_t mark, usec_t until)
{
        usec_t now = clock_monotonic();
        usec_t left = MIN(until > now ? until - now : 0, (usec_t)WAITING_LOOK);
        struct timespec t = { 0, (long)left * 1000 };

        __atomic_add_fetch(&w->waiters, 1, __ATOMIC_SEQ_CST);
        (void)syscall(SYS_futex, &w->changes, FUTEX_WAIT, mark, &t, NULL, 0); /* it will look */
        __atomic_sub_fetch(&w->waiters, 1, __ATOMIC_SEQ_CST);
}

void waiting_wake(Waiting *w, int n)
{
        __atomic_add_fetch(&w->changes, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&w->waiters, __ATOMIC_SEQ_CST))
                (void)syscall(SYS_futex, &w->changes, FUTEX_WAKE, n, NULL, NULL, 0);
}
