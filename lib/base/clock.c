/* SPDX-License-Identifier: MIT */

#include "base/clock.h"

static usec_t offset;

__attribute__((constructor)) static void clock_anchor(void)
{
        offset = clock_read(CLOCK_REALTIME) - clock_monotonic();
}

usec_t clock_steady(void)
{
        return clock_monotonic() + offset;
}

usec_t clock_until(int64_t timeout_usec)
{
        return timeout_usec < 0 ? USEC_INFINITY
                                : usec_add(clock_monotonic(), (usec_t)timeout_usec);
}
