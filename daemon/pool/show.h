/* SPDX-License-Identifier: MIT */
#pragma once

/* What the scoreboard shows of pools, workers and slots: written as it changes (slots), or when
 * somebody says that it is time (pools). */

#include "pool/pool.h"

/* A worker has come or gone: its slots have places, or none. */
void show_worker_came(Worker *worker);
void show_worker_gone(Worker *worker);

/* Something of the worker, or of the run that it is at, is new. */
void show_worker(const Worker *worker);
void show_slot(const Slot *slot);

/* A pool has come, has new figures, or is gone. */
void show_pool_came(Pool *pool);
void show_pool(const Pool *pool);
void show_pool_gone(Pool *pool);
