/* SPDX-License-Identifier: MIT */

/* The core's own making and unmaking, and its pools and handlers. */

#include "core/inside.h"
#include "core/rank.h"
#include "core/semaphore.h"
#include "core/user.h"

static int ready_before(const void *a, const void *b)
{
        return rank_before(a, b);
}

static uint32_t *ready_index(void *job)
{
        return &((Job *)job)->ready_index;
}

/* Jobs that are due together come in the order in which they were submitted: ids count up. */
static int due_before(const void *a, const void *b)
{
        const Job *x = a, *y = b;

        if (x->due != y->due)
                return x->due < y->due;
        if (x->submitted != y->submitted)
                return x->submitted < y->submitted;
        return memcmp(&x->id, &y->id, sizeof(x->id)) < 0;
}

static uint32_t *timer_index(void *job)
{
        return &((Job *)job)->timer_index;
}

void core_init(Core *core, const CoreLimits *limits)
{
        *core = (Core){ .limits = *limits,
                        .timers = { .before = due_before, .index_of = timer_index } };
        list_init(&core->pools);
        list_init(&core->handlers);
        list_init(&core->all);
        list_init(&core->semaphores);
        list_init(&core->finished);
        list_init(&core->finished_own);
        list_init(&core->requests);
        list_init(&core->instant);
        list_init(&core->removals);
        list_init(&core->marks);
        core->last_event = &core->first_event;
}

void core_fini(Core *core)
{
        CorePool *pool, *next_pool;
        CoreHandler *handler, *next_handler;

        for (size_t i = 0; i < core->ids.size;
             i++) /* not core->all: some may not be admitted yet */
                while (core->ids.entries[i].link)
                        core_forget(core, CONTAINER_OF(core->ids.entries[i].link, Job, by_id));
        LIST_FOREACH_SAFE(&core->pools, pool, next_pool, link) {
                heap_fini(&pool->ready);
                heap_fini(&pool->arriving);
                free(pool->name);
                free(pool);
        }
        LIST_FOREACH_SAFE(&core->handlers, handler, next_handler, link) {
                heap_fini(&handler->held);
                free(handler->name);
                free(handler);
        }
        semaphores_fini(core);
        user_forget_all(core);
        free(core->journal.changes);
        hashtable_fini(&core->ids);
        hashtable_fini(&core->keys);
        heap_fini(&core->timers);
}

CorePool *core_pool(Core *core, const char *name)
{
        CorePool *pool;

        LIST_FOREACH(&core->pools, pool, link)
                if (strcmp(pool->name, name) == 0)
                        return pool;
        pool = calloc(1, sizeof(*pool));
        if (!pool)
                return NULL;
        pool->name = strdup(name);
        if (!pool->name) {
                free(pool);
                return NULL;
        }
        pool->ready = (Heap){ .before = ready_before, .index_of = ready_index };
        pool->arriving = pool->ready;
        list_append(&core->pools, &pool->link);
        return pool;
}

CoreHandler *core_find_handler(Core *core, Slice name)
{
        CoreHandler *handler;

        LIST_FOREACH(&core->handlers, handler, link)
                if (slice_is(name, handler->name))
                        return handler;
        return NULL;
}

CoreHandler *core_handler(Core *core, const char *name)
{
        CoreHandler *handler = core_find_handler(core, slice_of(name));

        if (handler)
                return handler;
        handler = calloc(1, sizeof(*handler));
        if (!handler)
                return NULL;
        handler->name = strdup(name);
        if (!handler->name) {
                free(handler);
                return NULL;
        }
        handler->held = (Heap){ .before = ready_before, .index_of = ready_index };
        handler->number = core->n_handlers++;
        list_append(&core->handlers, &handler->link);
        return handler;
}

/* Only jobs that wait move: what is placed on a slot, or has ended, belongs to where it was. */
static void move_job(Job *job, CorePool *to)
{
        bool ready = job->place == PLACE_READY;

        if (heap_reserve(&to->ready, (uint32_t)(to->open - to->ready.count + 1)) < 0 ||
            semaphores_move(job, to) < 0)
                return; /* it stays where it is, and waits there */
        if (ready)
                place_leave(job);
        job->pool->count[job->state]--;
        job->pool->open--;
        job->pool = to;
        to->count[job->state]++;
        to->open++;
        if (ready)
                place_ready(job);
}

void core_follow_handler(Job *job)
{
        move_job(job, job->handler->pool);
}

void core_bind_handler(Core *core, CoreHandler *handler, CorePool *pool)
{
        Job *job;

        handler->pool = pool;
        if (!pool)
                return;
        LIST_FOREACH(&core->all, job, all)
                if (job->handler == handler && job->pool != pool && !job_state_ended(job->state) &&
                    job->state != JOB_RUNNING && !job->slot && job->request == REQUEST_NONE &&
                    !(job->events & EVENT_CLAIMED))
                        move_job(job, pool);
        handler_release(handler, UINT32_MAX); /* they waited for somebody to serve it */
}
