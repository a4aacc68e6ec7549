/* SPDX-License-Identifier: MIT */
#pragma once

/* A growing run of bytes that is written at the end and read from the front.
 *
 * Running out of memory does not interrupt the writer: the buffer turns `failed`, ignores what is
 * written, and whoever sends or keeps it looks once at the end. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "base/slice.h"

typedef struct Buffer {
        char *data;
        size_t start;    /* first byte not yet read */
        size_t end;      /* one after the last byte */
        size_t capacity; /* of data */
        bool failed;     /* memory ran out since the last clear */
} Buffer;

#define BUFFER_INIT { NULL, 0, 0, 0, false }

void buffer_fini(Buffer *b);
DEFINE_FINI(Buffer, buffer_fini);

static inline size_t buffer_len(const Buffer *b)
{
        return b->end - b->start;
}

static inline const char *buffer_bytes(const Buffer *b)
{
        return b->data + b->start;
}

static inline Slice buffer_slice(const Buffer *b)
{
        return (Slice){ b->data ? b->data + b->start : NULL, b->end - b->start };
}

/* Makes room for n more bytes; returns where they go, or NULL with `failed` set. */
char *buffer_reserve_slow(Buffer *b, size_t n);

static inline char *buffer_reserve(Buffer *b, size_t n)
{
        if (__builtin_expect(b->capacity - b->end < n || b->failed || !b->data, 0))
                return buffer_reserve_slow(b, n);
        return b->data + b->end;
}

static inline void buffer_append(Buffer *b, const void *bytes, size_t n)
{
        char *to = buffer_reserve(b, n);

        if (!to)
                return;
        if (n)
                memcpy(to, bytes, n);
        b->end += n;
}

static inline void buffer_append_slice(Buffer *b, Slice s)
{
        buffer_append(b, s.data, s.len);
}

#define buffer_append_literal(b, literal) buffer_append(b, literal, sizeof(literal) - 1)

static inline void buffer_append_string(Buffer *b, const char *s)
{
        buffer_append(b, s, strlen(s));
}

static inline void buffer_append_char(Buffer *b, char c)
{
        buffer_append(b, &c, 1);
}

void buffer_printf(Buffer *b, const char *format, ...) PRINTF(2, 3);

/* Drops n bytes from the front. */
void buffer_consume(Buffer *b, size_t n);

/* Empties it; gives the memory back if it holds more than `keep` bytes. */
void buffer_clear(Buffer *b, size_t keep);
