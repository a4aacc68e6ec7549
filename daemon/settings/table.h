/* SPDX-License-Identifier: MIT */
#pragma once

/* config/settings.def as two arrays. */

#include "settings/value.h"

enum {
#define DAEMON_SETTING(section, key, type, member, ...) DAEMON_ROW_##member,
#include "settings.def"
        N_DAEMON_SETTINGS
};
enum {
#define POOL_SETTING(section, key, type, member, ...) POOL_ROW_##member,
#include "settings.def"
        N_POOL_SETTINGS
};

extern const Setting daemon_settings[N_DAEMON_SETTINGS]; /* of brood.conf, in a Settings */
extern const Setting pool_settings[N_POOL_SETTINGS];     /* of a pool file, in a PoolSettings */
