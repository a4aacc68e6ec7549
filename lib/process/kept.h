/* SPDX-License-Identifier: MIT */
#pragma once

/* Descriptors of this library that a forked child keeps: those of objects that it inherits with the
 * memory (semaphores, queues, shared memory). All others that nobody named are closed there. */

#include <stddef.h>

/* From now on, and no longer. Never fails; without memory a child may lack it. */
void kept_add(int fd);
void kept_remove(int fd);

/* In a forked child: closes every descriptor above 2 but those that are kept and these. */
void kept_close_others(const int *fds, size_t n);
