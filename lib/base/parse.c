/* SPDX-License-Identifier: MIT */

#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/macros.h"

int parse_u64(const char *text, uint64_t *ret)
{
        char *end;
        unsigned long long v;

        if (!isdigit((unsigned char)text[0]))
                return -EINVAL;
        errno = 0;
        v = strtoull(text, &end, 10);
        if (*end)
                return -EINVAL;
        if (errno)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_i64(const char *text, int64_t *ret)
{
        char *end;
        long long v;

        if (!isdigit((unsigned char)text[text[0] == '-']))
                return -EINVAL;
        errno = 0;
        v = strtoll(text, &end, 10);
        if (*end)
                return -EINVAL;
        if (errno)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_bool(const char *text, bool *ret)
{
        static const char *const words[2][6] = {
                { "0", "no", "n", "false", "f", "off" },
                { "1", "yes", "y", "true", "t", "on" },
        };

        for (int value = 0; value < 2; value++)
                for (size_t i = 0; i < ELEMENTS(words[value]); i++)
                        if (strcasecmp(text, words[value][i]) == 0) {
                                *ret = value;
                                return 0;
                        }
        return -EINVAL;
}

/* A decimal number with a fraction, times unit; moves *text behind it. */
static int read_scaled(const char **text, uint64_t *whole, double *fraction)
{
        char *end;
        double scale = 1;

        if (!isdigit((unsigned char)**text) && **text != '.')
                return -EINVAL;
        *whole = 0;
        *fraction = 0;
        if (isdigit((unsigned char)**text)) {
                errno = 0;
                *whole = strtoull(*text, &end, 10);
                if (errno)
                        return -ERANGE;
                *text = end;
        }
        if (**text == '.') {
                (*text)++;
                if (!isdigit((unsigned char)**text))
                        return -EINVAL;
                for (; isdigit((unsigned char)**text); (*text)++)
                        *fraction += (**text - '0') * (scale /= 10);
        }
        return 0;
}

static int add_scaled(uint64_t *sum, uint64_t whole, double fraction, uint64_t unit)
{
        uint64_t v;

        if (__builtin_mul_overflow(whole, unit, &v) ||
            __builtin_add_overflow(v, (uint64_t)(fraction * (double)unit + 0.5), &v) ||
            __builtin_add_overflow(*sum, v, sum) || *sum > INT64_MAX)
                return -ERANGE;
        return 0;
}

static const struct {
        const char *name;
        usec_t usec;
} span_units[] = {
        { "w", 604800 * USEC_PER_SEC },    { "d", 86400 * USEC_PER_SEC },
        { "h", 3600 * USEC_PER_SEC },      { "min", 60 * USEC_PER_SEC },
        { "s", USEC_PER_SEC },             { "ms", USEC_PER_MSEC },
        { "us", 1 },                       { "weeks", 604800 * USEC_PER_SEC },
        { "week", 604800 * USEC_PER_SEC }, { "days", 86400 * USEC_PER_SEC },
        { "day", 86400 * USEC_PER_SEC },   { "hours", 3600 * USEC_PER_SEC },
        { "hour", 3600 * USEC_PER_SEC },   { "hr", 3600 * USEC_PER_SEC },
        { "minutes", 60 * USEC_PER_SEC },  { "minute", 60 * USEC_PER_SEC },
        { "m", 60 * USEC_PER_SEC },        { "seconds", USEC_PER_SEC },
        { "second", USEC_PER_SEC },        { "sec", USEC_PER_SEC },
        { "msec", USEC_PER_MSEC },         { "usec", 1 },
        { "µs", 1 },
};

static usec_t read_unit(const char **text)
{
        size_t n = strcspn(*text, " \t0123456789.");

        if (n == 0)
                return USEC_PER_SEC;
        for (size_t i = 0; i < ELEMENTS(span_units); i++)
                if (strlen(span_units[i].name) == n && strncmp(*text, span_units[i].name, n) == 0) {
                        *text += n;
                        return span_units[i].usec;
                }
        return 0;
}

static void skip_blanks(const char **text)
{
        *text += strspn(*text, " \t");
}

int parse_span(const char *text, usec_t *ret)
{
        usec_t sum = 0;

        skip_blanks(&text);
        if (!*text)
                return -EINVAL;
        if (strcmp(text, "infinity") == 0) {
                *ret = USEC_INFINITY;
                return 0;
        }
        while (*text) {
                uint64_t whole;
                double fraction;
                usec_t unit;
                int r = read_scaled(&text, &whole, &fraction);

                if (r < 0)
                        return r;
                skip_blanks(&text);
                unit = read_unit(&text);
                if (!unit)
                        return -EINVAL;
                r = add_scaled(&sum, whole, fraction, unit);
                if (r < 0)
                        return r;
                skip_blanks(&text);
        }
        *ret = sum;
        return 0;
}

int parse_size(const char *text, uint64_t *ret)
{
        static const char suffixes[] = "BKMGTPE";
        uint64_t whole, unit = 1, sum = 0;
        double fraction;
        const char *found;
        int r;

        skip_blanks(&text);
        if (strcmp(text, "infinity") == 0) {
                *ret = UINT64_MAX;
                return 0;
        }
        r = read_scaled(&text, &whole, &fraction);
        if (r < 0)
                return r;
        skip_blanks(&text);
        if (*text) {
                found = strchr(suffixes, *text);
                if (!found || text[1])
                        return -EINVAL;
                unit = 1ULL << (10 * (found - suffixes));
        }
        r = add_scaled(&sum, whole, fraction, unit);
        if (r < 0)
                return r;
        *ret = sum;
        return 0;
}

/* Is it a day of the calendar? strptime() takes the 31st of any month. */
static bool day_exists(const struct tm *tm)
{
        struct tm copy = *tm;

        return timegm(&copy) != -1 && copy.tm_mday == tm->tm_mday;
}

/* The remainder after a date: a zone, or nothing. */
static int finish_time(const char *rest, struct tm *tm, usec_t *ret)
{
        bool utc;
        time_t t;

        skip_blanks(&rest);
        utc = strcmp(rest, "UTC") == 0 || strcmp(rest, "Z") == 0;
        if ((*rest && !utc) || !day_exists(tm))
                return -EINVAL;
        tm->tm_isdst = -1;
        t = utc ? timegm(tm) : mktime(tm);
        if (t < 0)
                return -ERANGE;
        *ret = (usec_t)t * USEC_PER_SEC;
        return 0;
}

int parse_time(const char *text, usec_t now, usec_t *ret)
{
        static const char *const forms[] = {
                "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
                "%Y-%m-%dT%H:%M",    "%H:%M:%S",          "%H:%M",
                "%Y-%m-%d",
        };
        time_t t = (time_t)(now / USEC_PER_SEC);
        usec_t span;
        int r;

        if (strcmp(text, "now") == 0) {
                *ret = now;
                return 0;
        }
        if (text[0] == '+' || text[0] == '@') {
                r = parse_span(text + 1, &span);
                if (r < 0 || span == USEC_INFINITY)
                        return r < 0 ? r : -ERANGE;
                *ret = text[0] == '@' ? span : usec_add(now, span);
                return 0;
        }
        for (size_t i = 0; i < ELEMENTS(forms); i++) {
                struct tm tm;
                const char *rest;

                if (!localtime_r(&t, &tm))
                        return -EINVAL;
                tm.tm_sec = 0;
                if (forms[i][1] == 'Y')
                        tm.tm_hour = tm.tm_min = 0;
                rest = strptime(text, forms[i], &tm);
                if (rest && finish_time(rest, &tm, ret) == 0)
                        return 0;
        }
        return -EINVAL;
}

char *format_span(usec_t span, char *to, size_t size)
{
        size_t used = 0;
        int parts = 0;

        if (span == USEC_INFINITY) {
                (void)snprintf(to, size, "infinity");
                return to;
        }
        if (span == 0) {
                (void)snprintf(to, size, "0");
                return to;
        }
        to[0] = '\0';
        for (size_t i = 0; i < 7 && parts < 2; i++) {
                usec_t n = span / span_units[i].usec;
                int w;

                if (n == 0)
                        continue;
                w = snprintf(to + used, size - used, "%s%llu%s", parts ? " " : "",
                             (unsigned long long)n, span_units[i].name);
                if (w < 0 || (size_t)w >= size - used)
                        break;
                used += (size_t)w;
                span %= span_units[i].usec;
                parts++;
        }
        return to;
}
