/* SPDX-License-Identifier: MIT */

#include "ctl/bench/judge.h"

#include <stdlib.h>

#include "base/macros.h"

static const double least_possible = 1.25; /* less cannot be told from chance */
static const double quiet_share = 0.9;

const char *verdict_word(Verdict v)
{
        static const char *const words[] = {
                [VERDICT_NO] = "no", [VERDICT_YES] = "yes", [VERDICT_OPEN] = "cannot be told",
        };

        return words[v];
}

double judge_possible_waiting(unsigned slots)
{
        return slots;
}

double judge_possible_cpu(unsigned slots, double cpus)
{
        return MIN(slots, cpus);
}

double judge_threshold(double possible)
{
        return (1 + possible) / 2;
}

bool judge_is_noisy(double cpus, double possible)
{
        return cpus < possible * quiet_share;
}

Verdict judge(double speedup, double possible)
{
        if (possible < least_possible)
                return VERDICT_OPEN;
        return speedup >= judge_threshold(possible) ? VERDICT_YES : VERDICT_NO;
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

double judge_median(double *values, size_t n)
{
        if (n == 0)
                return 0;
        qsort(values, n, sizeof(*values), compare);
        return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
