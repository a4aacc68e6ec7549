/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of core share and nobody else sees. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "core/core.h"
#include "core/table.h"
#include "core/ties.h"

/* --- core.c --- */

/* Queues to the supervisor. */
void core_request(Core *core, Job *job, JobRequest request);
void core_event(Core *core, Job *job, JobEvent event);
/* The store is told that the end of a job that runs was asked for. */
void core_mark(Core *core, Job *job);
/* The job shows up in a first state. */
void core_list(Core *core, Job *job, JobState state);
/* The one place where a listed job changes its state. It is in no heap afterwards. */
void core_set_state(Core *core, Job *job, JobState state);
/* Gives a job the state in which it waits just now. */
void core_place(Core *core, Job *job, usec_t now);
/* A job that is not to run just now is where its state wants it. */
void core_start_waiting(Core *core, Job *job);
/* Asks the store to let the job end so. */
void core_end_as(Core *core, Job *job, JobState state, const char *reason, usec_t now);
/* Its age counts from now, unless it has one. */
void core_give_order(Core *core, Job *job, usec_t now);
/* When a job that waits would expire; USEC_INFINITY: never, or it has begun. */
usec_t core_expiry(const Job *job);
/* The memory of one that has ended. */
uint64_t core_kept_size(const Job *job);
/* It has ended: among those that are kept. */
void core_keep(Core *core, Job *job);

/* --- claim.c --- */

void place_leave(Job *job);
void place_ready(Job *job);
/* Returns 0 or -ENOMEM. */
int place_arriving(Job *job);
/* The best `n` of the jobs that the handler's breaker holds back are ready. */
void handler_release(CoreHandler *handler, uint32_t n);
void claim_drop(Job *job);
void claim_return(Core *core, Job *job, usec_t now);
void claim_completed(Core *core, Job *job, bool durable, usec_t now);

/* --- admission.c --- */

/* A job from a spec, in the table of ids, counted nowhere. Returns 0 or -ENOMEM. */
int admission_make(Core *core, const JobSpec *s, CorePool *pool, bool large_args, Job **ret);
void admission_completed(Core *core, Job *job, bool durable, usec_t now);

/* --- keep.c --- */

void forget_completed(Core *core, Job *job, bool durable, usec_t now);

/* --- registry.c --- */

/* A job that waits goes to the pool that serves its handler now. */
void core_follow_handler(Job *job);
