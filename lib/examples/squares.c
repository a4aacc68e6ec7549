/* SPDX-License-Identifier: MIT */
#include <brood/pool.h>
#include <stdio.h>

static int square(BroodTask *task)
{
        double x = *(const double *)brood_task_input(task, NULL);

        x *= x;
        return brood_task_result(task, &x, sizeof(x));
}

int main(void)
{
        enum { N = 100000 };
        static double numbers[N], sum;
        static BroodBytes inputs[N];
        BroodResult *results;
        BroodPool *pool;

        for (int i = 0; i < N; numbers[i] = i, i++)
                inputs[i] = (BroodBytes){ &numbers[i], sizeof(numbers[i]) };
        if (brood_pool_new(&pool, &(BroodPoolSpec){ .method = BROOD_FORK, .retries = 9 }) < 0 ||
            brood_pool_map(pool, square, inputs, N, 0, &results) != 0)
                return 1;
        for (int i = 0; i < N; i++)
                sum += *(double *)results[i].data;
        printf("%.0f\n", sum);
        brood_pool_free(pool);
        return 0;
}
