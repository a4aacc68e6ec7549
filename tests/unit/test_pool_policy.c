/* SPDX-License-Identifier: MIT */

#include "core/pool_policy.h"

#include "unit.h"

static void the_wish_follows_from_the_census(void **state UNUSED)
{
        static const struct {
                const char *name;
                PoolCensus census; /* active, spare, starting, min, spares, breaker_open */
                PoolWish wish;     /* promote, demote, start, leave */
        } cases[] = {
                { "nothing wanted", { 0, 0, 0, 0, 0, false }, { 0, 0, 0, 0 } },
                { "an empty pool starts all", { 0, 0, 0, 4, 1, false }, { 0, 0, 5, 0 } },
                { "the first ones are active", { 0, 2, 3, 4, 1, false }, { 2, 0, 0, 0 } },
                { "complete", { 4, 1, 0, 4, 1, false }, { 0, 0, 0, 0 } },
                { "one died: its spare takes over", { 3, 1, 0, 4, 1, false }, { 1, 0, 1, 0 } },
                { "one died without a spare", { 3, 0, 1, 4, 1, false }, { 0, 0, 1, 0 } },
                { "all are on their way", { 0, 0, 5, 4, 1, false }, { 0, 0, 0, 0 } },
                { "two died, one spare", { 2, 1, 0, 4, 1, false }, { 1, 0, 2, 0 } },
                { "scaled down", { 6, 1, 0, 4, 1, false }, { 0, 2, 0, 0 } },
                { "scaled down to nothing", { 3, 2, 0, 0, 0, false }, { 0, 3, 0, 2 } },
                { "scaled up", { 2, 1, 0, 5, 1, false }, { 1, 0, 3, 0 } },
                { "too many spares", { 4, 3, 0, 4, 1, false }, { 0, 0, 0, 2 } },
                { "spares are promoted before they are too many",
                  { 2, 3, 0, 4, 1, false },
                  { 2, 0, 0, 0 } },
                { "more start than are wanted", { 4, 1, 3, 4, 1, false }, { 0, 0, 0, 0 } },
                { "too many active, too few spares", { 6, 0, 0, 4, 2, false }, { 0, 2, 2, 0 } },
                { "an open breaker lets one try", { 0, 0, 0, 4, 1, true }, { 0, 0, 1, 0 } },
                { "but not a second", { 0, 0, 1, 4, 1, true }, { 0, 0, 0, 0 } },
                { "an open breaker keeps what is good", { 3, 1, 0, 4, 1, true }, { 1, 0, 1, 0 } },
                { "an open breaker of a complete pool", { 4, 1, 0, 4, 1, true }, { 0, 0, 0, 0 } },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                PoolWish w = pool_wish(&cases[i].census);

                CHECK(w.promote == cases[i].wish.promote, cases[i].name);
                CHECK(w.demote == cases[i].wish.demote, cases[i].name);
                CHECK(w.start == cases[i].wish.start, cases[i].name);
                CHECK(w.leave == cases[i].wish.leave, cases[i].name);
        }
}

/* Does the wish, as if every start came off. */
static void fulfil(PoolCensus *c, const PoolWish *w)
{
        c->active += w->promote;
        c->active -= w->demote;
        c->spare -= w->promote + w->leave;
        c->spare += w->start + c->starting;
        c->starting = 0;
}

static void every_pool_comes_to_rest_with_what_is_wanted(void **state UNUSED)
{
        for (unsigned i = 0; i < 6 * 6 * 6 * 6 * 4; i++) {
                PoolCensus c = { i % 6, i / 6 % 6, i / 36 % 6, i / 216 % 6, i / 1296, false };
                PoolCensus first = c;
                PoolWish w = { 0 };

                for (int step = 0; step < 4; step++) {
                        w = pool_wish(&c);
                        assert_true(w.promote + w.leave <= c.spare && w.demote <= c.active);
                        fulfil(&c, &w);
                }
                w = pool_wish(&c);
                if (w.promote || w.demote || w.start || w.leave || c.active != c.min ||
                    c.spare != c.spares)
                        fail_msg("active=%u spare=%u starting=%u min=%u spares=%u never rests",
                                 first.active, first.spare, first.starting, first.min,
                                 first.spares);
        }
}

