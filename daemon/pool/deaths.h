/* SPDX-License-Identifier: MIT */
#pragma once

/* The last workers that died and were not asked to: for who asks what has been going on. */

#include "pool/obituary.h"

enum { DEATHS_KEPT = 16 };

typedef struct Death {
        usec_t at;
        char worker[80];
        pid_t pid;
        DeathCause cause;
        char words[256];
} Death;

typedef struct Deaths {
        Death ring[DEATHS_KEPT];
        uint64_t n; /* so far */
} Deaths;

/* After its verdict is known. */
void deaths_note(Deaths *d, const Worker *worker, usec_t now);

/* The i-th of those that are kept, 0 is the last; NULL: there is none. */
const Death *deaths_get(const Deaths *d, unsigned i);
