/* SPDX-License-Identifier: MIT */
#pragma once

/* The parts of the manual pages that are made from tables, as scdoc(5) source. */

#include <stdio.h>

#include "settings/table.h"

/* Writes text with what scdoc would take for markup escaped. */
void manual_text(FILE *out, const char *text);

/* Writes an entry for each setting of the section. */
void manual_section(FILE *out, const Setting *table, unsigned n, const char *section);

/* Writes an entry for each `type`, `method` or `error` of the text of an interface file: its
 * comment, then its definition. Returns how many. */
unsigned manual_members(FILE *out, const char *text, const char *keyword);
