/* SPDX-License-Identifier: MIT */
#pragma once

/* A worker on a sheet, as inspect shows it. */

#include <jansson.h>

#include "base/buffer.h"

/* Appends the report of a reply to Inspect, in lines, with colours where stdout has them. */
void inspect_append(Buffer *b, const json_t *report);
