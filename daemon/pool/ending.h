/* SPDX-License-Identifier: MIT */
#pragma once

/* A line of the log for each job that ends badly: failed for good, quarantined, expired. Success
 * and cancels are silent.
 *
 * Jobs may end so by the hundred thousand at once, and a journal is no place for that, nor is the
 * loop: in a second ENDING_LINES of them are named, and then one line says how many more there
 * were. */

#include "core/core.h"

enum { ENDING_LINES = 100 };

typedef struct EndingLog {
        usec_t since;     /* when this second began */
        uint32_t named;   /* lines in it */
        uint64_t unnamed; /* jobs in it without a line */
} EndingLog;

/* A job has ended, somehow. */
void ending_note(EndingLog *log, const Job *job, usec_t now);
/* The second may be over; with `all` it is. */
void ending_tell(EndingLog *log, bool all, usec_t now);
/* When there will be something to tell; USEC_INFINITY: not yet known. */
usec_t ending_due(const EndingLog *log);
