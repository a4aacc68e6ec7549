/* SPDX-License-Identifier: MIT */
#pragma once

/* Random bytes from the kernel, drawn by the page: a call for each id would cost a system call. */

#include <stddef.h>
#include <stdint.h>

/* Fills to[0..n). Aborts if the kernel has no random bytes, which Linux does not let happen. A
 * child of fork() must not use what its parent has drawn: it calls entropy_forget() first. */
void entropy_fill(void *to, size_t n);
void entropy_forget(void);

static inline uint64_t entropy_u64(void)
{
        uint64_t v;

        entropy_fill(&v, sizeof(v));
        return v;
}
