/* SPDX-License-Identifier: MIT */
#pragma once

/* The daemon's errors, as people would say them: what was wrong, and what would be right. */

#include <jansson.h>

#include "base/buffer.h"

/* Appends it; `verb` tells apart errors that mean different things to different verbs. */
void words_append_error(Buffer *b, const char *verb, const char *error, const json_t *parameters);

/* The same with say(). */
void words_say_error(const char *verb, const char *error, const json_t *parameters);
