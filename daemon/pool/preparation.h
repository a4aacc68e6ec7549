/* SPDX-License-Identifier: MIT */
#pragma once

/* From a pool's settings to the preparation data of its fork server and workers. */

#include <jansson.h>

#include "process/preparation.h"
#include "settings/settings.h"

/* Returns a descriptor of the data or -errno. */
int pool_preparation(const PoolSettings *settings, const Settings *daemon, uint64_t nofile_soft);

/* [Settings] as an object of strings; NULL if memory ran out. */
json_t *pool_free_settings(const PoolSettings *settings);
