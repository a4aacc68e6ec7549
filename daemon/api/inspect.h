/* SPDX-License-Identifier: MIT */
#pragma once

/* Inspect: what the kernel says of a worker, and what we know of it. */

#include "api/api.h"

/* The method; answered when the look into the worker is done. */
void inspect_worker(const Request *r);

/* The call's connection goes. */
void inspect_gone(VarlinkCall *call);
