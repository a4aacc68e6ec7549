/* SPDX-License-Identifier: MIT */
#pragma once

/* Figures as text for Prometheus and its like, in one of its two formats: OpenMetrics 1.0, or the
 * older text format 0.0.4, which differ in the names of counters and in the end.
 *
 * A family is begun once, and its samples follow. */

#include <stdbool.h>

#include "base/buffer.h"
#include "base/histogram.h"

typedef enum ExpositionType {
        EXPOSITION_GAUGE,
        EXPOSITION_COUNTER,
        EXPOSITION_HISTOGRAM,
} ExpositionType;

typedef struct Exposition {
        Buffer *out;
        bool openmetrics;
        const char *name; /* of the family that is being written */
        ExpositionType type;
} Exposition;

/* Up to three; the first without a name ends them. Values may be any UTF-8. */
typedef struct ExpositionLabel {
        const char *name, *value;
} ExpositionLabel;

#define LABELS(...) ((const ExpositionLabel[4]){ __VA_ARGS__ })
#define NO_LABELS   LABELS({ 0 })

/* `name` without the suffix of counters, `_total`; it and `help` belong to the caller. */
void exposition_family(Exposition *e, ExpositionType type, const char *name, const char *help);

void exposition_count(Exposition *e, const ExpositionLabel *labels, uint64_t value);
/* A time or a span, in seconds. */
void exposition_usec(Exposition *e, const ExpositionLabel *labels, usec_t value);
/* One sample for each power of four microseconds from 16 µs to 71 min, their sum and number. */
void exposition_histogram(Exposition *e, const ExpositionLabel *labels, const Histogram *h);

void exposition_end(Exposition *e);

/* What HTTP calls the format. */
const char *exposition_media_type(bool openmetrics);
