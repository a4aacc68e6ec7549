/* SPDX-License-Identifier: MIT */
#pragma once

/* One file of sections and `Key=value` lines, read by libinih, with the line numbers that it does
 * not tell. A comment is a line that starts with `#` or `;`. */

#include "settings/settings.h"

typedef struct IniReader {
        void *userdata;
        /* Each returns 0, or negative (-EINVAL: *error is filled), which ends the reading. */
        int (*section)(void *userdata, const char *file, int line, const char *section);
        int (*assign)(void *userdata, const char *file, int line, const char *section,
                      const char *key, const char *value);
        SettingsError *error;
} IniReader;

/* Returns 0, -ENOENT if there is no such file, -ENOMEM, or -EINVAL with the error filled. */
int ini_read(const char *path, const IniReader *reader);
