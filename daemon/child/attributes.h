/* SPDX-License-Identifier: MIT */
#pragma once

/* Process attributes of a pool, [Process] in its file: a fork server applies them to itself, before
 * it loads a module, and its workers inherit them. */

#include "process/preparation.h"

/* Applies all but the environment. Returns 0, or -errno with what could not be done in *ret_what.
 */
int attributes_apply(const Preparation *p, const char **ret_what);
