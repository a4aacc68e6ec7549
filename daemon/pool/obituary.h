/* SPDX-License-Identifier: MIT */
#pragma once

/* What is said of a worker that died: to the log in one line, and to each of its jobs in a death
 * certificate. */

#include "core/job.h"
#include "pool/worker.h"

/* What ended a worker that was not asked to leave: bounded, for those who count. */
#define DEATH_CAUSES(X)                                                                            \
        X(EXIT, "exit")               /* it ended by itself */                                     \
        X(SIGNAL, "signal")           /* it crashed */                                             \
        X(KILLED, "killed")           /* SIGKILL from outside */                                   \
        X(OOM, "out_of_memory")       /* SIGKILL by the kernel */                                  \
        X(TIMEOUT, "timeout")         /* of a job */                                               \
        X(CANCEL, "cancel")           /* of a job */                                               \
        X(PROTOCOL, "protocol")       /* it said what is no answer */                              \
        X(START, "start")             /* before it was ready */                                    \
        X(FORK_SERVER, "fork_server") /* with its fork server */

typedef enum DeathCause {
#define CAUSE(name, word) DEATH_##name,
        DEATH_CAUSES(CAUSE)
#undef CAUSE
                N_DEATH_CAUSES,
} DeathCause;

DeathCause obituary_cause(const Worker *worker);
const char *death_cause_name(DeathCause cause);

/* Why it ended, in words: "was killed by SIGKILL from outside". Returns `to`. */
char *obituary_words(const Worker *worker, char *to, size_t size);

/* The same, and the last line that it wrote: of one that did not start, that often says why. */
void obituary_start_words(const Worker *worker, char *to, size_t size);

/* Finds out, from the pages of its slots and what was asked of it, whose job it was, before the
 * jobs part from it. */
void obituary_find_culprit(Worker *worker);

/* Did another slot's job bring down the worker? */
static inline bool obituary_bystander(const Worker *worker, const Slot *slot)
{
        return worker->culprit.slot && worker->culprit.slot != slot;
}

/* The certificate for a job of that slot; NULL if memory ran out. Other users' jobs are not named.
 */
Certificate *obituary_certificate(const Worker *worker, const Slot *slot, const Job *job);

/* What the end of this worker means for its jobs. */
Outcome obituary_outcome(const Worker *worker);

/* The line in the log. */
void obituary_publish(Worker *worker, usec_t now);
