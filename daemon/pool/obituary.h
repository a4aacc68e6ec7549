/* SPDX-License-Identifier: MIT */
#pragma once

/* What is said of a worker that died: to the log in one line, and to each of its jobs in a death
 * certificate. */

#include "core/job.h"
#include "pool/worker.h"

/* Why it ended, in words: "was killed by SIGKILL from outside". Returns `to`. */
char *obituary_words(const Worker *worker, char *to, size_t size);

/* The certificate for a job of it; NULL if memory ran out. */
Certificate *obituary_certificate(const Worker *worker);

/* What the end of this worker means for its jobs. */
Outcome obituary_outcome(const Worker *worker);

/* The line in the log. */
void obituary_publish(Worker *worker, usec_t now);
