/* SPDX-License-Identifier: MIT */
#pragma once

/* Where what has been decided is kept. Core hands over requests; each comes back complete.
 *
 * This one keeps nothing: jobs live in memory, and every request is complete at once. */

#include "core/core.h"

/* Works on all requests that core has. Returns true if there were any. */
bool store_work(Core *core, usec_t now);
