/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

/* Prints a table of pools, indented by so many blanks. */
void pools_print(const json_t *pools, unsigned indent);
