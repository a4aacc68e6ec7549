/* SPDX-License-Identifier: MIT */
#pragma once

/* What the store has of a job: written as daemon/store/writer.c does, read as loader.c does. */

#include "world.h"

SimText text_copy(SimText from);

void row_free(SimRow *row);
/* An admission, a claim, one that is given back, or a settlement. */
void row_write(World *w, SimRow *row, const StoreBatch *b, const StoreItem *item);
/* One that had to succeed first has. */
void row_met(SimRow *row, const Uuid *blocker, usec_t now);

void row_load(World *w, const SimRow *row);
void row_load_edges(World *w, const SimRow *row);
