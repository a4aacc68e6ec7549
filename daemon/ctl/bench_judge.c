/* SPDX-License-Identifier: MIT */

#include "ctl/bench_judge.h"

#include <stdlib.h>

#include "base/macros.h"

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

double judge_possible_cpu(unsigned slots, unsigned cpus)
{
        return MIN(slots, cpus);
}

double judge_threshold(double possible)
{
        return (1 + possible) / 2;
}

Verdict judge(double speedup, double possible)
{
        if (possible <= 1)
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
