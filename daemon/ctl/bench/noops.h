/* SPDX-License-Identifier: MIT */
#pragma once

/* What the daemon itself takes: no-op jobs in C, in memory and on the disk. */

#include "ctl/bench/models.h"
#include "ctl/ctl.h"

/* Jobs per second with many in flight; how long one takes that is alone. `directory`: where the
 * store is; NULL: where the rest is. Both return a status. */
int bench_throughput(const Ctl *ctl, const BenchPlan *plan, const char *directory);
int bench_latency(const Ctl *ctl, const BenchPlan *plan, const char *directory);
