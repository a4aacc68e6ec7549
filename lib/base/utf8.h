/* SPDX-License-Identifier: MIT */
#pragma once

/* UTF-8 as Unicode 15, table 3-7, defines it: no overlong forms, no surrogates. */

#include <stdbool.h>

#include "base/slice.h"

/* Length of the well-formed multi-byte sequence at p, which is below end; 0 if there is none. */
int utf8_length(const unsigned char *p, const unsigned char *end);

bool utf8_valid(Slice text);
