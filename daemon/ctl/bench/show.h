/* SPDX-License-Identifier: MIT */
#pragma once

/* The figures of all models, for people and as JSON. */

#include <jansson.h>

#include "ctl/bench/models.h"

/* A table, and below it what its columns mean. */
void bench_show_table(const BenchPlan *plan, const BenchFigures *figures, unsigned n);

/* All of it, one object, to be freed; NULL if memory ran out. */
json_t *bench_show_json(const BenchPlan *plan, const BenchFigures *figures, unsigned n);
