/* SPDX-License-Identifier: MIT */
#pragma once

/* What `top` shows, in figures: made of two samples of the scoreboard, or, of the first one, of all
 * that happened since the daemon started.
 *
 * Rates are per second; times are microseconds, TOP_NO_TIME where there is none. */

#include "ctl/top/sample.h"

#define TOP_NO_TIME USEC_INFINITY

typedef struct TopTimes {
        usec_t p50, p95, p99;
} TopTimes;

typedef struct TopPool {
        char name[64], state[16], why[256];
        uint64_t busy, slots; /* of the workers that take jobs */
        uint64_t workers, starting, spare, leaving, min_workers, max_workers;
        uint64_t queued, held, running; /* held: scheduled or blocked */
        uint64_t done, deaths, deaths_by[BOARD_DEATHS];
        double submit_rate, done_rate, fail_rate;
        TopTimes wait, run; /* of the jobs of all its handlers */
} TopPool;

typedef struct TopHandler {
        char name[64], pool[64], state[16]; /* "resting": its breaker is open; or "" */
        usec_t rests;         /* so much longer */
        uint64_t succeeded, failed, ended;
        uint64_t deaths;      /* attempts that ended with their worker */
        double submit_rate, done_rate, fail_rate;
        TopTimes wait, run;
} TopHandler;

typedef struct TopWorker {
        char name[96], pool[64], state[16], job[40], handler[64];
        uint64_t pid, generation, jobs, slots, done, memory;
        usec_t busy, age;     /* for so long; busy: with its oldest job */
        double cpu;           /* per cent of one processor */
} TopWorker;

typedef struct TopJob {
        char id[40], handler[64], worker[96], pool[64];
        uint64_t pid, attempt, uid;
        usec_t age;           /* of the attempt */
} TopJob;

typedef struct TopModel {
        const TopSample *now; /* must outlive it */
        bool since_start;     /* rates and times are of all since the daemon started */
        usec_t span;          /* and else of so long */
        double submit_rate, done_rate, fail_rate;
        TopTimes turn, commit;
        TopPool *pools;
        TopHandler *handlers;
        TopWorker *workers;
        TopJob *jobs;
        uint32_t n_pools, n_handlers, n_workers, n_jobs;
} TopModel;

/* `base`: an earlier sample of the same daemon, or NULL. Returns 0 or -ENOMEM. */
int top_model_make(TopModel *ret, const TopSample *now, const TopSample *base);
void top_model_fini(TopModel *m);

static inline void top_model_fini_cleanup(TopModel *m)
{
        top_model_fini(m);
}

/* "scheduled" …, "exit" …: the words for the lists of the scoreboard. */
const char *top_job_state(unsigned i);
const char *top_death_cause(unsigned i);
