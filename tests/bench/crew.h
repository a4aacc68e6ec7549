/* SPDX-License-Identifier: MIT */
#pragma once

/* Processes that begin together, each with its share of some jobs, timed to the end of the last. */

#include <stdint.h>

typedef struct CrewTask {
        /* Run in each process: makes ready (connects), calls crew_wait(), then does `jobs` jobs. */
        void (*run)(const struct CrewTask *task, long jobs);
        const char *socket;
        const char *handler;
        const char *durability; /* as the interface spells it */
        long in_flight;         /* jobs of one process at a time */
} CrewTask;

/* On CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* Returns when all are ready and the clock runs. */
void crew_wait(void);

/* Shares `jobs` among 1 to 64 processes and returns the seconds from the common start to the end of
 * the last. Ends the program if one of them fails, or after four minutes. */
double crew_run(unsigned processes, long jobs, const CrewTask *task);
