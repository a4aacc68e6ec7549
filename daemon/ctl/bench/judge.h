/* SPDX-License-Identifier: MIT */
#pragma once

/* What figures of N slots against one slot mean: arithmetic. */

#include <stdbool.h>
#include <stddef.h>

typedef enum Verdict {
        VERDICT_NO,
        VERDICT_YES,
        VERDICT_OPEN, /* it can not be told on this machine */
} Verdict;

/* "no", "yes", "cannot be told". */
const char *verdict_word(Verdict v);

/* How many times as fast so many slots can be, at the best, with jobs that wait, and with jobs that
 * need a CPU each. */
double judge_possible_waiting(unsigned slots);
double judge_possible_cpu(unsigned slots, double cpus);

/* From which speed-up on it is more like what is possible than like one slot: half way. */
double judge_threshold(double possible);

/* Were there so few CPUs, on the average, that somebody else must have had some of those that could
 * be used? */
bool judge_is_noisy(double cpus, double possible);

/* Is the speed-up at least the threshold? VERDICT_OPEN: what is possible is too near to one. */
Verdict judge(double speedup, double possible);

/* The middle one of n values, which are sorted by it; of an even number the mean of the two in the
 * middle; 0 of none. */
double judge_median(double *values, size_t n);
