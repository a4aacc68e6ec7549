/* SPDX-License-Identifier: MIT */
#pragma once

/* A range of bytes that somebody else owns. Empty: { NULL, 0 } or any pointer with length 0. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct Slice {
        const char *data;
        size_t len;
} Slice;

#define SLICE(literal) ((Slice){ (literal), sizeof(literal) - 1 })

static inline Slice slice_of(const char *string)
{
        return (Slice){ string, string ? strlen(string) : 0 };
}

static inline bool slice_equal(Slice a, Slice b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_is(Slice a, const char *string)
{
        return slice_equal(a, slice_of(string));
}
