/* SPDX-License-Identifier: MIT */
#pragma once

/* What the jobs of a worker write, in the journal: the worker sends it itself, line by line, with
 * the job's fields, so that `journalctl BROOD_JOB=ID` shows it.
 *
 * A line is sent when it is complete, when it has JOURNAL_LINE_MAX bytes, or when its job ends;
 * empty ones are not. stdout is of level info, stderr of level notice. A journald that is slower
 * than a job slows it down by OUTPUT_LOG_PATIENCE at the most; one that hangs, by
 * OUTPUT_LOG_HANG once. What then finds no room is lost, counted, and told in one line as soon as
 * there is room. */

#include "base/cleanup.h"
#include "base/clock.h"
#include "ops/journal.h"
#include "process/preparation.h"
#include "worker/job.h"

#define OUTPUT_LOG_PATIENCE USEC_PER_SEC
#define OUTPUT_LOG_HANG     (USEC_PER_SEC / 10)

typedef struct OutputLine {
        size_t n;
        char bytes[JOURNAL_LINE_MAX];
} OutputLine;

typedef struct OutputLog {
        JobLog hook;
        int fd;           /* a socket to journald */
        const char *pool;
        usec_t patience;  /* what is left of it for the job that runs */
        bool hangs;       /* it was waited for in vain; nobody waits until something gets through */
        uint64_t lost;    /* lines that nobody was told of yet */
        OutputLine lines[JOB_STREAMS];
} OutputLog;

/* A log that sends by a socket of its own or, where there is no way to journald from here, by
 * `inherited`, which is its own from now on. Returns it, or NULL if memory ran out. */
OutputLog *output_log_new(const char *pool, int inherited);
void output_log_free(OutputLog *log);
DEFINE_CLEANUP(OutputLog, output_log_free);
