/* SPDX-License-Identifier: MIT */
#pragma once

/* MemoryMax=, TasksMax= and CPUWeight= of a pool: of its cgroup, so of all its workers, its fork
 * server and their commands together. They need no new workers. */

#include "pool/pool.h"

/* Puts those of the pool's settings in force; those that cannot be are warned of, once for the same
 * values. */
void limits_apply(Pool *pool);
