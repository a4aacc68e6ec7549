/* SPDX-License-Identifier: MIT */
#pragma once

/* Small words that every file uses. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
/* The end of the noun in "%u job%s". */
#define PLURAL(n) ((n) == 1 ? "" : "s")
#define PRINTF(string, first) __attribute__((format(printf, string, first)))
#define UNUSED __attribute__((unused))

/* A claim about our own code, checked in release builds too. Never for what a client, a worker or
 * the kernel can cause. */
#define ASSERT(claim)                                                                              \
        do {                                                                                       \
                if (__builtin_expect(!(claim), 0)) {                                               \
                        fprintf(stderr, "<2>%s:%d: broken invariant: %s\n", __FILE__, __LINE__,    \
                                #claim);                                                           \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)
