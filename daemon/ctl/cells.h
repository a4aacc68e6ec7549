/* SPDX-License-Identifier: MIT */
#pragma once

/* Cells of a table from members of a reply. */

#include <jansson.h>

#include "ctl/table.h"

/* A number; the strings of an array, with blanks between them. */
void int_cell(Table *t, const json_t *object, const char *name);
void words_cell(Table *t, const json_t *list);
