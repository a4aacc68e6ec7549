/* SPDX-License-Identifier: MIT */
#pragma once

/* SlowAfter= of a pool: the stack of a worker whose run lasts longer, in the log, once for each run
 * (php-fpm: request_slowlog_timeout). */

#include "pool/slot.h"

void slow_init(Slot *slot, struct event_base *base);
/* The first run of the line begins, in a pool that has SlowAfter=. */
void slow_arm(Slot *slot);
/* It has ended. */
void slow_disarm(Slot *slot);
