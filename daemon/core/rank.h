/* SPDX-License-Identifier: MIT */
#pragma once

/* Who goes first: the higher priority, then who was ready first, then who was submitted first. */

#include <string.h>

#include "core/job.h"

static inline int rank_before(const Job *x, const Job *y)
{
        if (x->priority != y->priority)
                return x->priority > y->priority;
        if (x->order != y->order)
                return x->order < y->order;
        return memcmp(&x->id, &y->id, sizeof(x->id)) < 0;
}
