/* SPDX-License-Identifier: MIT */

#include "api/culprit.h"

#include <stdio.h>

#include "base/parse.h"
#include "core/ties.h"

enum { MAX_CHAIN = 1000 };

const Job *culprit_of_chain(const Job *job)
{
        const Dependency *d = job_first_blocker(job);
        const Job *last = NULL;

        for (int i = 0; d && i < MAX_CHAIN; i++) {
                last = d->blocker;
                d = job_first_blocker(last);
        }
        return last;
}

static bool holds(const Job *job, const CoreSemaphore *semaphore)
{
        for (unsigned i = 0; job->holds && i < job->ties->n_units; i++)
                if (job->ties->units[i].semaphore == semaphore)
                        return true;
        return false;
}

/* The older one of what was found before and the runs of a pool. */
static const Slot *look(const Pool *pool, const CoreSemaphore *semaphore, const Slot *oldest)
{
        const Worker *w;

        LIST_FOREACH(&pool->workers, w, in_pool)
                for (unsigned i = 0; i < w->n_slots; i++) {
                        const Slot *slot = &w->slots[i];
                        const Job *job = slot->count ? slot_job(slot, 0) : NULL;

                        if (job && (!semaphore || holds(job, semaphore)) &&
                            (!oldest || slot->since < oldest->since))
                                oldest = slot;
                }
        return oldest;
}

const Slot *culprit_of_pool(const Pool *pool)
{
        return look(pool, NULL, NULL);
}

const Slot *culprit_of_semaphore(const Api *api, const CoreSemaphore *semaphore)
{
        const Slot *oldest = NULL;
        const Pool *pool;

        LIST_FOREACH(&api->pools->pools, pool, link)
                oldest = look(pool, semaphore, oldest);
        return oldest;
}

char *culprit_words(const Client *client, const Slot *slot, usec_t now, char *to, size_t size)
{
        const Job *job = slot_job(slot, 0);
        usec_t ran = now - MIN(slot->since, now);
        char span[64];

        format_span(ran - ran % USEC_PER_MSEC, span, sizeof(span));
        if (client && client_sees(client, job->uid))
                (void)snprintf(to, size, "worker %s has been at job %s (%s) for %s",
                               slot->worker->name, uuid_text(&job->id).text, job->handler->name,
                               span);
        else
                (void)snprintf(to, size, "worker %s has been at a job (%s) for %s",
                               slot->worker->name, job->handler->name, span);
        return to;
}
