/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "world.h"

/* Ids look random, so that the order of ids is not that of submissions; the index is at the end. */
static Uuid make_id(World *w, uint32_t index)
{
        uint64_t random = dice_u64(&w->dice);
        Uuid id;

        memcpy(id.bytes, &random, 8);
        memset(id.bytes + 8, 0, 4);
        memcpy(id.bytes + 12, &index, 4);
        return id;
}

SimJob *model_new(World *w, uint32_t uid)
{
        SimJob *m = calloc(1, sizeof(*m));

        if (w->n_jobs == w->cap_jobs) {
                w->cap_jobs = w->cap_jobs ? w->cap_jobs * 2 : 1024;
                w->jobs = reallocarray(w->jobs, w->cap_jobs, sizeof(SimJob *));
        }
        if (!m || !w->jobs)
                abort();
        m->index = w->n_jobs;
        m->id = make_id(w, m->index);
        m->spec.uid = uid;
        list_init(&m->live);
        w->jobs[w->n_jobs++] = m;
        return m;
}

SimJob *model_twin(World *w, SimJob *of)
{
        SimJob *m;

        if (of->twin)
                return of->twin;
        m = model_new(w, of->spec.uid == 1000 ? 1001 : 1000);
        m->id = of->id;
        m->twin = of;
        of->twin = m;
        return m;
}

SimJob *model_of_id(const World *w, const Uuid *id, uint32_t uid)
{
        uint32_t index;
        SimJob *m;

        memcpy(&index, id->bytes + 12, 4);
        m = index < w->n_jobs ? w->jobs[index] : NULL;
        if (m && m->spec.uid != uid)
                m = m->twin;
        return m && uuid_equal(&m->id, id) ? m : NULL;
}

SimJob *model_of(const World *w, const Job *job)
{
        SimJob *m = model_of_id(w, &job->id, job->uid);

        CHECK(w, m, m && m->life != LIFE_NONE && "core has a job that nobody knows");
        return m;
}

SimJob *model_pick(World *w)
{
        uint32_t last = MIN(w->n_jobs, 250u);

        return last ? w->jobs[w->n_jobs - 1 - dice_below(&w->dice, last)] : NULL;
}

void model_set_life(World *w, SimJob *m, SimLife life)
{
        if (life == LIFE_NONE) {
                list_remove(&m->live);
                m->job = NULL;
        } else if (m->life == LIFE_NONE) {
                list_append(&w->live, &m->live);
        }
        m->life = life;
}

void model_sync(World *w, SimJob *m)
{
        if (m->life == LIFE_THERE && m->told_end && m->spec.memory &&
            !table_find(&w->core, &m->id, m->spec.uid))
                model_set_life(w, m, LIFE_NONE);
}

void model_sync_all(World *w)
{
        SimJob *m, *next;

        LIST_FOREACH_SAFE(&w->live, m, next, live)
                model_sync(w, m);
}

void model_free_all(World *w)
{
        for (uint32_t i = 0; i < w->n_jobs; i++)
                free(w->jobs[i]);
        free(w->jobs);
}

/* Padded, before its end, to a length. */
static Slice text(char *to, int n, size_t len)
{
        while ((size_t)n + 1 < len)
                to[n++] = ' ';
        to[n++] = '}';
        return (Slice){ to, (size_t)n };
}

Slice model_args(const SimJob *m, char *to)
{
        int n = snprintf(to, SIM_TEXT, "{\"n\":%u", m->index);

        return text(to, n, m->spec.args_len);
}

Slice model_result(const SimJob *m, uint32_t number, uint32_t len, char *to)
{
        int n;

        if (!len)
                return (Slice){ NULL, 0 };
        n = snprintf(to, SIM_TEXT, "{\"n\":%u,\"a\":%u", m->index, number);
        return text(to, n, len);
}

unsigned pool_index(const World *w, const CorePool *pool)
{
        for (unsigned i = 0; i < SIM_POOLS; i++)
                if (w->pools[i].core == pool)
                        return i;
        abort();
}
