/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls that wait for jobs. */

#include "api/client.h"

/* Submit, when the job is admitted: its reply now or, with `wait`, at its end; with `more`, replies
 * as it changes. */
void wait_submitted(const Request *r, Job *job, bool duplicate, bool wait);

/* SubmitMany, when all are admitted. */
void wait_all_submitted(const Request *r, Job **jobs, unsigned n);

/* The job as it is now, once its payload is there. */
void wait_payload(const Request *r, Job *job);

/* The state of a job whose end, or new budget, was asked for, when that is durable. */
void wait_cancelled(const Request *r, Job *job);
void wait_retried(const Request *r, Job *job);

/* Wait and WaitMany. */
void wait_job(const Request *r);
void wait_many(const Request *r);

/* Does the call, which waits here, tell of a job of anybody but this user? */
bool wait_shows_others(const VarlinkCall *call, uint32_t uid);

/* The call's connection goes. */
void wait_gone(VarlinkCall *call);

/* Replies of WaitMany that had no room go on. */
void wait_streams_go_on(Client *client);

/* Tells those who wait for the job. */
void wait_notify(Job *job, unsigned events);
