/* SPDX-License-Identifier: MIT */

#include "settings/table.h"

#include <stddef.h>

#define ROW(structure, section, key, type, member, fallback, minimum, maximum, help)               \
        { #section, #key,    &setting_type_##type, offsetof(structure, member),                    \
          fallback, minimum, maximum,              help },

const Setting daemon_settings[N_DAEMON_SETTINGS] = {
#define DAEMON_SETTING(...) ROW(Settings, __VA_ARGS__)
#include "settings.def"
};

const Setting pool_settings[N_POOL_SETTINGS] = {
#define POOL_SETTING(...) ROW(PoolSettings, __VA_ARGS__)
#include "settings.def"
};
