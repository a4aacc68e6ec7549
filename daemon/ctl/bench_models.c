/* SPDX-License-Identifier: MIT */

/* Two private daemons for each model: one has a pool with one slot, the other the same pool with
 * all. What is compared runs in turns, so that a machine that is busy with something else is so for
 * both, and the ratios are taken of neighbours. */

#include "ctl/bench_models.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/bench_crash.h"

enum { FIRST_BURN = 1000 };

typedef struct Trial {
        BenchPlan *plan;
        BenchFigures *figures;
        BenchDaemon one, all;
        char burn[16], sleep[16], work[64]; /* names of the handlers; arguments of burn */
} Trial;

static void tell(const Trial *t, const char *what)
{
        t->plan->progress(t->figures->row, what);
}

/* --- the pools --- */

static bool start_pool(const Trial *t, BenchDaemon *d, unsigned slots)
{
        const BenchRow *row = t->figures->row;
        AUTO(buffer_fini) Buffer pool = BUFFER_INIT;
        BenchKeeperSpec spec = { .program = t->plan->program };

        bench_row_pool(row, slots, &pool);
        if (pool.failed)
                return bench_daemon_wrong(d, "out of memory");
        spec.pool = buffer_bytes(&pool);
        return bench_daemon_start(d, &spec, bench_row_workers(row, slots));
}

/* Finds out how many rounds are as much work as a job is to have. */
static bool calibrate(Trial *t)
{
        uint64_t *rounds = &t->plan->rounds[t->figures->row->language];
        usec_t wanted = BENCH_BURN_MSEC * USEC_PER_MSEC, took = 0;

        for (uint64_t n = FIRST_BURN; *rounds == 0 && n < UINT64_MAX / 1000000; n *= 2) {
                (void)snprintf(t->work, sizeof(t->work), "{\"rounds\":%llu}",
                               (unsigned long long)n);
                if (!bench_one_job(&t->one, t->burn, t->work, 1, &took))
                        return false;
                if (took >= wanted)
                        *rounds = n * wanted / took;
        }
        (void)snprintf(t->work, sizeof(t->work), "{\"rounds\":%llu}", (unsigned long long)*rounds);
        return true;
}

/* --- speeds --- */

static uint64_t round_up(uint64_t n, unsigned to)
{
        return (n + to - 1) / to * to;
}

static bool run_jobs(BenchDaemon *d, const char *handler, const char *args, uint64_t jobs,
                     unsigned slots, double *ret)
{
        BenchLoad load = { .handler = handler, .args = args, .connections = 1, .window = 2 * slots,
                           .jobs = jobs };
        BenchLoadResult result;

        if (!bench_load(d, &load, &result))
                return false;
        *ret = bench_rate(&result);
        return true;
}

/* One round: `jobs` with one slot, and `jobs_all` with all. */
static bool run_round(Trial *t, const char *handler, const char *args, const uint64_t jobs[2],
                      unsigned round, BenchSpeeds *s)
{
        return run_jobs(&t->one, handler, args, jobs[0], 1, &s->one[round]) &&
               run_jobs(&t->all, handler, args, jobs[1], t->plan->slots, &s->all[round]);
}

static double median_ratio(const BenchSpeeds *s)
{
        double ratios[BENCH_ROUNDS];

        for (unsigned i = 0; i < BENCH_ROUNDS; i++)
                ratios[i] = s->one[i] > 0 ? s->all[i] / s->one[i] : 0;
        return judge_median(ratios, BENCH_ROUNDS);
}

/* How many jobs of this length there are in the time of a round; 2 at the least. */
static uint64_t jobs_in_round(const Trial *t, unsigned msec)
{
        uint64_t jobs = t->plan->time / BENCH_ROUNDS / (msec * USEC_PER_MSEC);

        return MAX(jobs, 2U);
}

