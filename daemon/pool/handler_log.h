/* SPDX-License-Identifier: MIT */
#pragma once

/* A handler's breaker opens and closes inside core, which logs nothing: whoever settles an attempt
 * compares before and after. */

#include "core/core.h"

/* `broken`: HandlerBreaker.broken of before; `job`: the id of the job that was settled. */
void handler_log_change(const CoreHandler *handler, uint32_t broken, const Uuid *job, usec_t now);

static inline void handler_log(const CoreHandler *handler, uint32_t broken, const Uuid *job,
                               usec_t now)
{
        if (__builtin_expect(handler->breaker.broken != broken, 0))
                handler_log_change(handler, broken, job, now);
}
