/* SPDX-License-Identifier: MIT */

#include "ctl/print.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/utf8.h"

static bool colours, utf8;
static int print_error; /* errno of the first failure to write to stdout; 0: none */

void print_init(void)
{
        const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

        (void)setlocale(LC_CTYPE, ""); /* without it: ASCII */
        utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        colours = isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

void print_without_colours(void)
{
        colours = false;
}

bool print_utf8(void)
{
        return utf8;
}

bool text_is_valid(const char *text)
{
        return utf8_valid(slice_of(text));
}

/* How many bytes at p may be shown as they are: 0 for a control character or broken UTF-8. */
static size_t harmless(const unsigned char *p, const unsigned char *end)
{
        if (*p < 0x80)
                return *p >= 0x20 && *p != 0x7f;
        if (*p == 0xc2 && end - p > 1 && p[1] < 0xa0) /* the control characters of ISO 6429 */
                return 0;
        return (size_t)utf8_length(p, end);
}

void append_shown(Buffer *b, Slice text, bool lines)
{
        const unsigned char *p = (const unsigned char *)text.data, *end = p + text.len;

        while (p < end) {
                size_t n = harmless(p, end);

                if (n || (lines && (*p == '\n' || *p == '\t'))) {
                        buffer_append(b, p, n ? n : 1);
                        p += n ? n : 1;
                } else {
                        buffer_printf(b, "\\x%02x", *p++);
                }
        }
}

static void say_with(const char *prefix, const char *format, va_list ap)
{
        Buffer b = BUFFER_INIT;
        AUTO(free) char *text = NULL;

        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        append_shown(&b, slice_of(text ? text : "out of memory"), true);
        (void)fflush(stdout); /* keeps the order where both are one terminal */
        fprintf(stderr, "%s%.*s\n", prefix, (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}

void say(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        say_with("broodctl: ", format, ap);
        va_end(ap);
}

void say_plain(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        say_with("", format, ap);
        va_end(ap);
}

const char *colour_on(Colour c)
{
        static const char *const codes[] = {
                [PLAIN] = "",
                [BOLD] = "\033[1m",
                [FAINT] = "\033[2m",
                [RED] = "\033[1;31m",
                [GREEN] = "\033[1;32m",
                [YELLOW] = "\033[1;33m",
                [BLUE] = "\033[1;34m",
        };

        return colours ? codes[c] : "";
}

const char *colour_off(Colour c)
{
        return colours && c != PLAIN ? "\033[0m" : "";
}

Colour colour_of_state(const char *state)
{
        static const struct {
                const char *state;
                Colour colour;
        } table[] = {
                { "running", GREEN },   { "busy", GREEN },       { "succeeded", GREEN },
                { "failed", RED },      { "quarantined", RED },  { "cancelled", YELLOW },
                { "expired", YELLOW },  { "paused", YELLOW },    { "draining", YELLOW },
                { "starting", YELLOW }, { "reloading", YELLOW }, { "stopping", YELLOW },
                { "leaving", YELLOW },  { "blocked", BLUE },     { "scheduled", BLUE },
                { "spare", FAINT },     { "dead", RED },         { "gone", FAINT },
        };

        for (size_t i = 0; i < ELEMENTS(table); i++)
                if (strcmp(table[i].state, state) == 0)
                        return table[i].colour;
        return PLAIN;
}

unsigned terminal_columns(int fd)
{
        struct winsize size;

        if (!isatty(fd))
                return 0;
        if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
                return 80;
        return size.ws_col;
}

/* Whether it worked is looked at once, at the end of main(). */
static void note_error(bool failed)
{
        if (failed && !print_error)
                print_error = errno;
}

void print_buffer(Buffer *b)
{
        size_t n = buffer_len(b);

        if (n)
                note_error(fwrite(buffer_bytes(b), 1, n, stdout) != n);
        buffer_clear(b, 65536);
}

void print_flush(void)
{
        note_error(fflush(stdout) != 0);
}

int print_finish(void)
{
        print_flush();
        if (print_error)
                return -print_error;
        return ferror(stdout) ? -EIO : 0;
}

ShortText size_text(uint64_t bytes)
{
        static const char suffixes[] = "BKMGTPE";
        double v = (double)bytes;
        unsigned unit = 0;
        ShortText t;

        while (v >= 1024 && unit + 1 < sizeof(suffixes) - 1) {
                v /= 1024;
                unit++;
        }
        (void)snprintf(t.text, sizeof(t.text), unit ? "%.1f%c" : "%.0f%c", v, suffixes[unit]);
        return t;
}

ShortText time_text(usec_t at)
{
        time_t seconds = (time_t)(at / USEC_PER_SEC);
        ShortText t = { "-" };
        struct tm tm;

        if (!at || !localtime_r(&seconds, &tm))
                return t;
        if (!strftime(t.text, sizeof(t.text), "%a %Y-%m-%d %H:%M:%S %Z", &tm))
                t = (ShortText){ "-" };
        return t;
}

ShortText clock_text(usec_t at)
{
        time_t seconds = (time_t)(at / USEC_PER_SEC);
        ShortText t = { "-" };
        struct tm tm;

        if (at && localtime_r(&seconds, &tm))
                (void)snprintf(t.text, sizeof(t.text), "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min,
                               tm.tm_sec, (unsigned)(at % USEC_PER_SEC / USEC_PER_MSEC));
        return t;
}

ShortText span_text(usec_t span)
{
        ShortText t;

        if (span < USEC_PER_MSEC)
                (void)snprintf(t.text, sizeof(t.text), "%lluus", (unsigned long long)span);
        else if (span < USEC_PER_SEC)
                (void)snprintf(t.text, sizeof(t.text), "%.*fms", span < 10 * USEC_PER_MSEC,
                               (double)span / USEC_PER_MSEC);
        else if (span < 60 * USEC_PER_SEC)
                (void)snprintf(t.text, sizeof(t.text), "%.*fs", span < 10 * USEC_PER_SEC,
                               (double)span / USEC_PER_SEC);
        else
                (void)format_span(span - span % USEC_PER_SEC, t.text, sizeof(t.text));
        return t;
}

ShortText age_text(usec_t since, usec_t now)
{
        return since ? span_text(now > since ? now - since : 0) : (ShortText){ "-" };
}
