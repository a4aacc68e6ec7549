/* SPDX-License-Identifier: MIT */

#include "core/recycle.h"

#include "unit.h"

static void a_worker_is_due_when_it_has_reached_a_limit(void **state UNUSED)
{
        static const struct {
                const char *name;
                RecycleLimits own, used; /* jobs, memory, age */
                RecycleReason reason;
        } cases[] = {
                { "no limits", { 0, 0, 0 }, { UINT64_MAX, UINT64_MAX, USEC_INFINITY }, 0 },
                { "nothing used", { 5, 5, 5 }, { 0, 0, 0 }, RECYCLE_NONE },
                { "one below each", { 5, 6, 7 }, { 4, 5, 6 }, RECYCLE_NONE },
                { "jobs", { 5, 6, 7 }, { 5, 0, 0 }, RECYCLE_JOBS },
                { "memory", { 5, 6, 7 }, { 0, 6, 0 }, RECYCLE_MEMORY },
                { "age", { 5, 6, 7 }, { 0, 0, 7 }, RECYCLE_AGE },
                { "beyond", { 5, 0, 0 }, { 9, 0, 0 }, RECYCLE_JOBS },
                { "jobs are told first", { 5, 6, 7 }, { 5, 6, 7 }, RECYCLE_JOBS },
                { "then memory", { 0, 6, 7 }, { 5, 6, 7 }, RECYCLE_MEMORY },
                { "one job", { 1, 0, 0 }, { 1, 0, 0 }, RECYCLE_JOBS },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(recycle_due(&cases[i].own, &cases[i].used) == cases[i].reason, cases[i].name);
}

static void limits_are_lower_by_chance(void **state UNUSED)
{
        static const struct {
                uint64_t limit;
                unsigned percent;
                uint64_t random, own;
        } cases[] = {
                { 0, 10, 12345, 0 },        /* off stays off */
                { 1000, 0, 12345, 1000 },   /* no jitter */
                { 1000, 10, 0, 1000 },
                { 1000, 10, 100, 900 },     /* the most */
                { 1000, 10, 101, 1000 },
                { 1000, 100, 999, 1 },      /* never off by chance */
                { 1, 100, 1, 1 },
                { 5, 10, UINT64_MAX, 5 },   /* too small to be lower */
                { UINT64_MAX, 100, UINT64_MAX - 1, 1 },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const RecycleLimits pool = { cases[i].limit, cases[i].limit, cases[i].limit };
                RecycleLimits own = recycle_limits(&pool, cases[i].percent, cases[i].random);

                if (own.jobs != cases[i].own || own.memory != cases[i].own ||
                    own.age != cases[i].own)
                        fail_msg("case %zu: %llu", i, (unsigned long long)own.jobs);
        }
}

static void no_limit_is_lower_than_the_jitter_allows(void **state UNUSED)
{
        const RecycleLimits pool = { 10000, 0, 60 * USEC_PER_SEC };
        uint64_t random = 1;

        for (int i = 0; i < 10000; i++, random = random * 6364136223846793005ULL + 1) {
                RecycleLimits own = recycle_limits(&pool, 25, random);

                assert_in_range(own.jobs, 7500, 10000);
                assert_in_range(own.age, 45 * USEC_PER_SEC, 60 * USEC_PER_SEC);
                assert_int_equal(own.memory, 0);
        }
}

static void a_quarter_is_replaced_at_a_time(void **state UNUSED)
{
        static const unsigned cases[][2] = { { 0, 1 }, { 1, 1 }, { 4, 1 },   { 7, 1 },
                                             { 8, 2 }, { 9, 2 }, { 100, 25 } };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                assert_int_equal(recycle_share(cases[i][0]), cases[i][1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_worker_is_due_when_it_has_reached_a_limit),
                cmocka_unit_test(limits_are_lower_by_chance),
                cmocka_unit_test(no_limit_is_lower_than_the_jitter_allows),
                cmocka_unit_test(a_quarter_is_replaced_at_a_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
