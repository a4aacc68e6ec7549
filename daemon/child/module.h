/* SPDX-License-Identifier: MIT */
#pragma once

/* Loading a handler module (see brood/handler.h), or naming a built-in one. */

#include <stddef.h>

#include "brood/handler.h"
#include "process/preparation.h"

/* Loads the preparation's module or finds its built-in one, and checks that it is what it has to be
 * and offers the handlers that are asked for. Returns 0, or -EINVAL with why in error[0..size). The
 * module stays loaded for good. */
int module_find(const Preparation *p, const BroodModule **ret, char *error, size_t size);
/* The same, and that it can do what Concurrency= asks for. */
int module_open(const Preparation *p, const BroodModule **ret, char *error, size_t size);

/* Can the module, and each handler that is asked for, do what the preparation's concurrency asks
 * for? Part of module_open(). Returns as that; the words begin with the setting. */
int module_check_concurrency(const Preparation *p, const BroodModule *module, char *error,
                             size_t size);

/* Runs `init`; a module that offers its handlers only then is checked for them now, and `handlers`
 * is set. Returns as module_open(). */
int module_init(const Preparation *p, const BroodModule *module, char *error, size_t size);

/* The built-in `exec`. `p` must outlive its use. */
const BroodModule *exec_module(const Preparation *p);
