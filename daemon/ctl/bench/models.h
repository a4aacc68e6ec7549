/* SPDX-License-Identifier: MIT */
#pragma once

/* What one model is like: the figures of a pool with N slots, and of the same pool with one. */

#include "ctl/bench/judge.h"
#include "ctl/bench/rows.h"
#include "ctl/bench/speeds.h"

enum { BENCH_TRIES = 3, BENCH_SLEEP_MSEC = 20, BENCH_BURN_MSEC = 10 };

typedef struct BenchPlan {
        unsigned slots, cpus;
        usec_t time;                      /* for each speed */
        uint64_t rounds[BENCH_LANGUAGES]; /* of `burn`, for BENCH_BURN_MSEC; 0: not yet known */
        const char *program;
        void (*progress)(const BenchRow *row, const char *what);
} BenchPlan;

typedef struct BenchFigures {
        const BenchRow *row;
        char why[1024];    /* it cannot be had, or went wrong; "": it was measured */
        BenchSpeeds cpu, waiting;
        double start_usec[BENCH_TRIES], replace_usec[BENCH_TRIES];
        double memory;     /* bytes of one slot more */
        unsigned hit;      /* of as many running jobs as there are slots, when one crashes */
        double possible;   /* of the speed-up of calculating */
        Verdict concurrent, parallel;
} BenchFigures;

/* Measures it; what went wrong stands in ret->why. */
void bench_model(BenchPlan *plan, const BenchRow *row, BenchFigures *ret);
