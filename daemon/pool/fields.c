/* SPDX-License-Identifier: MIT */

#include "pool/fields.h"

LogFields pool_fields(const Pool *pool, const char *id)
{
        return (LogFields){ .id = id, .pool = pool->core->name };
}

LogFields job_fields(const Job *job, const char *id)
{
        return (LogFields){ .id = id,
                            .pool = job->pool->name,
                            .handler = job->handler->name,
                            .job = &job->id,
                            .attempt = job->attempt,
                            .user = &job->uid };
}

LogFields worker_fields(const Worker *w, const char *id)
{
        const Slot *slot = &w->slots[0];
        const Job *job = w->n_slots == 1 && slot->count ? slot_job(slot, 0) : NULL;
        LogFields f = job ? job_fields(job, id) : (LogFields){ .id = id };

        f.pool = w->pool->core->name;
        f.worker = w->name;
        return f;
}