static void bounds_follow_from_the_scaling(void **state UNUSED)
{
        static const struct {
                PoolScaling scaling;
                unsigned min, max;
                PoolBounds bounds;
        } cases[] = {
                { POOL_STATIC, 2, 8, { 2, 2 } },   { POOL_STATIC, 10, 8, { 10, 10 } },
                { POOL_STATIC, 0, 8, { 0, 0 } },   { POOL_DYNAMIC, 2, 8, { 2, 8 } },
                { POOL_DYNAMIC, 9, 8, { 9, 9 } },  { POOL_DYNAMIC, 0, 8, { 0, 8 } },
                { POOL_ONDEMAND, 2, 8, { 0, 8 } }, { POOL_ONDEMAND, 0, 1, { 0, 1 } },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                PoolBounds b = pool_bounds(cases[i].scaling, cases[i].min, cases[i].max);

                assert_int_equal(b.min, cases[i].bounds.min);
                assert_int_equal(b.max, cases[i].bounds.max);
        }
}

/* One after the other, on one aim: the time in ms, what there is, and what follows. */
typedef struct AimStep {
        unsigned ms;
        uint64_t waiting;
        unsigned active, starting, idle_long;
        unsigned target;
        unsigned again; /* ms; 0: never */
} AimStep;

static void check_steps(const char *name, PoolNeed n, const AimStep *steps, size_t count)
{
        const usec_t begin = 1000 * USEC_PER_SEC;
        PoolAim aim = { 0 };

        for (size_t i = 0; i < count; i++) {
                const AimStep *s = &steps[i];
                usec_t again, wanted = s->again ? begin + s->again * USEC_PER_MSEC : USEC_INFINITY;

                n.waiting = s->waiting;
                n.active = s->active;
                n.starting = s->starting;
                n.idle_long = s->idle_long;
                again = pool_aim(&aim, &n, begin + s->ms * USEC_PER_MSEC);
                if (aim.target != s->target || again != wanted)
                        fail_msg("%s, step %zu: target %u, not %u; again in %lld ms, not %u", name,
                                 i, aim.target, s->target,
                                 again == USEC_INFINITY
                                         ? 0LL
                                         : (long long)((again - begin) / USEC_PER_MSEC),
                                 s->again);
        }
}
#define CHECK_STEPS(need, ...)                                                                     \
        do {                                                                                       \
                static const AimStep steps[] = { __VA_ARGS__ };                                    \
                check_steps(__func__, need, steps, ELEMENTS(steps));                               \
        } while (0)

static void a_static_pool_aims_at_one_number(void **state UNUSED)
{
        const PoolNeed n = { .bounds = { 3, 3 }, .slots = 1 };

        CHECK_STEPS(n, { 0, 0, 0, 0, 0, 3, 0 }, { 10, 100, 3, 0, 0, 3, 0 },
                    { 20, 0, 3, 0, 3, 3, 0 });
}

static void a_dynamic_pool_grows_twice_as_fast_each_second(void **state UNUSED)
{
        const PoolNeed n = { .bounds = { 2, 100 }, .slots = 1, .in_steps = true };

        CHECK_STEPS(n, { 0, 0, 0, 2, 0, 2, 0 },       /* it starts with the fewest */
                    { 10, 500, 2, 0, 0, 3, 1010 },    /* a rush: one more at once */
                    { 20, 500, 2, 1, 0, 3, 1010 },    /* not a second one before its time */
                    { 500, 500, 3, 0, 0, 3, 1010 },
                    { 1010, 500, 3, 0, 0, 5, 2010 },  /* 2 in the next second */
                    { 2010, 500, 5, 0, 0, 9, 3010 },  /* 4 */
                    { 3010, 500, 9, 0, 0, 17, 4010 }, { 4010, 500, 17, 0, 0, 33, 5010 },
                    { 5010, 500, 33, 0, 0, 65, 6010 },
                    { 6010, 500, 65, 0, 0, 97, 7010 },    /* never more than 32 */
                    { 7010, 500, 97, 0, 0, 100, 0 },      /* up to the most */
                    { 8010, 500, 100, 0, 0, 100, 0 }, { 9000, 0, 100, 0, 0, 100, 0 },
                    { 9500, 0, 100, 0, 60, 40, 0 },       /* who idles for long goes */
                    { 9600, 0, 40, 0, 40, 2, 0 },         /* but not the fewest */
                    { 9700, 9, 2, 0, 0, 3, 10700 });      /* the next rush begins with one */
}

