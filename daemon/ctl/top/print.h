/* SPDX-License-Identifier: MIT */
#pragma once

/* `top` where there is no screen: all tables as text, or one JSON object. */

#include "ctl/ctl.h"
#include "ctl/top/model.h"

void top_print_text(const TopModel *m);

/* Returns a status. */
int top_print_json(const TopModel *m);
