/* SPDX-License-Identifier: MIT */
#pragma once

/* Where jobs are found: by id, by unique key, by time. Inside of core. */

#include "core/core.h"

/* Enters a new job under its id. Returns 0 or -ENOMEM. */
int table_add_id(Core *core, Job *job);

/* The user's job with this id, whatever its state; NULL: none. */
Job *table_find(Core *core, const Uuid *id, uint32_t uid);
/* The user's open job of this handler with this key; NULL: none. */
Job *table_find_key(Core *core, const CoreHandler *handler, Slice key, uint32_t uid);

/* Takes the job's key (if it has one); false if another open job has it, or memory ran out. */
bool table_take_key(Core *core, Job *job);
/* The key is free again, if the job had it. */
void table_drop_key(Core *core, Job *job);

/* Wakes the job at this time; 0: not. */
void table_set_due(Core *core, Job *job, usec_t due);
