/* SPDX-License-Identifier: MIT */

#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_fini(Buffer *b)
{
        free(b->data);
        *b = (Buffer)BUFFER_INIT;
}

char *buffer_reserve_slow(Buffer *b, size_t n)
{
        size_t len = buffer_len(b), capacity;
        char *data;

        if (b->failed)
                return NULL;
        if (b->start && b->start >= len && b->capacity - len >= n) {
                memcpy(b->data, b->data + b->start, len);
                b->start = 0;
                b->end = len;
                return b->data + b->end;
        }

        capacity = MAX(b->capacity, 256u);
        while (capacity - b->end < n) {
                if (capacity > SIZE_MAX / 2) {
                        b->failed = true;
                        return NULL;
                }
                capacity *= 2;
        }
        data = realloc(b->data, capacity);
        if (!data) {
                b->failed = true;
                return NULL;
        }
        b->data = data;
        b->capacity = capacity;
        return b->data + b->end;
}

void buffer_printf(Buffer *b, const char *format, ...)
{
        va_list args, again;
        char *to;
        int n;

        va_start(args, format);
        va_copy(again, args);
        n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        to = n >= 0 ? buffer_reserve(b, (size_t)n + 1) : NULL;
        if (to) {
                (void)vsnprintf(to, (size_t)n + 1, format, again);
                b->end += (size_t)n;
        }
        va_end(again);
}

void buffer_consume(Buffer *b, size_t n)
{
        ASSERT(n <= buffer_len(b));
        b->start += n;
        if (b->start == b->end)
                b->start = b->end = 0;
}

void buffer_clear(Buffer *b, size_t keep)
{
        b->start = b->end = 0;
        b->failed = false;
        if (b->capacity > keep)
                buffer_fini(b);
}