static bool measure_speeds(Trial *t)
{
        static const char nap[] = "{\"seconds\":0.02}";
        unsigned slots = t->plan->slots;
        uint64_t burns = jobs_in_round(t, BENCH_BURN_MSEC);
        uint64_t naps = jobs_in_round(t, BENCH_SLEEP_MSEC);
        /* as many with all slots, but some for each, so that the end of the last weighs little */
        uint64_t cpu[2] = { burns, round_up(MAX(burns, 2 * slots), slots) };
        uint64_t waiting[2] = { naps, naps * slots };
        BenchFigures *f = t->figures;

        _Static_assert(BENCH_SLEEP_MSEC == 20, "the arguments say the same");
        for (unsigned i = 0; i < BENCH_ROUNDS; i++) {
                tell(t, "CPU-bound and waiting jobs");
                if (!run_round(t, t->burn, t->work, cpu, i, &f->cpu) ||
                    !run_round(t, t->sleep, nap, waiting, i, &f->waiting))
                        return false;
        }
        f->cpu.speedup = median_ratio(&f->cpu);
        f->waiting.speedup = median_ratio(&f->waiting);
        return true;
}

/* --- the rest --- */

static bool measure_memory(Trial *t)
{
        double one, all;

        if (!bench_daemon_memory(&t->one, &one) || !bench_daemon_memory(&t->all, &all))
                return false;
        t->figures->memory = (all - one) / (t->plan->slots - 1);
        return true;
}

static bool measure_starts(Trial *t)
{
        BenchDaemon *d = &t->all;

        tell(t, "start-up");
        for (unsigned i = 0; i < BENCH_TRIES; i++) {
                usec_t begun;

                if (!bench_daemon_scale(d, 0))
                        return false;
                begun = clock_monotonic();
                if (!bench_daemon_scale(d, d->workers))
                        return false;
                t->figures->start_usec[i] = (double)(clock_monotonic() - begun);
        }
        return true;
}

/* Of a pool that has one worker: no other can answer the job. It may be given to the dying one
 * first; then it is tried again at once. */
static bool measure_replacements(Trial *t)
{
        BenchDaemon *d = t->all.workers == 1 ? &t->all : &t->one;

        tell(t, "replacements");
        for (unsigned i = 0; i < BENCH_TRIES; i++) {
                usec_t begun, took;
                pid_t pid;

                if (!bench_daemon_worker(d, 0, &pid))
                        return false;
                begun = clock_monotonic();
                (void)kill(pid, SIGKILL); /* what the daemon then does is what is measured */
                if (!bench_one_job(d, t->sleep, "{\"seconds\":0}", 10, &took))
                        return false;
                t->figures->replace_usec[i] = (double)(clock_monotonic() - begun);
        }
        return bench_daemon_settle(d, 1);
}

static bool measure(Trial *t)
{
        unsigned slots = t->plan->slots;
        const char *suffix = t->figures->row->suffix;

        (void)snprintf(t->burn, sizeof(t->burn), "burn%s", suffix);
        (void)snprintf(t->sleep, sizeof(t->sleep), "sleep%s", suffix);
        tell(t, "start");
        if (!start_pool(t, &t->one, 1) || !start_pool(t, &t->all, slots) || !calibrate(t) ||
            !measure_speeds(t) || !measure_memory(t) || !measure_starts(t) ||
            !measure_replacements(t))
                return false;
        tell(t, "a crash");
        return bench_crash(&t->all, t->sleep, suffix, slots, &t->figures->hit);
}

void bench_model(BenchPlan *plan, const BenchRow *row, BenchFigures *ret)
{
        Trial t = { .plan = plan, .figures = ret, .one = BENCH_DAEMON_NONE,
                    .all = BENCH_DAEMON_NONE };
        BenchFigures *f = ret;

        *f = (BenchFigures){ .row = row };
        if (measure(&t)) {
                f->concurrent = judge(f->waiting.speedup, judge_possible_waiting(plan->slots));
                f->parallel = judge(f->cpu.speedup, judge_possible_cpu(plan->slots, plan->cpus));
        } else {
                f->concurrent = f->parallel = VERDICT_OPEN;
                (void)snprintf(f->why, sizeof(f->why), "%s",
                               t.one.words[0] ? t.one.words : t.all.words);
        }
        bench_daemon_end(&t.one);
        bench_daemon_end(&t.all);
}