static void a_dynamic_pool_starts_no_more_than_the_jobs_need(void **state UNUSED)
{
        const PoolNeed n = { .bounds = { 1, 50 }, .slots = 4, .in_steps = true };

        CHECK_STEPS(n, { 0, 1, 1, 0, 0, 2, 0 },  /* one job, one worker */
                    { 5, 4, 1, 1, 0, 2, 0 },     /* the one that comes has four slots */
                    { 6, 5, 1, 1, 0, 2, 1000 },  /* a fifth job has none */
                    { 1000, 5, 1, 1, 0, 3, 0 }); /* only one more, though two might be started */
}

static void an_ondemand_pool_starts_what_waits_at_once(void **state UNUSED)
{
        const PoolNeed n = { .bounds = { 0, 4 }, .slots = 1 };

        CHECK_STEPS(n, { 0, 0, 0, 0, 0, 0, 0 },          /* nothing waits: none */
                    { 1, 1, 0, 0, 0, 1, 0 },             /* a job: one */
                    { 2, 1, 0, 1, 0, 1, 0 },             /* which is on its way */
                    { 3, 3, 0, 1, 0, 3, 0 },             /* two more */
                    { 4, 90, 0, 3, 0, 4, 0 },            /* up to the most */
                    { 5, 86, 4, 0, 0, 4, 0 }, { 6, 0, 4, 0, 0, 4, 0 },
                    { 7, 2, 4, 0, 2, 4, 0 },             /* jobs wait: nobody goes */
                    { 8, 0, 4, 0, 3, 1, 0 }, { 9, 0, 1, 0, 1, 0, 0 });
}

static void who_is_not_there_need_not_come_when_nothing_waits(void **state UNUSED)
{
        const PoolNeed n = { .bounds = { 0, 4 }, .slots = 1 };

        CHECK_STEPS(n, { 0, 3, 0, 0, 0, 3, 0 }, { 1, 0, 1, 1, 0, 2, 0 }, { 2, 0, 0, 0, 0, 0, 0 });
}

static void new_bounds_hold_at_once(void **state UNUSED)
{
        PoolAim aim = { .target = 7 };
        PoolNeed n = { .bounds = { 1, 3 }, .slots = 1, .active = 7, .waiting = 5 };

        assert_int_equal(pool_aim(&aim, &n, 1), USEC_INFINITY);
        assert_int_equal(aim.target, 3);
        n.bounds = (PoolBounds){ 5, 9 };
        n.waiting = 0;
        assert_int_equal(pool_aim(&aim, &n, 1), USEC_INFINITY);
        assert_int_equal(aim.target, 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bounds_follow_from_the_scaling),
                cmocka_unit_test(a_static_pool_aims_at_one_number),
                cmocka_unit_test(a_dynamic_pool_grows_twice_as_fast_each_second),
                cmocka_unit_test(a_dynamic_pool_starts_no_more_than_the_jobs_need),
                cmocka_unit_test(an_ondemand_pool_starts_what_waits_at_once),
                cmocka_unit_test(who_is_not_there_need_not_come_when_nothing_waits),
                cmocka_unit_test(new_bounds_hold_at_once),
                cmocka_unit_test(the_wish_follows_from_the_census),
                cmocka_unit_test(every_pool_comes_to_rest_with_what_is_wanted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
