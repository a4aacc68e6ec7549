/* SPDX-License-Identifier: MIT */

#include "core/ladder.h"

static Rung take(Ladder *l, Rung rung, usec_t kill_after, usec_t now)
{
        l->rung = rung;
        if (rung >= RUNG_KILL)
                l->next = USEC_INFINITY;
        else if (rung == RUNG_TERM) /* who ignores SIGTERM gets no second full grace */
                l->next = usec_add(now, kill_after < USEC_PER_SEC ? kill_after : USEC_PER_SEC);
        else
                l->next = usec_add(now, kill_after);
        return rung;
}

Rung ladder_start(Ladder *l, bool force, usec_t kill_after, usec_t now)
{
        Rung first = force ? RUNG_KILL : RUNG_ASK;

        return l->rung >= first ? RUNG_NONE : take(l, first, kill_after, now);
}

Rung ladder_climb(Ladder *l, bool only_ask, usec_t kill_after, usec_t now)
{
        if (l->next > now || l->rung == RUNG_NONE || l->rung >= RUNG_KILL)
                return RUNG_NONE;
        if (only_ask) {
                l->next = USEC_INFINITY;
                return RUNG_NONE;
        }
        return take(l, l->rung + 1, kill_after, now);
}
