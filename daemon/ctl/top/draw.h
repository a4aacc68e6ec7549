/* SPDX-License-Identifier: MIT */
#pragma once

/* Draws what the user of `top` looks at, on a screen of any size. */

#include "ctl/top/ui.h"

/* Also finds out how many lines there are for rows, and scrolls to the cursor. */
void top_draw(TopUi *ui, const TopModel *m);
