/* SPDX-License-Identifier: MIT */

/* One for each slot may be on its way to a run. Others came when their runs had just ended: nobody
 * takes these, and with time they make room. */

#include "worker/early.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 32 }; /* for those that come too late, beside one for each slot */

int early_init(EarlyCancels *early, unsigned n_slots)
{
        pthread_mutex_init(&early->lock, NULL);
        early->max = 2 * n_slots + ROOM;
        early->items = calloc(early->max, sizeof(*early->items));
        return early->items ? 0 : -ENOMEM;
}

void early_fini(EarlyCancels *early)
{
        free(early->items);
}

static void drop(EarlyCancels *early, unsigned i)
{
        early->n--;
        memmove(early->items + i, early->items + i + 1,
                (early->n - i) * sizeof(early->items[0]));
}

void early_note(EarlyCancels *early, const char *id, int attempt, CancelReason reason)
{
        EarlyCancel *e;

        pthread_mutex_lock(&early->lock);
        if (early->n == early->max)
                drop(early, 0);
        e = &early->items[early->n++];
        e->number = atomic_load(&early->noted) + 1;
        (void)snprintf(e->id, sizeof(e->id), "%s", id);
        e->attempt = attempt;
        e->reason = reason;
        atomic_store(&early->noted, e->number);
        pthread_mutex_unlock(&early->lock);
}

CancelReason early_take(EarlyCancels *early, const char *id, int attempt, uint64_t *seen)
{
        CancelReason reason = CANCEL_NONE;

        if (atomic_load(&early->noted) == *seen)
                return CANCEL_NONE;
        pthread_mutex_lock(&early->lock);
        for (unsigned i = early->n; i-- && reason == CANCEL_NONE;) {
                const EarlyCancel *e = &early->items[i];

                if (e->number <= *seen)
                        break;
                if (e->attempt != attempt || strcmp(e->id, id) != 0)
                        continue;
                reason = e->reason;
                drop(early, i);
        }
        *seen = atomic_load(&early->noted);
        pthread_mutex_unlock(&early->lock);
        return reason;
}
