/* SPDX-License-Identifier: MIT */

#include "api/refusals.h"

#include <stdbool.h>
#include <string.h>

#include "base/macros.h"

static const struct {
        const char *name, *reason;
} table[N_REFUSALS] = {
#define REFUSAL(name, reason) { name, reason },
        REFUSALS(REFUSAL)
#undef REFUSAL
};

void refusals_note(Refusals *r, Slice name, usec_t now)
{
        unsigned i = 0;

        if (slice_is(name, "WaitTimeout") || slice_is(name, "QuotaExceeded"))
                return; /* which quota that was, is told apart */
        while (i < N_REFUSALS - 1 && !slice_is(name, table[i].name))
                i++;
        r->counts[i]++;
        r->last[i] = now;
}

const char *refusal_reason(unsigned i)
{
        return table[i].reason;
}

bool refusal_is_limit(unsigned i)
{
        const char *reason = table[i].reason;

        return strncmp(reason, "quota_", 6) == 0 || strcmp(reason, "queue_full") == 0 ||
               strcmp(reason, "all_connections") == 0;
}
