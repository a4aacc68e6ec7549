/* SPDX-License-Identifier: MIT */

/* map_files FILE…: lines and bytes of each file, counted on all CPUs, as in map_files *.c
 * A worker that is killed meanwhile, with kill -9, changes nothing. */

#include <brood/pool.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct Counts {
        long lines, bytes;
} Counts;

static int count(BroodTask *task)
{
        FILE *file = fopen(brood_task_input(task, NULL), "r");
        Counts c = { 0 };

        if (!file)
                return brood_task_fail(task, "%s", strerror(errno));
        for (int byte; (byte = getc(file)) != EOF; c.bytes++)
                c.lines += byte == '\n';
        fclose(file);
        return brood_task_result(task, &c, sizeof(c));
}

int main(int argc, char **argv)
{
        static BroodBytes names[1 << 20]; /* more than a command line can have */
        BroodPoolSpec spec = { .method = BROOD_FORK, .retries = 9 };
        size_t n = (size_t)argc - 1;
        BroodResult *results;
        BroodPool *pool;

        for (size_t i = 0; i < n; i++)
                names[i] = (BroodBytes){ argv[i + 1], strlen(argv[i + 1]) };
        if (brood_pool_new(&pool, &spec) < 0 ||
            brood_pool_map(pool, count, names, n, 0, &results) < 0)
                return 1;
        for (const BroodResult *r = results; r < results + n; r++)
                if (r->state == BROOD_TASK_OK)
                        printf("%ld %ld %s\n", ((Counts *)r->data)->lines,
                               ((Counts *)r->data)->bytes, argv[r - results + 1]);
                else
                        fprintf(stderr, "%s: %s\n", argv[r - results + 1], r->message);
        brood_results_free(results, n);
        brood_pool_free(pool);
        return 0;
}
