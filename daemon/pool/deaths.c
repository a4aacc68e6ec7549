/* SPDX-License-Identifier: MIT */

#include "pool/deaths.h"

#include <stdio.h>

#include "base/macros.h"

void deaths_note(Deaths *d, const Worker *w, usec_t now)
{
        Death *death = &d->ring[d->n++ % DEATHS_KEPT];

        *death = (Death){ .at = now, .pid = w->pid, .cause = obituary_cause(w) };
        (void)snprintf(death->worker, sizeof(death->worker), "%s", w->name);
        obituary_words(w, death->words, sizeof(death->words));
}

const Death *deaths_get(const Deaths *d, unsigned i)
{
        if (i >= MIN(d->n, (uint64_t)DEATHS_KEPT))
                return NULL;
        return &d->ring[(d->n - 1 - i) % DEATHS_KEPT];
}
