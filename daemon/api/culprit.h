/* SPDX-License-Identifier: MIT */
#pragma once

/* Behind what a job waits for stands something that does not get on: another job, at the end of a
 * chain of jobs; the one that holds a semaphore; the run that keeps a worker busy. */

#include "api/client.h"

/* The last job of the chain of those that have to succeed first; NULL: it waits for none. */
const Job *culprit_of_chain(const Job *job);

/* The run that has gone on for longest of those that hold a unit of the semaphore, or, with NULL,
 * of a pool; NULL: there is none. */
const Slot *culprit_of_semaphore(const Api *api, const CoreSemaphore *semaphore);
const Slot *culprit_of_pool(const Pool *pool);

/* "worker images.3 has been at job 0192… (resize) for 3min"; without the id where the client does
 * not see the job's user, or for whoever it may be (NULL). Returns `to`. */
char *culprit_words(const Client *client, const Slot *slot, usec_t now, char *to, size_t size);
