/* SPDX-License-Identifier: MIT */

#include "ops/watchdog.h"

#include <stdio.h>

#include "base/macros.h"
#include "base/parse.h"

/* The least time between two looks, however short the interval. */
#define SHORTEST_LOOK (5 * USEC_PER_MSEC)

static bool longer(usec_t since, usec_t interval, usec_t now)
{
        return since && now >= usec_add(since, interval);
}

static WatchdogVerdict judge(const Watchdog *w, const WatchdogFacts *f, usec_t now)
{
        if (longer(f->storage_since, w->interval, now))
                return WATCHDOG_STORAGE;
        if (longer(f->probe_since, w->interval, now))
                return WATCHDOG_PROBE;
        return WATCHDOG_ALIVE;
}

WatchdogVerdict watchdog_look(Watchdog *w, const WatchdogFacts *facts, usec_t now)
{
        WatchdogVerdict v;

        if (!w->interval || now < w->due)
                return WATCHDOG_NOT_DUE;
        v = judge(w, facts, now);
        /* Once it is silent it looks more often: it may be saved by a sign that comes soon. */
        w->due = usec_add(now, MAX(w->interval / (v == WATCHDOG_ALIVE ? 2 : 16), SHORTEST_LOOK));
        return v;
}

usec_t watchdog_late(const Watchdog *w, usec_t now)
{
        return w->interval && w->due && now > usec_add(w->due, w->interval / 4) ? now - w->due : 0;
}

char *watchdog_words(WatchdogVerdict verdict, const WatchdogFacts *f, usec_t now, char *to,
                     size_t size)
{
        bool storage = verdict == WATCHDOG_STORAGE;
        usec_t since = storage ? f->storage_since : f->probe_since;
        char span[64];

        format_span(now > since ? now - since : 0, span, sizeof(span));
        if (storage)
                (void)snprintf(to, size, "the storage thread has not answered for %s%s", span,
                               f->storage_fails ? " (what it wrote before had failed)" : "");
        else
                (void)snprintf(to, size,
                               "a probe has not come back from pool %s (WatchdogPool=) for %s",
                               f->pool, span);
        return to;
}
