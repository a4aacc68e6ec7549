/* SPDX-License-Identifier: MIT */
#pragma once

/* What a module is told of the worker that it is loaded into. */

/* Before `init`. `concurrency` is borrowed for good; NULL: process. */
void module_told(const char *concurrency, unsigned slots);
