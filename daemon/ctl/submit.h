/* SPDX-License-Identifier: MIT */
#pragma once

/* Handing in one job. */

#include "ctl/ctl.h"

/* Submits a job to the handler; `args` is the text of an object. Prints its id, or with --wait its
 * result. `max_attempts` counts where no option says otherwise; 0: the pool's. Returns a status. */
int submit_job(Ctl *ctl, const char *handler, Slice args, int max_attempts);
