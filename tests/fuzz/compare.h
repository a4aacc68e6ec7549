/* SPDX-License-Identifier: MIT */
#pragma once

/* What the scanner says about a text that it has accepted, held against what jansson says. Each
 * aborts where they differ. */

#include <jansson.h>

#include "varlink/scan.h"

/* One value at the cursor, of any kind, is this one. */
void compare_value(VarlinkCursor *c, const json_t *json);

/* A node of this use of a type is this value (NULL: it is not there). */
void compare_node(const VarlinkScan *scan, const VarlinkRef *ref, const VarlinkNode *node,
                  const json_t *json);

/* A string's bytes in the text are this string. */
void compare_string(Slice text, const json_t *json);
