/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads everything that the store has into core, at start. */

#include "core/core.h"
#include "store/database.h"

/* Returns 0, or -1 with `error` filled: a row that makes no sense is one. */
int loader_run(sqlite3 *db, Core *core, char *error, size_t error_size);
