/* SPDX-License-Identifier: MIT */
#pragma once

/* From the Spec of a call to the JobSpec of the core. */

#include "api/api.h"

/* A spec that was read: what it owns goes with spec_clear(). */
typedef struct ParsedSpec {
        JobSpec spec;
        char *unescaped_key; /* of unique_key, if it had escapes */
        Uuid *blockers;
        CoreSemaphore **units;
} ParsedSpec;

/* Reads one Spec (a struct node): `job` of the call or, with an index of 0 and more, that one of
 * `jobs`. Returns true, or false after the call was answered with the error that fits. */
bool spec_parse(const Request *r, const VarlinkNode *node, int index, ParsedSpec *ret);
void spec_clear(ParsedSpec *spec);
