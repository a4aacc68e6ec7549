/* SPDX-License-Identifier: MIT */

#include "ipc/attempt.h"

#include <errno.h>

int attempt_until(Members *m, Waiting *w, Attempt attempt, void *context, int64_t timeout_usec)
{
        usec_t until = 0;
        uint32_t mark;
        int r;

        for (;;) {
                mark = waiting_mark(w);
                members_lock(m);
                r = attempt(m, context);
                members_unlock(m);
                if (r != -EAGAIN)
                        return r;
                if (!timeout_usec)
                        return -ETIMEDOUT;
                if (!until) /* most need no clock */
                        until = clock_until(timeout_usec);
                else if (clock_monotonic() >= until)
                        return -ETIMEDOUT;
                waiting_sleep(w, mark, until);
        }
}

bool attempt_may_look(uint64_t *looked)
{
        usec_t now = clock_monotonic();

        if (now - *looked < WAITING_LOOK / 5) /* a clock behind ours makes this large: look */
                return false;
        *looked = now;
        return true;
}
