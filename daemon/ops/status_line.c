/* SPDX-License-Identifier: MIT */

#include "ops/status_line.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static void add(StatusLine *line, const char *format, va_list args)
{
        size_t room = line->size - line->used;
        int n = vsnprintf(line->text + line->used, room, format, args);

        line->used += MIN((size_t)MAX(n, 0), room - 1);
}

static void append(StatusLine *line, const char *format, ...) PRINTF(2, 3);

static void append(StatusLine *line, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        add(line, format, args);
        va_end(args);
}

void status_line_add(StatusLine *line, const char *format, ...)
{
        va_list args;

        append(line, "; ");
        va_start(args, format);
        add(line, format, args);
        va_end(args);
}

void status_line_begin(StatusLine *line, char *text, size_t size, const StatusFacts *f)
{
        *line = (StatusLine){ text, size, 0 };
        append(line, "%c%s", toupper((unsigned char)f->state[0]), f->state + 1);
        if (f->detail)
                append(line, " (%s)", f->detail);
        append(line, ": %u of %u pools serve, %u of %u workers busy; ", f->serving, f->pools,
               f->busy, f->workers);
        append(line, "jobs: %llu queued, %llu running, %llu done", (unsigned long long)f->queued,
               (unsigned long long)f->running, (unsigned long long)f->done);
        if (f->store_error)
                status_line_add(line, "the store fails: %s", f->store_error);
        if (f->refused)
                status_line_add(line, "reload refused: %s", f->refused);
}

void status_line_clean(char *text)
{
        const unsigned char *end = (const unsigned char *)text + strlen(text);

        while (*text) {
                const unsigned char *p = (const unsigned char *)text;
                int n = *p < 0x80 ? 1 : utf8_length(p, end);

                if (!n)
                        *text = '?';
                else if (iscntrl(*p))
                        *text = ' ';
                text += MAX(n, 1);
        }
}
