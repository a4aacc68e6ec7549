/* SPDX-License-Identifier: MIT */
#pragma once

/* Figures of a process from /proc. */

#include <stdint.h>
#include <sys/types.h>

typedef struct ProcFigures {
        uint64_t memory_bytes; /* resident */
        uint64_t cpu_usec;     /* user and system */
} ProcFigures;

/* Zeroes for a process that is not there. */
void proc_figures(pid_t pid, ProcFigures *ret);
