/* SPDX-License-Identifier: MIT */
#pragma once

/* JSON text, looked at without parsing it: numbers keep the digits that their writer gave them, and
 * a result of any size costs one pass. Of text that is not JSON it makes nonsense, but it stays
 * inside it. */

#include <stdbool.h>

#include "base/buffer.h"

/* Finds members of an object; what is not there becomes an empty slice. The names must be free of
 * escapes, and are found only where they are written so. */
void raw_members(Slice object, const char *const *names, Slice *values, unsigned n);
Slice raw_member(Slice object, const char *name);

/* Is it there, and not null? */
bool raw_present(Slice value);

/* What is between a string's quotes; empty for any other value. */
Slice raw_string(Slice value);

/* Appends the text without the blanks between its parts, so that it is one line. */
void raw_compact(Buffer *b, Slice text);

/* Appends it with line breaks; those lines begin with `indent` blanks. */
void raw_pretty(Buffer *b, Slice text, unsigned indent);
