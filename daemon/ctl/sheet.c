/* SPDX-License-Identifier: MIT */

#include "ctl/sheet.h"

#include <stdarg.h>

#include "base/cleanup.h"
#include "ctl/job.h"

void sheet_line(Buffer *b, const char *label, const char *format, ...)
{
        AUTO(free) char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        buffer_printf(b, "%*s: ", SHEET_LABEL, label);
        append_shown(b, slice_of(text), false);
        buffer_append_char(b, '\n');
}

void sheet_time(Buffer *b, const char *label, const json_t *object, const char *name)
{
        usec_t at = get_usec(object, name), now = clock_read(CLOCK_REALTIME);

        if (!at)
                return;
        if (at > now)
                sheet_line(b, label, "%s (in %s)", time_text(at).text, span_text(at - now).text);
        else
                sheet_line(b, label, "%s (%s ago)", time_text(at).text, age_text(at, now).text);
}

void sheet_bar(Buffer *b, double part, double whole)
{
        int full = whole > 0 ? (int)(part / whole * SHEET_BAR + 0.5) : 0;

        if (part > 0 && full == 0)
                full = 1;
        for (int i = 0; i < SHEET_BAR; i++)
                buffer_append_string(b, i < full ? (print_utf8() ? "█" : "#")
                                                 : (print_utf8() ? "░" : "-"));
}
