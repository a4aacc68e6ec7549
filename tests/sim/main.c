/* SPDX-License-Identifier: MIT */

/* brood-sim [--seed=N] [--steps=N] [--runs=N] [--smoke] [--trace] [--audit-every=N]
 *
 * Runs the core in worlds of the seeds N, N+1, …, each for so many steps. Ends with 1 at the first
 * broken invariant, and tells seed, step and what happened before; the same seed does the same
 * again. In a long run each kind of event has to have occurred. */

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "world.h"

enum {
        KIND_EVERY = 20000, /* steps */
        LONG_RUN = 400000,  /* steps of all runs: everything must have happened */
};

typedef struct Options {
        uint64_t seed, steps, runs;
        unsigned audit_every;
        bool trace;
} Options;

static const World *current;

/* An assertion of core has failed. */
static void on_abort(int number)
{
        (void)signal(number, SIG_DFL);
        if (current)
                world_tell(current, NULL, "core has given up");
        (void)raise(number);
}

static void run(const Options *o, uint64_t seed, World *sum)
{
        World w = { .trace = o->trace, .audit_every = o->audit_every };

        world_init(&w, seed);
        current = &w;
        for (uint64_t i = 1; i <= o->steps; i++) {
                world_step(&w);
                if (i % KIND_EVERY == 0)
                        world_be_kind(&w);
        }
        world_finish(&w);
        for (int i = 0; i < SIM_N_EVENTS; i++)
                sum->seen[i] += w.seen[i];
        sum->n_jobs += w.n_jobs;
        printf("seed=%" PRIu64 " steps=%" PRIu64 " jobs=%u most-open=%" PRIu64
               " digest=%016" PRIx64 "\n",
               seed, w.step, w.n_jobs, w.max_open, w.digest);
        (void)fflush(stdout);
        current = NULL;
        world_fini(&w);
}

static uint64_t number(const char *text)
{
        char *end;
        uint64_t n = strtoull(text, &end, 10);

        if (*end || !*text) {
                fprintf(stderr, "brood-sim: '%s' is not a number\n", text);
                exit(2);
        }
        return n;
}

static Options read_options(int argc, char **argv)
{
        static const struct option known[] = {
                { "seed", required_argument, NULL, 's' }, { "steps", required_argument, NULL, 'n' },
                { "runs", required_argument, NULL, 'r' }, { "smoke", no_argument, NULL, 'q' },
                { "trace", no_argument, NULL, 't' },
                { "audit-every", required_argument, NULL, 'a' }, { 0 },
        };
        const char *seed = getenv("BROOD_SEED");
        Options o = { .seed = seed ? number(seed) : 1, .steps = 100000, .runs = 1,
                      .audit_every = 64 };
        int c;

        while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
                switch (c) {
                case 's':
                        o.seed = number(optarg);
                        break;
                case 'n':
                        o.steps = number(optarg);
                        break;
                case 'r':
                        o.runs = number(optarg);
                        break;
                case 'q':
                        o.steps = 10000;
                        o.runs = 2;
                        break;
                case 'a':
                        o.audit_every = MAX((unsigned)number(optarg), 1u);
                        break;
                case 't':
                        o.trace = true;
                        break;
                default:
                        exit(2);
                }
        }
        return o;
}

/* Returns how many kinds of events did not occur. */
static int missing(const World *sum)
{
        int n = 0;

        for (int i = 0; i < SIM_N_EVENTS; i++)
                if (!sum->seen[i]) {
                        fprintf(stderr, "brood-sim: '%s' never happened\n",
                                sim_event_word((SimEvent)i));
                        n++;
                }
        return n;
}

int main(int argc, char **argv)
{
        Options o = read_options(argc, argv);
        static World sum;

        (void)signal(SIGABRT, on_abort);
        for (uint64_t i = 0; i < o.runs; i++)
                run(&o, o.seed + i, &sum);
        printf("all runs: steps=%" PRIu64 " jobs=%u", o.steps * o.runs, sum.n_jobs);
        world_figures(&sum);
        return o.steps * o.runs >= LONG_RUN && missing(&sum) ? 1 : 0;
}
