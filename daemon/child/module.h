/* SPDX-License-Identifier: MIT */
#pragma once

/* Loading a handler module (see brood/handler.h), or naming a built-in one. */

#include <stddef.h>

#include "brood/handler.h"
#include "process/preparation.h"

/* Loads the preparation's module or finds its built-in one, and checks that it is what it has to be
 * and offers the handlers that are asked for. Returns 0, or -EINVAL with why in error[0..size). The
 * module stays loaded for good. */
int module_open(const Preparation *p, const BroodModule **ret, char *error, size_t size);

/* Runs `init`. Returns as module_open(). */
int module_init(const BroodModule *module, const json_t *settings, char *error, size_t size);

/* The built-in `exec`. `p` must outlive its use. */
const BroodModule *exec_module(const Preparation *p);
