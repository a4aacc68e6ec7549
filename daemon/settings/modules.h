/* SPDX-License-Identifier: MIT */
#pragma once

/* What can be said of the modules of a config without a daemon. */

#include <stddef.h>

#include "settings/settings.h"

/* Is told of each fault; `line` 0: the file as a whole. */
typedef void SettingsComplaint(void *context, const char *file, int line, const char *message);

/* Loads each pool's module in a process of its own (brood-forkserver --check) and checks that it
 * offers what Handlers= names, and that no two pools serve one handler. Returns how many faults
 * there are; *ret_handlers is how many handlers are served. Blocks while modules load. */
unsigned settings_check_modules(const Settings *settings, SettingsComplaint *tell, void *context,
                                size_t *ret_handlers);
