/* SPDX-License-Identifier: MIT */
#pragma once

/* How long things took: counts of microseconds in buckets whose width grows with the value, four to
 * each power of two, so that a quantile is off by an eighth at the most.
 *
 * Counts only grow: what happened between two moments is the difference of two copies. */

#include "base/clock.h"

enum {
        HISTOGRAM_STEPS = 4,   /* buckets of one power of two */
        HISTOGRAM_POWERS = 40, /* up to 2^40 µs, 12 days; what takes longer is in the last one */
        HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * (HISTOGRAM_POWERS - 1),
};

typedef struct Histogram {
        uint64_t buckets[HISTOGRAM_BUCKETS];
        uint64_t sum; /* of all values, µs */
} Histogram;

/* The bucket of a value, and the least value that is above all of a bucket. */
unsigned histogram_bucket(usec_t value);
usec_t histogram_bound(unsigned bucket);

static inline void histogram_add(Histogram *h, usec_t value)
{
        h->buckets[histogram_bucket(value)]++;
        h->sum += value;
}

/* How many values there are. */
uint64_t histogram_count(const Histogram *h);

/* How many values are below this one, which has to be the bound of a bucket (a power of two is). */
uint64_t histogram_below(const Histogram *h, usec_t bound);

/* The value that a share (0 to 1) of all values does not exceed, from the middle of its bucket; 0
 * if there are none. */
usec_t histogram_quantile(const Histogram *h, double share);

/* What has been added to `later` since it was `earlier`. */
Histogram histogram_since(const Histogram *later, const Histogram *earlier);

/* Adds all values of another one. */
void histogram_merge(Histogram *h, const Histogram *other);
