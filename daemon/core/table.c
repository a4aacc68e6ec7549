/* SPDX-License-Identifier: MIT */

#include "core/inside.h"
#include "core/semaphore.h"
#include "core/user.h"

/* Ids are chosen by clients: hashed with a key, and of another user's equal id nobody knows. */
static uint64_t id_hash(const Uuid *id)
{
        return hash_bytes(id, sizeof(*id));
}

static uint64_t key_hash(const CoreHandler *handler, Slice key, uint32_t uid)
{
        return hash_bytes(key.data, key.len) ^ (uint64_t)(uintptr_t)handler ^ ((uint64_t)uid << 32);
}

Job *table_find(Core *core, const Uuid *id, uint32_t uid)
{
        for (HashLink *l = hashtable_first(&core->ids, id_hash(id)); l;
             l = hashtable_next(&core->ids, l)) {
                Job *job = CONTAINER_OF(l, Job, by_id);

                if (job->uid == uid && uuid_equal(&job->id, id))
                        return job;
        }
        return NULL;
}

Job *core_find(Core *core, const Uuid *id, uint32_t uid, bool any)
{
        Job *job = table_find(core, id, uid);

        if (job || !any)
                return job && job->listed ? job : NULL;
        for (HashLink *l = hashtable_first(&core->ids, id_hash(id)); l;
             l = hashtable_next(&core->ids, l)) {
                job = CONTAINER_OF(l, Job, by_id);
                if (job->listed && uuid_equal(&job->id, id))
                        return job;
        }
        return NULL;
}

Job *table_find_key(Core *core, const CoreHandler *handler, Slice key, uint32_t uid)
{
        HashLink *l = hashtable_first(&core->keys, key_hash(handler, key, uid));

        for (; l; l = hashtable_next(&core->keys, l)) {
                Job *job = CONTAINER_OF(l, KeyLink, link)->job;

                if (job->uid == uid && job->handler == handler && slice_equal(job_key(job), key))
                        return job;
        }
        return NULL;
}

static bool has_key(const Job *job)
{
        return job->has & JOB_HAS_UNIQUE_KEY;
}

int table_add_id(Core *core, Job *job)
{
        return hashtable_add(&core->ids, &job->by_id, id_hash(&job->id));
}

void table_drop_key(Core *core, Job *job)
{
        if (!job->has_key)
                return;
        hashtable_remove(&core->keys, &job_key_link(job)->link);
        job->has_key = false;
}

bool table_take_key(Core *core, Job *job)
{
        if (!has_key(job))
                return true;
        if (table_find_key(core, job->handler, job_key(job), job->uid))
                return false;
        job->has_key = hashtable_add(&core->keys, &job_key_link(job)->link,
                                     key_hash(job->handler, job_key(job), job->uid)) == 0;
        return job->has_key;
}

void table_set_due(Core *core, Job *job, usec_t due)
{
        if (job->due == due)
                return;
        heap_remove(&core->timers, job);
        job->due = due;
        if (due && heap_push(&core->timers, job) < 0)
                abort(); /* room was reserved when it was admitted */
}

static void drop_event(Core *core, Job *job)
{
        Job **at = &core->first_event;

        if (!job->in_events)
                return;
        while (*at != job)
                at = &(*at)->next_event;
        *at = job->next_event;
        if (!*at)
                core->last_event = at;
}

/* It is counted no more, wherever it was. */
static void uncount(Core *core, Job *job)
{
        bool open = !job->listed || !job_state_ended(job->state);
        bool back = !open && job->request == REQUEST_SETTLE; /* core_retry() has counted it so */

        if (open || back) {
                count_bytes(core, job, -(int64_t)job->bytes);
        } else if (job->request != REQUEST_FORGET) {
                core->kept--;
                core->kept_bytes -= core_kept_size(job);
        }
        if (job->listed) {
                core->count[job->state]--;
                job->pool->count[job->state]--;
        }
        if (open)
                count_open(core, job, -1);
}

void core_forget(Core *core, Job *job)
{
        dependency_drop_all(job);
        semaphores_unname(job);
        place_leave(job);
        table_set_due(core, job, 0);
        table_drop_key(core, job);
        list_remove(&job->all);
        list_remove(&job->link);
        drop_event(core, job);
        hashtable_remove(&core->ids, &job->by_id);
        uncount(core, job);
        job_free(job);
}
