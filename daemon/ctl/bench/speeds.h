/* SPDX-License-Identifier: MIT */
#pragma once

/* How many times as fast all slots are as one.
 *
 * What is compared runs in turns, and the ratios are taken of neighbours, so that a machine that is
 * busy with something else is so for both. Of jobs that calculate that is not enough: what others
 * take of the CPUs can not be gained. So it is noted how much of them was idle while one slot
 * worked, noisy rounds are done again, and the speed-up is judged by what there was to gain. */

#include "ctl/bench/load.h"

enum { BENCH_ROUNDS = 5, BENCH_MOST_ROUNDS = 10 };

/* Jobs per second, with one slot and with all, one after the other. */
typedef struct BenchSpeeds {
        double one[BENCH_ROUNDS], all[BENCH_ROUNDS];
        double room[BENCH_ROUNDS]; /* CPUs that there were: the one at work, and those idle */
        unsigned n;
        double speedup; /* the median of their ratios */
} BenchSpeeds;

/* One kind of jobs, for two pools. */
typedef struct BenchCourse {
        BenchDaemon *one, *all;
        unsigned slots, cpus;   /* of `all`; of the machine, or 0: the jobs need none */
        const char *handler, *args;
        uint64_t jobs, jobs_all; /* in a round */
} BenchCourse;

/* CPUs that this process may use. */
unsigned bench_count_cpus(void);

/* One round more. False: the words of `one` or `all` say why. */
bool bench_speeds_round(const BenchCourse *course, BenchSpeeds *s);

/* Is there another round to be done after so many? */
bool bench_speeds_go_on(const BenchCourse *course, const BenchSpeeds *s, unsigned done);

/* After the last one: the speed-up, and the median of the room. */
void bench_speeds_finish(BenchSpeeds *s);
double bench_speeds_room(const BenchSpeeds *s);
