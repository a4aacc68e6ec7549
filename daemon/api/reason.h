/* SPDX-License-Identifier: MIT */
#pragma once

/* Why a job is where it is, as people would say it. */

#include "api/api.h"

enum { REASON_SIZE = 1024 };

/* Of a job that is scheduled or blocked, or has ended with something to say. False: there is
 * nothing to add to the state. */
bool reason_write(const Job *job, char *to, size_t size);

/* Why. */
void why_job(const Request *r);
