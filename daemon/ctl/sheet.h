/* SPDX-License-Identifier: MIT */
#pragma once

/* A thing on a sheet, for people: lines of a label and what stands behind it, in the manner of
 * `systemctl status`. */

#include <jansson.h>

#include "ctl/print.h"

enum { SHEET_LABEL = 12, SHEET_BAR = 12 }; /* columns */

/* "       Label: text", control characters escaped. */
void sheet_line(Buffer *b, const char *label, const char *format, ...) PRINTF(3, 4);

/* "       Label: Mon 2030-01-07 10:00:00 CET (5min ago)"; nothing if the member is not there. */
void sheet_time(Buffer *b, const char *label, const json_t *object, const char *name);

/* A bar of SHEET_BAR columns, as full as part is of whole. */
void sheet_bar(Buffer *b, double part, double whole);
