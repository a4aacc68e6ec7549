/* SPDX-License-Identifier: MIT */

#include "core/dependency.h"

#include <errno.h>
#include <stdlib.h>

int dependency_add(Job *waiting, Job *blocker)
{
        Dependency *d = malloc(sizeof(*d));

        if (!d)
                return -ENOMEM;
        d->waiting = waiting;
        d->blocker = blocker;
        list_append(&waiting->blockers, &d->in_waiting);
        list_append(&blocker->dependents, &d->in_blocker);
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

        while ((d = LIST_FIRST(&job->blockers, Dependency, in_waiting)))
                dependency_free(d);
        while ((d = LIST_FIRST(&job->dependents, Dependency, in_blocker)))
                dependency_free(d);
}
