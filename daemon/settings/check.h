/* SPDX-License-Identifier: MIT */
#pragma once

/* What one setting alone does not show: settings that need or exclude each other, and whether what
 * they name exists. */

#include "settings/settings.h"

/* Completes and checks a pool that was read. Returns 0, -ENOMEM, or -EINVAL with *error filled. */
int check_pool(PoolSettings *pool, SettingsError *error);

/* Checks the pools against each other. Returns the same. */
int check_pools(const Settings *settings, SettingsError *error);
/* Checks that a probe can go through the pool that WatchdogPool= names. Returns the same. */
int check_watchdog(const Settings *settings, SettingsError *error);
