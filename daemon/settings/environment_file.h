/* SPDX-License-Identifier: MIT */
#pragma once

/* EnvironmentFile=: variables in files, in the format of systemd.exec(5). */

#include "base/slice.h"
#include "settings/settings.h"

/* Puts the variables of a file's text into the list; later ones win. A line is NAME=value; empty
 * ones and those that begin with # or ; are skipped. A value is in '…' (as it stands), in "…" (a
 * backslash before `"\$ and at the end of a line goes) or bare (without blanks at its ends; each
 * backslash goes, and with it the end of a line). Other than systemd, which passes over it, a line
 * that is none of these is a fault.
 *
 * Returns 0, -ENOMEM, or -EINVAL with *error filled. */
int environment_file_parse(char ***environment, const char *file, Slice text, SettingsError *error);

/* Reads the files that the pool names into its file_environment. One that we may not read is noted
 * as its denied_file. Returns the same. */
int environment_files_read(PoolSettings *pool, SettingsError *error);
