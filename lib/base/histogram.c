/* SPDX-License-Identifier: MIT */

#include "base/histogram.h"

#include "base/macros.h"

/* Values below 4 have a bucket each; above, the two bits behind the first one say which. */
unsigned histogram_bucket(usec_t value)
{
        unsigned power;

        if (value < HISTOGRAM_STEPS)
                return (unsigned)value;
        power = 63 - (unsigned)__builtin_clzll(value);
        if (power >= HISTOGRAM_POWERS)
                return HISTOGRAM_BUCKETS - 1;
        return HISTOGRAM_STEPS * (power - 1) + (unsigned)(value >> (power - 2)) % HISTOGRAM_STEPS;
}

usec_t histogram_bound(unsigned bucket)
{
        unsigned power = (bucket + 1) / HISTOGRAM_STEPS + 1, step = (bucket + 1) % HISTOGRAM_STEPS;

        if (bucket + 1 < HISTOGRAM_STEPS)
                return bucket + 1;
        return (usec_t)(HISTOGRAM_STEPS + step) << (power - 2);
}

uint64_t histogram_count(const Histogram *h)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                n += h->buckets[i];
        return n;
}

uint64_t histogram_below(const Histogram *h, usec_t bound)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < HISTOGRAM_BUCKETS && histogram_bound(i) <= bound; i++)
                n += h->buckets[i];
        return n;
}

usec_t histogram_quantile(const Histogram *h, double share)
{
        uint64_t count = histogram_count(h), seen = 0;
        uint64_t wanted = (uint64_t)(share * (double)count + 0.5);

        if (!count)
                return 0;
        wanted = MAX(MIN(wanted, count), 1u);
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                usec_t from = i ? histogram_bound(i - 1) : 0;

                seen += h->buckets[i];
                if (seen >= wanted)
                        return from + (histogram_bound(i) - from) / 2;
        }
        return histogram_bound(HISTOGRAM_BUCKETS - 1);
}

Histogram histogram_since(const Histogram *later, const Histogram *earlier)
{
        Histogram h = { .sum = later->sum - earlier->sum };

        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                h.buckets[i] = later->buckets[i] - earlier->buckets[i];
        return h;
}

void histogram_merge(Histogram *h, const Histogram *other)
{
        h->sum += other->sum;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                h->buckets[i] += other->buckets[i];
}
