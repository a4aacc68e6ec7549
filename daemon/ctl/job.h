/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading jobs, attempts and other objects of the daemon's replies. */

#include "ctl/call.h"

/* Members; "" or 0 where they are not there. */
const char *get_string(const json_t *object, const char *name);
int64_t get_int(const json_t *object, const char *name);
static inline usec_t get_usec(const json_t *object, const char *name)
{
        return (usec_t)get_int(object, name);
}

bool job_succeeded(const json_t *job);

/* Its last attempt, or NULL. */
const json_t *job_last_attempt(const json_t *job);

/* Appends why the job did not succeed: "failed: …". */
void job_append_reason(Buffer *b, const json_t *job);
void job_say_reason(const json_t *job);

/* Appends how an attempt ended: "worker died: killed by SIGKILL, for lack of memory". */
void attempt_append_end(Buffer *b, const json_t *attempt);

/* Prints the result of the job in a reply as one line. */
void job_print_result(const Reply *r);
