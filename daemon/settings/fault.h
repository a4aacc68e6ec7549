/* SPDX-License-Identifier: MIT */
#pragma once

/* Saying where a config is wrong. */

#include "base/macros.h"
#include "settings/settings.h"

/* Fills *error; returns -EINVAL. */
int settings_fault(SettingsError *error, const char *file, int line, const char *format, ...)
        PRINTF(4, 5);

/* How many bytes of the text to show: at most `limit`, never half a character. */
int shown_length(const char *text, int limit);

/* The word of words[0..n) that is most like this one, or NULL if none is much like it: for "did you
 * mean …?". */
const char *nearest_word(const char *word, const char *const *words, unsigned n);
