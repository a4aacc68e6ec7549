/* SPDX-License-Identifier: MIT */
#pragma once

/* The capabilities of this thread, capabilities(7); a set has bit N for capability N. */

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>

/* Those in effect; none where that cannot be found out. */
uint64_t capabilities_effective(void);

static inline bool capabilities_have(uint64_t set, int capability)
{
        return set >> capability & 1;
}

/* Gives all of them up, also those that a program which is executed would get as ambient ones.
 * Returns 0 or -errno. */
int capabilities_drop(void);
