/* SPDX-License-Identifier: MIT */

#include "ops/exposition.h"

enum { FIRST_POWER = 4, LAST_POWER = 32, POWER_STEP = 2 };

void exposition_family(Exposition *e, ExpositionType type, const char *name, const char *help)
{
        static const char *const types[] = { "gauge", "counter", "histogram" };
        const char *suffix = type == EXPOSITION_COUNTER && !e->openmetrics ? "_total" : "";

        e->name = name;
        e->type = type;
        buffer_printf(e->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix,
                      types[type]);
}

static void append_value(Buffer *b, const char *value)
{
        for (; *value; value++)
                switch (*value) {
                case '\n':
                        buffer_append_literal(b, "\\n");
                        break;
                case '"':
                case '\\':
                        buffer_append_char(b, '\\');
                        /* fall through */
                default:
                        buffer_append_char(b, *value);
                }
}

/* The name with a suffix, and the labels, with one more for the bound of a bucket. */
static void begin_sample(Exposition *e, const char *suffix, const ExpositionLabel *labels,
                         const char *bound)
{
        char next = '{';

        buffer_printf(e->out, "%s%s", e->name, suffix);
        for (; labels->name; labels++, next = ',') {
                buffer_printf(e->out, "%c%s=\"", next, labels->name);
                append_value(e->out, labels->value);
                buffer_append_char(e->out, '"');
        }
        if (bound) {
                buffer_printf(e->out, "%cle=\"%s\"", next, bound);
                next = ',';
        }
        buffer_append_string(e->out, next == ',' ? "} " : " ");
}

static void append_seconds(Buffer *b, usec_t value)
{
        buffer_printf(b, "%llu.%06llu\n", (unsigned long long)(value / USEC_PER_SEC),
                      (unsigned long long)(value % USEC_PER_SEC));
}

static const char *suffix_of(const Exposition *e)
{
        return e->type == EXPOSITION_COUNTER ? "_total" : "";
}

void exposition_count(Exposition *e, const ExpositionLabel *labels, uint64_t value)
{
        begin_sample(e, suffix_of(e), labels, NULL);
        buffer_printf(e->out, "%llu\n", (unsigned long long)value);
}

void exposition_usec(Exposition *e, const ExpositionLabel *labels, usec_t value)
{
        begin_sample(e, suffix_of(e), labels, NULL);
        append_seconds(e->out, value);
}

void exposition_histogram(Exposition *e, const ExpositionLabel *labels, const Histogram *h)
{
        uint64_t count = histogram_count(h);
        char bound[32];

        for (int power = FIRST_POWER; power <= LAST_POWER; power += POWER_STEP) {
                usec_t at = (usec_t)1 << power;

                (void)snprintf(bound, sizeof(bound), "%llu.%06llu",
                               (unsigned long long)(at / USEC_PER_SEC),
                               (unsigned long long)(at % USEC_PER_SEC));
                begin_sample(e, "_bucket", labels, bound);
                buffer_printf(e->out, "%llu\n", (unsigned long long)histogram_below(h, at));
        }
        begin_sample(e, "_bucket", labels, "+Inf");
        buffer_printf(e->out, "%llu\n", (unsigned long long)count);
        begin_sample(e, "_sum", labels, NULL);
        append_seconds(e->out, h->sum);
        begin_sample(e, "_count", labels, NULL);
        buffer_printf(e->out, "%llu\n", (unsigned long long)count);
}

void exposition_end(Exposition *e)
{
        if (e->openmetrics)
                buffer_append_literal(e->out, "# EOF\n");
}

const char *exposition_media_type(bool openmetrics)
{
        return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                           : "text/plain; version=0.0.4; charset=utf-8";
}
