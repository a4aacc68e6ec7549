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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_wish_follows_from_the_census),
                cmocka_unit_test(every_pool_comes_to_rest_with_what_is_wanted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
