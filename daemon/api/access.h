/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may do what. Whoever can connect may submit, and sees and ends its own jobs; root and the
 * daemon's own user may do everything. */

#include <stdbool.h>
#include <stdint.h>

bool access_operate(uint32_t uid);
