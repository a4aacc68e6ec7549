/* SPDX-License-Identifier: MIT */
#pragma once

/* Which job goes to which slot. */

#include "pool/pool.h"

/* Claims as many ready jobs as there is room for. */
void dispatch_pool(Pool *pool, usec_t now);

/* A claimed job goes to a slot: an idle one, or into the line of one whose runs are short. If there
 * is none any more it goes back to the queue, and so do those claimed behind it. */
void dispatch_job(Pool *pool, Job *job, usec_t now);
