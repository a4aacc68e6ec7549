/* SPDX-License-Identifier: MIT */

#include "pool/recycle.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/entropy.h"
#include "base/fd.h"
#include "base/parse.h"
#include "ops/log.h"
#include "pool/fields.h"
#include "pool/pool.h"

void wear_init(Wear *wear, const PoolSettings *s)
{
        const RecycleLimits limits = { s->recycle_jobs, s->recycle_memory, s->recycle_age };

        wear->limits = recycle_limits(&limits, s->recycle_jitter, entropy_u64());
        wear->look_jobs = wear->limits.jobs ? wear->limits.jobs : UINT64_MAX;
        wear->look_at = wear->limits.memory ? 0 : USEC_INFINITY;
}

static uint64_t private_memory(pid_t pid)
{
        unsigned long long resident, shared;
        AUTO(fd_close) int fd = -1;
        char path[64], text[256];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return 0; /* it is over */
        text[n] = '\0';
        if (sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
                return 0;
        return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Returns when to read it again, though it does nothing meanwhile. */
static usec_t read_memory(Worker *w, usec_t now)
{
        Wear *wear = &w->wear;

        if (!wear->limits.memory)
                return USEC_INFINITY;
        if (now < wear->read_next)
                return wear->read_next;
        if (w->jobs_done == wear->read_after) {
                wear->look_at = 0; /* after the next job, then */
                return USEC_INFINITY;
        }
        wear->memory = private_memory(w->pid);
        wear->read_after = w->jobs_done;
        wear->read_next = usec_add(now, USEC_PER_SEC);
        wear->look_at = USEC_INFINITY;
        return wear->read_next;
}

/* Returns when to look at it again. */
static usec_t look(Worker *w, usec_t now)
{
        Wear *wear = &w->wear;
        usec_t again = read_memory(w, now);
        const RecycleLimits used = { w->jobs_done, wear->memory, now - wear->since };

        wear->due = recycle_due(&wear->limits, &used);
        if (wear->due != RECYCLE_NONE) {
                wear->look_jobs = UINT64_MAX;
                wear->look_at = USEC_INFINITY;
                return USEC_INFINITY;
        }
        return wear->limits.age ? MIN(again, usec_add(wear->since, wear->limits.age)) : again;
}

static const char *words(const Worker *w, char *to, size_t size)
{
        const PoolSettings *s = w->pool->settings;
        char span[64];

        if (w->wear.due == RECYCLE_JOBS)
                (void)snprintf(to, size, "RecycleJobs=%llu: it has done %llu jobs",
                               (unsigned long long)s->recycle_jobs,
                               (unsigned long long)w->jobs_done);
        else if (w->wear.due == RECYCLE_MEMORY)
                (void)snprintf(to, size, "RecycleMemory=: it has %llu KiB of its own",
                               (unsigned long long)w->wear.memory / 1024);
        else
                (void)snprintf(to, size, "RecycleAge=%s",
                               format_span(s->recycle_age, span, sizeof(span)));
        return to;
}

static void give_up_seat(Pool *pool, Worker *w)
{
        const LogFields fields = { .pool = pool->core->name, .worker = w->name };
        char why[128];

        if (w->seat < pool->n_seats && pool->seats[w->seat].worker == w)
                pool->seats[w->seat].worker = NULL;
        w->wear.outgoing = true;
        log_event(&fields, LEVEL_INFO, "worker=%s pid=%d gen=%u is to be replaced: %s", w->name,
                  (int)w->pid, w->generation, words(w, why, sizeof(why)));
}

usec_t recycle_look(Pool *pool, usec_t now)
{
        unsigned active = 0, outgoing = 0;
        usec_t again = USEC_INFINITY;
        Worker *w;

        LIST_FOREACH(&pool->workers, w, in_pool) {
                if (w->state < WORKER_ACTIVE)
                        continue;
                outgoing += w->wear.outgoing;
                if (w->state != WORKER_ACTIVE || w->epoch != pool->epoch)
                        continue;
                active++;
                if (!w->wear.outgoing)
                        again = MIN(again, look(w, now));
        }
        LIST_FOREACH(&pool->workers, w, in_pool)
                if (w->wear.due != RECYCLE_NONE && !w->wear.outgoing && w->epoch == pool->epoch &&
                    w->state == WORKER_ACTIVE && outgoing < recycle_share(active)) {
                        give_up_seat(pool, w);
                        outgoing++;
                }
        return again;
}

void recycle_leave(Worker *w, usec_t now)
{
        if (w->end == END_OUTSIDE)
                (void)words(w, w->end_detail, sizeof(w->end_detail));
        w->pool->recycled += w->state == WORKER_ACTIVE;
        worker_leave(w, END_RECYCLED, false, now);
}
