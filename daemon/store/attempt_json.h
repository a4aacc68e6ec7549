/* SPDX-License-Identifier: MIT */
#pragma once

/* Attempts as the interface spells them; clients are told so, and the store keeps them so. */

#include "base/buffer.h"
#include "core/core.h"

void attempt_write(Buffer *b, const Attempt *a);

/* Adds the attempts of such an array, which have all ended, to a job. False if it is none, or
 * memory ran out. */
bool attempts_read(Core *core, Job *job, Slice array);
