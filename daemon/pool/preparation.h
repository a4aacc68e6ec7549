/* SPDX-License-Identifier: MIT */
#pragma once

/* From a pool's settings to the preparation data of its fork server and workers. */

#include <jansson.h>

#include "process/preparation.h"
#include "settings/settings.h"

/* Returns a descriptor of the data or -errno. */
int pool_preparation(const PoolSettings *settings, const Settings *daemon, uint64_t nofile_soft);

/* What all workers have of our environment. Returns 0 or -ENOMEM. */
int pool_plain_environment(char ***ret);

/* The environment to start a pool's fork server with: NULL means ours. One that becomes another
 * user gets only what all workers have, since its memory will be that user's; and what the pool
 * says (an LD_LIBRARY_PATH= of that user) may not count before it is that user. Returns 0 or
 * -ENOMEM. */
int pool_forker_environment(const PoolSettings *settings, char ***ret);
