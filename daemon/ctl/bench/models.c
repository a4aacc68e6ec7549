/* SPDX-License-Identifier: MIT */

/* Two private daemons for each model: one has a pool with one slot, the other the same pool with
 * all. */

#include "ctl/bench/models.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/bench/crash.h"

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

/* How many jobs of this length there are in the time of a round; 2 at the least. */
static uint64_t jobs_in_round(const Trial *t, unsigned msec)
{
        uint64_t jobs = t->plan->time / BENCH_ROUNDS / (msec * USEC_PER_MSEC);

        return MAX(jobs, 2U);
}

/* With all slots as many as with one, but some for each, so that the end of the last weighs
 * little. */
static BenchCourse cpu_course(Trial *t)
{
        unsigned slots = t->plan->slots;
        uint64_t jobs = jobs_in_round(t, BENCH_BURN_MSEC);

        return (BenchCourse){ .one = &t->one, .all = &t->all, .slots = slots,
                              .cpus = t->plan->cpus, .handler = t->burn, .args = t->work,
                              .jobs = jobs, .jobs_all = round_up(MAX(jobs, 2 * slots), slots) };
}

static BenchCourse waiting_course(Trial *t)
{
        unsigned slots = t->plan->slots;
        uint64_t jobs = jobs_in_round(t, BENCH_SLEEP_MSEC);

        _Static_assert(BENCH_SLEEP_MSEC == 20, "the arguments say the same");
        return (BenchCourse){ .one = &t->one, .all = &t->all, .slots = slots, .handler = t->sleep,
                              .args = "{\"seconds\":0.02}", .jobs = jobs,
                              .jobs_all = jobs * slots };
}

static bool run_course(const BenchCourse *course, BenchSpeeds *s)
{
        for (unsigned i = 0; bench_speeds_go_on(course, s, i); i++)
                if (!bench_speeds_round(course, s))
                        return false;
        bench_speeds_finish(s);
        return true;
}

static bool measure_speeds(Trial *t)
{
        BenchCourse cpu = cpu_course(t), waiting = waiting_course(t);
        BenchFigures *f = t->figures;

        tell(t, "jobs that calculate");
        if (!run_course(&cpu, &f->cpu))
                return false;
        tell(t, "jobs that wait");
        return run_course(&waiting, &f->waiting);
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
                f->possible = judge_possible_cpu(plan->slots, bench_speeds_room(&f->cpu));
                f->parallel = judge(f->cpu.speedup, f->possible);
        } else {
                f->concurrent = f->parallel = VERDICT_OPEN;
                (void)snprintf(f->why, sizeof(f->why), "%s",
                               t.one.words[0] ? t.one.words : t.all.words);
        }
        bench_daemon_end(&t.one);
        bench_daemon_end(&t.all);
}
