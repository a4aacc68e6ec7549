/* SPDX-License-Identifier: MIT */

#include "api/calls.h"

#include <stdlib.h>

JobCalls *calls_of(Core *core, Job *job)
{
        JobCalls *c = job->calls;

        if (c)
                return c;
        c = malloc(sizeof(*c));
        if (!c)
                return NULL;
        c->job = job;
        c->core = core;
        c->held = 0;
        list_init(&c->waiters);
        list_init(&c->followers);
        list_init(&c->attached);
        job->calls = c;
        return c;
}

void calls_release(Job *job)
{
        JobCalls *c = job->calls;
        Core *core;

        if (!c || c->held || !list_empty(&c->waiters) || !list_empty(&c->followers) ||
            !list_empty(&c->attached))
                return;
        core = c->core;
        free(c);
        job->calls = NULL;
        core_shed(core, job);
}
