/* SPDX-License-Identifier: MIT */
#pragma once

/* Whom a crash hits. */

#include "ctl/bench/daemon.h"

/* Has slots - 1 jobs wait, and one more crash. *ret_hit: how many of all these have lost their
 * attempt to the death of a worker. */
bool bench_crash(BenchDaemon *d, const char *sleep, const char *suffix, unsigned slots,
                 unsigned *ret_hit);
