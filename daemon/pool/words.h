/* SPDX-License-Identifier: MIT */
#pragma once

/* What a worker writes to its stdout and stderr, in the log, line by line.
 *
 * It comes through one pipe, beside the answers: a line is of the job that runs on the worker's
 * slot when it is read, and before a job's answer is taken what had come before it is read. Of runs
 * that stand in one line of short ones, a line may name the one before. Of a worker with several
 * slots nobody can tell whose it is: it names none. */

#include "pool/worker.h"

/* Takes n bytes of it. */
void words_take(Worker *worker, const char *bytes, size_t n);
/* The line that it has begun is not going on. */
void words_end(Worker *worker);
