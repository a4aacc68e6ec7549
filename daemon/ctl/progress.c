/* SPDX-License-Identifier: MIT */

#include "ctl/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "ctl/print.h"

enum { BAR_MAX = 40 };

void progress_init(Progress *p, usec_t now)
{
        *p = (Progress){ .on = isatty(STDERR_FILENO), .started = now };
}

static void append_bar(Buffer *b, double part, unsigned width)
{
        unsigned full = (unsigned)(part * width);

        buffer_append_char(b, '[');
        for (unsigned i = 0; i < width; i++)
                buffer_append_char(b, i < full ? '=' : i == full ? '>' : ' ');
        buffer_append_string(b, "] ");
}

/* The words behind the bar: "120/500 24%  45/s  eta 8.4s  3 failed". */
static void append_words(Buffer *b, const Progress *p, usec_t now)
{
        double rate = now > p->started ? (double)p->done * USEC_PER_SEC / (double)(now - p->started)
                                       : 0;

        buffer_printf(b, "%llu", (unsigned long long)p->done);
        if (p->total)
                buffer_printf(b, "/%llu %.0f%%", (unsigned long long)p->total,
                              100.0 * (double)p->done / (double)p->total);
        buffer_printf(b, "  %.*f/s", rate < 10, rate);
        if (p->total > p->done && rate > 0)
                buffer_printf(b, "  eta %s",
                              span_text((usec_t)((double)(p->total - p->done) / rate *
                                                 USEC_PER_SEC)).text);
        if (p->failed)
                buffer_printf(b, "  %llu failed", (unsigned long long)p->failed);
}

void progress_draw(Progress *p, usec_t now)
{
        Buffer b = BUFFER_INIT, words = BUFFER_INIT;
        unsigned columns, width;

        if (!p->on || now < p->drawn_at + PROGRESS_INTERVAL)
                return;
        append_words(&words, p, now);
        columns = terminal_columns(STDERR_FILENO);
        buffer_append_string(&b, "\r\033[K");
        width = columns > buffer_len(&words) + 5 ? columns - (unsigned)buffer_len(&words) - 5 : 0;
        if (p->total && width >= 10)
                append_bar(&b, MIN(1.0, (double)p->done / (double)p->total), MIN(width, BAR_MAX));
        buffer_append(&b, words.data, MIN(buffer_len(&words), columns - 1));
        fprintf(stderr, "%.*s", (int)buffer_len(&b), buffer_bytes(&b));
        (void)fflush(stderr);
        buffer_fini(&words);
        buffer_fini(&b);
        p->drawn = true;
        p->drawn_at = now;
}

void progress_clear(Progress *p)
{
        if (p->drawn)
                fprintf(stderr, "\r\033[K");
        p->drawn = false;
}
