/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether this process may do what the pools ask for: it is the daemon that will. */

#include "settings/settings.h"

/* Returns 0, or -EINVAL with *error filled: what is asked for, which right is missing, and what
 * would do without it. */
int settings_check_rights(const Settings *settings, SettingsError *error);
