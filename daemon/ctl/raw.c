/* SPDX-License-Identifier: MIT */

#include "ctl/raw.h"

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *p, const char *end)
{
        while (p < end && is_space(*p))
                p++;
        return p;
}

/* From the opening quote to behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
        for (p++; p < end; p++) {
                if (*p == '"')
                        return p + 1;
                if (*p == '\\')
                        p++;
        }
        return end;
}

static const char *skip_value(const char *p, const char *end)
{
        unsigned depth = 0;

        while (p < end) {
                if (*p == '"') {
                        p = skip_string(p, end);
                        continue;
                }
                if (*p == '{' || *p == '[')
                        depth++;
                else if (!depth && (*p == ',' || *p == '}' || *p == ']' || is_space(*p)))
                        break;
                else if (*p == '}' || *p == ']')
                        depth--;
                p++;
        }
        return p;
}

static void note(Slice key, Slice value, const char *const *names, Slice *values, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                if (slice_is(key, names[i]))
                        values[i] = value;
}

void raw_members(Slice object, const char *const *names, Slice *values, unsigned n)
{
        const char *p, *from, *end;

        for (unsigned i = 0; i < n; i++)
                values[i] = (Slice){ NULL, 0 };
        if (!object.len)
                return;
        end = object.data + object.len;
        p = skip_space(object.data, end);
        if (p >= end || *p != '{')
                return;
        for (p = skip_space(p + 1, end); p < end && *p == '"'; p = skip_space(p, end)) {
                Slice key = { p + 1, 0 };

                p = skip_string(p, end);
                if (p - key.data < 1)
                        return;
                key.len = (size_t)(p - key.data - 1);
                p = skip_space(p, end);
                if (p >= end || *p != ':')
                        return;
                from = skip_space(p + 1, end);
                p = skip_value(from, end);
                note(key, (Slice){ from, (size_t)(p - from) }, names, values, n);
                p = skip_space(p, end);
                if (p < end && *p == ',')
                        p++;
        }
}

Slice raw_member(Slice object, const char *name)
{
        Slice value;

        raw_members(object, &name, &value, 1);
        return value;
}

bool raw_present(Slice value)
{
        return value.len && !slice_is(value, "null");
}

Slice raw_string(Slice value)
{
        if (value.len < 2 || value.data[0] != '"')
                return (Slice){ NULL, 0 };
        return (Slice){ value.data + 1, value.len - 2 };
}

void raw_compact(Buffer *b, Slice text)
{
        const char *p = text.data, *end = p + text.len;

        while (p < end) {
                const char *from = p;

                while (p < end && !is_space(*p))
                        p = *p == '"' ? skip_string(p, end) : p + 1;
                buffer_append(b, from, (size_t)(p - from));
                p = skip_space(p, end);
        }
}

static void new_line(Buffer *b, unsigned indent)
{
        buffer_append_char(b, '\n');
        while (indent--)
                buffer_append_char(b, ' ');
}

void raw_pretty(Buffer *b, Slice text, unsigned indent)
{
        const char *end = text.data + text.len, *p = skip_space(text.data, end), *next;

        for (; p < end; p = next) {
                next = *p == '"' ? skip_string(p, end) : p + 1;
                if ((*p == '}' || *p == ']') && indent >= 2) {
                        indent -= 2;
                        new_line(b, indent);
                }
                buffer_append(b, p, (size_t)(next - p));
                next = skip_space(next, end);
                if ((*p == '{' || *p == '[') && next < end && *next == *p + 2) {
                        buffer_append_char(b, *next); /* empty: {} or [] ('{' + 2 is '}') */
                        next = skip_space(next + 1, end);
                } else if (*p == '{' || *p == '[') {
                        indent += 2;
                        new_line(b, indent);
                } else if (*p == ',') {
                        new_line(b, indent);
                } else if (*p == ':') {
                        buffer_append_char(b, ' ');
                }
        }
}
