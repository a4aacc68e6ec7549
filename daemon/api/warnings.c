/* SPDX-License-Identifier: MIT */

#include "api/warnings.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/culprit.h"
#include "api/disk.h"
#include "base/parse.h"
#include "ops/status_line.h"
#include "store/store.h"

/* A pool at work that has ended nothing for so long, while jobs wait, is told of. */
#define STUCK_AFTER (30 * USEC_PER_SEC)

/* A limit that was hit not longer ago than that is. */
#define LIMIT_RECENT (60 * USEC_PER_SEC)

const char *warning_kind_name(WarningKind kind)
{
        static const char *const names[] = {
#define KIND(name, word) word,
                WARNING_KINDS(KIND)
#undef KIND
        };

        return names[kind];
}

static void tell(const Warnings *w, WarningKind kind, const char *subject, const char *format, ...)
        PRINTF(4, 5);

static void tell(const Warnings *w, WarningKind kind, const char *subject, const char *format, ...)
{
        char message[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        status_line_clean(message);
        w->tell(w->context, kind, subject, message);
}

/* --- pools --- */

/* To the second; what is shorter is one, and not "0". */
static char *span_words(usec_t span, char *to, size_t size)
{
        return format_span(MAX(span - span % USEC_PER_SEC, USEC_PER_SEC), to, size);
}

/* Jobs wait for workers that are all busy, and do not get on. Returns false: it is not so. */
static bool tell_stuck(const Warnings *w, const Pool *pool, usec_t now)
{
        uint64_t waiting = pool->core->count[JOB_QUEUED];
        const Slot *slot = waiting && !pool_count(pool).idle ? culprit_of_pool(pool) : NULL;
        usec_t since = slot ? MAX(pool->core->last_end, slot->since) : now;
        char quiet[64], words[256];

        if (now - MIN(since, now) < STUCK_AFTER)
                return false;
        tell(w, WARNING_POOL_STUCK, pool->core->name,
             "pool %s gets nothing done: %llu job%s wait%s, and none has ended for %s; %s",
             pool->core->name, (unsigned long long)waiting, PLURAL(waiting),
             waiting == 1 ? "s" : "", span_words(now - since, quiet, sizeof(quiet)),
             culprit_words(w->client, slot, now, words, sizeof(words)));
        return true;
}

static void tell_slow(const Warnings *w, const Pool *pool, usec_t now)
{
        usec_t after = pool->settings->slow_after;
        const Slot *slot = after && after != USEC_INFINITY ? culprit_of_pool(pool) : NULL;
        char span[64], words[256];

        if (slot && now - MIN(slot->since, now) > after)
                tell(w, WARNING_JOB_SLOW, pool->core->name, "pool %s: %s, longer than SlowAfter=%s",
                     pool->core->name,
                     culprit_words(w->client, slot, now, words, sizeof(words)),
                     format_span(after, span, sizeof(span)));
}

void warnings_of_pool(const Warnings *w, const Pool *pool, usec_t now)
{
        const char *name = pool->core->name;

        if (pool->removed)
                return;
        if (pool->breaker.open)
                tell(w, WARNING_POOL_FAILED, name, "pool %s: its workers can not start: %s", name,
                     pool->start_error);
        else if (pool->core->paused)
                tell(w, WARNING_POOL_PAUSED, name, "pool %s is paused", name);
        else if (!pool_has_minimum(pool))
                tell(w, WARNING_POOL_SHORT, name, "pool %s has %u of %u workers%s%s", name,
                     pool_ready_workers(pool), pool->bounds.min,
                     pool->start_error[0] ? ": " : "", pool->start_error);
        else if (!tell_stuck(w, pool, now))
                tell_slow(w, pool, now);
}

void warnings_of_handler(const Warnings *w, const CoreHandler *h, usec_t now)
{
        if (!h->pool || !h->breaker.broken)
                return;
        tell(w, WARNING_HANDLER_RESTING, h->name,
             "handler %s is given a rest: its jobs kill their workers", h->name);
}

/* --- the daemon --- */

static void tell_of_store(const Warnings *w, const Api *api)
{
        Disk disk;

        if (store_error(api->store))
                tell(w, WARNING_STORE_FAILS, NULL,
                     "the store fails, and durable jobs are refused: %s", store_error(api->store));
        if (!disk_look(api->lifecycle.state_directory, &disk) || !disk_is_low(&disk))
                return;
        tell(w, WARNING_DISK_LOW, api->lifecycle.state_directory,
             "the disk of %s has %llu MiB of %llu MiB left: make room, or durable jobs will be "
             "refused",
             api->lifecycle.state_directory, (unsigned long long)disk.free >> 20,
             (unsigned long long)disk.size >> 20);
}

static void tell_of_limits(const Warnings *w, const Api *api, usec_t now)
{
        const Refusals *r = &api->refusals;
        char ago[64];

        for (unsigned i = 0; i < N_REFUSALS; i++) {
                usec_t age = now - MIN(r->last[i], now);

                if (!refusal_is_limit(i) || !r->last[i] || age > LIMIT_RECENT)
                        continue;
                tell(w, WARNING_LIMIT_HIT, refusal_reason(i),
                     "clients are refused by the limit %s: %llu so far, the last %s ago",
                     refusal_reason(i), (unsigned long long)r->counts[i],
                     span_words(age, ago, sizeof(ago)));
        }
}

void warnings_of_all(const Warnings *w, const Api *api, usec_t now)
{
        const char *refused = api->lifecycle.reload_refused(api->lifecycle.context);
        const CoreHandler *h;
        const Pool *pool;

        tell_of_store(w, api);
        LIST_FOREACH(&api->pools->pools, pool, link)
                warnings_of_pool(w, pool, now);
        LIST_FOREACH(&api->core->handlers, h, link)
                warnings_of_handler(w, h, now);
        tell_of_limits(w, api, now);
        if (refused)
                tell(w, WARNING_RELOAD_REFUSED, NULL,
                     "the last reload was refused, and the config before it is in force: %s",
                     refused);
}
