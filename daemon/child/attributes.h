/* SPDX-License-Identifier: MIT */
#pragma once

/* Process attributes of a pool, [Process] in its file: a fork server applies them to itself, before
 * it loads a module, and its workers inherit them. */

#include "process/preparation.h"

/* Applies all but the environment. Returns 0, or -errno with what could not be done in *ret_what.
 *
 * A change of user clears the parent-death signal (set it again) and makes the process one that
 * others of that user can not look into, ptrace(2), until it executes something: the fork server
 * stays so, since it speaks for the pool; its workers do not, but for those that run commands. */
int attributes_apply(const Preparation *p, const char **ret_what);
