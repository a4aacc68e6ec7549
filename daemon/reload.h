/* SPDX-License-Identifier: MIT */
#pragma once

/* How a config comes into force, at the start and at a reload: every pool that is new or changed
 * starts a fork server, which loads the module; when all are ready the config takes effect as a
 * whole, and if one fails, nothing of it does. */

#include "supervisor.h"

/* One line in the log: where the config is wrong, what is, and what follows from it. */
void reload_log_error(const SettingsError *error, const char *consequence);

/* Tries a config; owns it from now on. */
void reload_try(Supervisor *s, Settings *candidate);

/* A fork server of a pool is ready, or has failed. */
void reload_decided(Pools *pools, Pool *pool);

/* Goes on with a try, and begins the next one that is wanted. */
void reload_step(Supervisor *s);

/* Frees configs that no pool uses any more. */
void reload_sweep(Supervisor *s);
