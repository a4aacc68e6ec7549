/* SPDX-License-Identifier: MIT */
#pragma once

/* Jobs to a private daemon, as many at a time as are wanted, and how long all of them took. */

#include "ctl/bench/daemon.h"

/* How long each job took, from its submit to its result, up to so many. */
typedef struct BenchSamples {
        double *usec; /* the caller's */
        size_t n, room;
} BenchSamples;

typedef struct BenchLoad {
        const char *handler;
        const char *args;     /* the text of an object */
        bool durable;
        unsigned attempts;    /* of each job; 0: one */
        unsigned connections;
        unsigned window;      /* jobs in flight on each of them */
        uint64_t jobs;        /* so many; 0: as many as are begun in this time: */
        usec_t time;
        BenchSamples *samples; /* for a window of 1; NULL: nobody wants them */
} BenchLoad;

typedef struct BenchLoadResult {
        uint64_t jobs;
        usec_t elapsed; /* from the first submit to the last result */
} BenchLoadResult;

/* Each job has to succeed. Returns as the functions of BenchDaemon do. */
bool bench_load(BenchDaemon *d, const BenchLoad *load, BenchLoadResult *ret);

/* One job, with so many attempts; how long it took from submit to result. */
bool bench_one_job(BenchDaemon *d, const char *handler, const char *args, unsigned attempts,
                   usec_t *ret);

/* Jobs in a second. */
static inline double bench_rate(const BenchLoadResult *r)
{
        return r->elapsed ? (double)r->jobs * USEC_PER_SEC / (double)r->elapsed : 0;
}
