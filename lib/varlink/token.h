/* SPDX-License-Identifier: MIT */
#pragma once

/* The strings and numbers of JSON text (RFC 8259). */

#include <stdbool.h>

#include "base/slice.h"

/* *at is behind the opening quote and moves behind the closing one: the content ends one byte
 * before it. False if it is no string of well-formed UTF-8 without NUL. */
bool token_string(const char **at, const char *end, bool *escaped);

/* Moves *at behind a number. `integer`: without fraction and exponent; `fits`: into 64 bits or, of
 * a real, into a finite double. False if there is no number. */
bool token_number(const char **at, const char *end, bool *integer, bool *fits);

/* Removes the escapes of a valid string's content; `to` has room for text.len bytes. Returns the
 * length. */
size_t varlink_unescape(Slice text, char *to);
