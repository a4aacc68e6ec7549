/* SPDX-License-Identifier: MIT */

#include "core/ties.h"

#include <errno.h>
#include <stdlib.h>

JobTies *ties_get(Job *job, unsigned n_units)
{
        JobTies *t = job->ties;

        if (t)
                return t;
        t = malloc(sizeof(*t) + n_units * sizeof(t->units[0]));
        if (!t)
                return NULL;
        list_init(&t->blockers);
        list_init(&t->dependents);
        for (int i = 0; i < 3; i++)
                t->fds[i] = -1;
        t->n_units = 0;
        job->ties = t;
        return t;
}

void ties_free(Job *job)
{
        free(job->ties);
        job->ties = NULL;
}

int dependency_add(Job *waiting, Job *blocker)
{
        JobTies *before = ties_get(waiting, 0), *after = ties_get(blocker, 0);
        Dependency *d = before && after ? malloc(sizeof(*d)) : NULL;

        if (!d)
                return -ENOMEM;
        d->waiting = waiting;
        d->blocker = blocker;
        list_append(&before->blockers, &d->in_waiting);
        list_append(&after->dependents, &d->in_blocker);
        return 0;
}

void dependency_free(Dependency *d)
{
        list_remove(&d->in_waiting);
        list_remove(&d->in_blocker);
        free(d);
}

void dependency_drop_all(Job *job)
{
        Dependency *d;

        while ((d = job_first_blocker(job)))
                dependency_free(d);
        while ((d = job_first_dependent(job)))
                dependency_free(d);
}
