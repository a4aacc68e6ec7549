/* SPDX-License-Identifier: MIT */
#pragma once

/* What every unit test includes. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/macros.h"

/* A claim about one row of a table; the row's name is told if it is false. */
#define CHECK(claim, row)                                                                          \
        do {                                                                                       \
                if (!(claim))                                                                      \
                        fail_msg("%s: not so for: %s", #claim, row);                               \
        } while (0)

/* A number, and the one that it is under TSan, where all takes ten times as long. */
#ifdef __SANITIZE_THREAD__
#define UNLESS_TSAN(n, under) (under)
#else
#define UNLESS_TSAN(n, under) (n)
#endif

static inline bool buffer_is(const Buffer *b, const char *text)
{
        return slice_is(buffer_slice(b), text);
}

/* Fails with both texts unless they are the same. */
static inline void assert_text(const Buffer *b, const char *text)
{
        if (!buffer_is(b, text))
                fail_msg("found:\n%.*s\nexpected:\n%s", (int)buffer_len(b),
                         buffer_len(b) ? buffer_bytes(b) : "", text);
}
