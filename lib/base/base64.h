/* SPDX-License-Identifier: MIT */
#pragma once

/* Base 64 as in RFC 4648, section 4, with padding. */

#include "base/buffer.h"

void base64_append(Buffer *b, Slice bytes);

/* Appends what text stands for. Returns 0, or -EINVAL (with nothing appended) if it is not base 64.
 */
int base64_decode(Buffer *b, Slice text);
