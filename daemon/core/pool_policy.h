/* SPDX-License-Identifier: MIT */
#pragma once

/* How many workers a pool should have. */

#include <stdbool.h>

typedef struct PoolCensus {
        unsigned active;   /* ready, and not a spare */
        unsigned spare;    /* ready, waiting to replace one */
        unsigned starting; /* not ready yet */
        unsigned min, spares; /* wanted */
        bool breaker_open;
} PoolCensus;

typedef struct PoolWish {
        unsigned promote; /* spares that should become active */
        unsigned demote;  /* active ones too many: they should leave */
        unsigned start;   /* workers to start */
        unsigned leave;   /* spares too many */
} PoolWish;

/* Scaling=static. */
PoolWish pool_wish(const PoolCensus *c);
