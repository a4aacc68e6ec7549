/* SPDX-License-Identifier: MIT */
#pragma once

/* UTF-8 as Unicode 15, table 3-7, defines it: no overlong forms, no surrogates. */

#include <stdbool.h>

#include "base/slice.h"

/* Length of the well-formed multi-byte sequence at p, which is below end; 0 if there is none. */
int utf8_length(const unsigned char *p, const unsigned char *end);

bool utf8_valid(Slice text);

/* How much of a text that is longer than `most` bytes is to be kept, so that no character is cut:
 * `most` or up to 3 less. */
size_t utf8_cut(const char *text, size_t most);
