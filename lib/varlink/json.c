/* SPDX-License-Identifier: MIT */

#include "varlink/json.h"

#include <math.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/utf8.h"

static void comma(Buffer *b)
{
        char before;

        if (b->failed || b->end == b->start)
                return;
        before = b->data[b->end - 1];
        if (before != '{' && before != '[' && before != ':' && before != '\0')
                buffer_append_char(b, ',');
}

void emit_key(Buffer *b, const char *name)
{
        size_t n = strlen(name);
        char *to;

        comma(b);
        to = buffer_reserve(b, n + 3);
        if (!to)
                return;
        to[0] = '"';
        memcpy(to + 1, name, n);
        to[n + 1] = '"';
        to[n + 2] = ':';
        b->end += n + 3;
}

void emit_open(Buffer *b, char bracket)
{
        comma(b);
        buffer_append_char(b, bracket);
}

void emit_close(Buffer *b, char bracket)
{
        buffer_append_char(b, bracket);
}

static void escape(Buffer *b, unsigned char c)
{
        static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
        const char *found = strchr(from, c);

        if (found)
                buffer_printf(b, "\\%c", into[found - from]);
        else
                buffer_printf(b, "\\u%04x", c);
}

void emit_string(Buffer *b, Slice s)
{
        size_t from = 0;

        comma(b);
        buffer_append_char(b, '"');
        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.data[i];

                if (c >= 0x20 && c != '"' && c != '\\')
                        continue;
                buffer_append(b, s.data + from, i - from);
                escape(b, c);
                from = i + 1;
        }
        if (from < s.len)
                buffer_append(b, s.data + from, s.len - from);
        buffer_append_char(b, '"');
}

void emit_escaped(Buffer *b, Slice s)
{
        comma(b);
        buffer_append_char(b, '"');
        buffer_append_slice(b, s);
        buffer_append_char(b, '"');
}

void emit_digits(Buffer *b, uint64_t v)
{
        char text[20], *p = text + sizeof(text);

        do
                *--p = (char)('0' + v % 10);
        while (v /= 10);
        buffer_append(b, p, (size_t)(text + sizeof(text) - p));
}

void emit_int(Buffer *b, int64_t v)
{
        comma(b);
        if (v < 0)
                buffer_append_char(b, '-');
        emit_digits(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void emit_bool(Buffer *b, bool v)
{
        comma(b);
        if (v)
                buffer_append_literal(b, "true");
        else
                buffer_append_literal(b, "false");
}

/* In some locales the point is a comma, or longer than a byte; and modules change the locale. */
static int write_point(char *text)
{
        size_t n = strspn(text, "-0123456789"), m = strcspn(text + n, "-+0123456789e");

        if (m > 0) {
                text[n] = '.';
                memmove(text + n + 1, text + n + m, strlen(text + n + m) + 1);
        }
        return (int)strlen(text);
}

void emit_float(Buffer *b, double v)
{
        char text[40];
        int n;

        comma(b);
        if (!isfinite(v))
                v = 0;
        (void)snprintf(text, sizeof(text), "%.15g", v);
        if (strtod(text, NULL) != v)
                (void)snprintf(text, sizeof(text), "%.17g", v);
        n = write_point(text);
        if (!strpbrk(text, ".e"))
                n += snprintf(text + n, sizeof(text) - (size_t)n, ".0");
        buffer_append(b, text, (size_t)n);
}

void emit_uuid(Buffer *b, const Uuid *v)
{
        char *to;

        comma(b);
        to = buffer_reserve(b, UUID_TEXT + 2);
        if (!to)
                return;
        to[0] = '"';
        uuid_write(v, to + 1);
        to[UUID_TEXT + 1] = '"';
        b->end += UUID_TEXT + 2;
}

void emit_raw(Buffer *b, Slice text)
{
        comma(b);
        buffer_append_slice(b, text);
}

bool json_is_text(Slice bytes)
{
        return !memchr(bytes.data ? bytes.data : "", '\0', bytes.len) && utf8_valid(bytes);
}

void emit_bytes_member(Buffer *b, const char *name, Slice bytes)
{
        char key[64];

        if (json_is_text(bytes)) {
                emit_string_member(b, name, bytes);
                return;
        }
        (void)snprintf(key, sizeof(key), "%s_base64", name);
        emit_key(b, key);
        buffer_append_char(b, '"');
        base64_append(b, bytes);
        buffer_append_char(b, '"');
}
