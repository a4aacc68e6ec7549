/* SPDX-License-Identifier: MIT */
#pragma once

/* A pager between stdout and the terminal. */

#include "ctl/options.h"

/* Puts $PAGER or less(1) in the place of stdout, if that is a terminal and --no-pager and --json
 * are not given; where there is no pager, nothing changes. */
void pager_open(const Options *o);

/* Ends stdout and waits for the pager to be quit, if there is one. */
void pager_close(void);
