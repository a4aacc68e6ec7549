/* SPDX-License-Identifier: MIT */
#pragma once

/* One row of `top` on a page of its own: all that the scoreboard has of it. */

#include "ctl/top/table.h"

void top_page_append(Buffer *b, const TopModel *m, TopView v, const void *row);
