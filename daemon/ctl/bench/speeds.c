/* SPDX-License-Identifier: MIT */

#include "ctl/bench/speeds.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "ctl/bench/judge.h"

/* --- CPUs --- */

static bool may_use(unsigned cpu, const cpu_set_t *set)
{
        return cpu < CPU_SETSIZE && CPU_ISSET(cpu, set);
}

unsigned bench_count_cpus(void)
{
        cpu_set_t set;

        return sched_getaffinity(0, sizeof(set), &set) == 0
                       ? (unsigned)CPU_COUNT(&set)
                       : (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

/* Seconds that the CPUs that we may use have been idle in all their life; proc(5). */
static double idle_seconds(void)
{
        FILE *f = fopen("/proc/stat", "re");
        unsigned long long idle, waiting, sum = 0;
        char line[512];
        cpu_set_t set;
        unsigned cpu;

        CPU_ZERO(&set);
        (void)sched_getaffinity(0, sizeof(set), &set);
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "cpu%u %*u %*u %*u %llu %llu", &cpu, &idle, &waiting) == 3 &&
                    may_use(cpu, &set))
                        sum += idle + waiting;
        if (f)
                (void)fclose(f);
        return (double)sum / (double)sysconf(_SC_CLK_TCK);
}

/* --- rounds --- */

static bool run_jobs(BenchDaemon *d, const BenchCourse *course, uint64_t jobs, unsigned slots,
                     double *ret)
{
        BenchLoad load = { .handler = course->handler, .args = course->args, .connections = 1,
                           .window = 2 * slots, .jobs = jobs };
        BenchLoadResult result;

        if (!bench_load(d, &load, &result))
                return false;
        *ret = bench_rate(&result);
        return true;
}

/* The place for a round: a free one, or that of the one with the least room; -1: it is that
 * itself. */
static int place_for(BenchSpeeds *s, double room)
{
        unsigned least = 0;

        if (s->n < BENCH_ROUNDS)
                return (int)s->n++;
        for (unsigned i = 1; i < s->n; i++)
                if (s->room[i] < s->room[least])
                        least = i;
        return s->room[least] < room ? (int)least : -1;
}

bool bench_speeds_round(const BenchCourse *course, BenchSpeeds *s)
{
        double one, all, room, idle = idle_seconds();
        usec_t begun = clock_monotonic();
        int i;

        if (!run_jobs(course->one, course, course->jobs, 1, &one))
                return false;
        room = 1 + (idle_seconds() - idle) * USEC_PER_SEC / (double)(clock_monotonic() - begun);
        if (!run_jobs(course->all, course, course->jobs_all, course->slots, &all))
                return false;
        i = place_for(s, MIN(room, course->cpus));
        if (i < 0)
                return true;
        s->one[i] = one;
        s->all[i] = all;
        s->room[i] = MIN(room, course->cpus);
        return true;
}

bool bench_speeds_go_on(const BenchCourse *course, const BenchSpeeds *s, unsigned done)
{
        double possible = judge_possible_cpu(course->slots, course->cpus);

        if (done < BENCH_ROUNDS)
                return true;
        for (unsigned i = 0; i < s->n && done < BENCH_MOST_ROUNDS; i++)
                if (judge_is_noisy(s->room[i], possible))
                        return true;
        return false;
}

void bench_speeds_finish(BenchSpeeds *s)
{
        double ratios[BENCH_ROUNDS];

        for (unsigned i = 0; i < s->n; i++)
                ratios[i] = s->one[i] > 0 ? s->all[i] / s->one[i] : 0;
        s->speedup = judge_median(ratios, s->n);
}

double bench_speeds_room(const BenchSpeeds *s)
{
        double copy[BENCH_ROUNDS];

        memcpy(copy, s->room, sizeof(copy));
        return judge_median(copy, s->n);
}
