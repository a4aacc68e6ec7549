/* SPDX-License-Identifier: MIT */

#include "core/breaker.h"

#include "core/retry.h"

bool handler_breaker_claimed(HandlerBreaker *b)
{
        b->trying |= b->broken > 0;
        return b->broken > 0;
}

void handler_breaker_untried(HandlerBreaker *b)
{
        b->trying = false;
}

bool handler_breaker_killed(HandlerBreaker *b, bool first, bool trial, uint32_t limit, usec_t now)
{
        b->killers += first;
        if (trial)
                b->trying = false;
        if (b->broken ? !trial : !limit || b->killers < limit)
                return b->broken > 0; /* if it is open, this job had begun before */
        b->broken++;
        b->until = usec_add(now, retry_backoff(HANDLER_BREAK, HANDLER_BREAK_MAX, b->broken, 0));
        return true;
}

bool handler_breaker_survived(HandlerBreaker *b)
{
        bool was_open = b->broken > 0;

        *b = (HandlerBreaker){ 0 };
        return was_open;
}
