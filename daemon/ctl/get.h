/* SPDX-License-Identifier: MIT */
#pragma once

/* A job on a sheet, as get shows it. */

#include "ctl/call.h"

/* Appends what the reply to Get says, in lines, and colours where stdout has them. */
void get_append(Buffer *b, const Reply *reply);
