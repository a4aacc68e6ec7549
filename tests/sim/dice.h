/* SPDX-License-Identifier: MIT */
#pragma once

/* Chance from a seed: the same one gives the same world. */

#include <stdbool.h>
#include <stdint.h>

typedef struct Dice {
        uint64_t state;
} Dice;

/* splitmix64 */
static inline uint64_t dice_u64(Dice *d)
{
        uint64_t z = d->state += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

/* 0 to n - 1 */
static inline unsigned dice_below(Dice *d, unsigned n)
{
        return (unsigned)(((dice_u64(d) >> 32) * n) >> 32);
}

static inline bool dice_permille(Dice *d, unsigned permille)
{
        return dice_below(d, 1000) < permille;
}
