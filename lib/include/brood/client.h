/* SPDX-License-Identifier: MIT */
#pragma once

/* Submitting jobs to broodd from C, one call at a time.
 *
 *     BroodClient *c;
 *     char *result;
 *
 *     if (brood_client_open(&c, NULL) == 0 &&
 *         brood_client_run(c, "celsius", "{\"fahrenheit\":110}", &result) == 0)
 *             puts(result);
 *
 * Functions return 0, or a negative errno, or -EREMOTEIO when the daemon answered with an error or
 * the job did not succeed; brood_client_error() then says what it said. A client belongs to one
 * thread at a time. Strings that are returned are to be given to free(). */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BroodClient BroodClient;

/* Connects. `socket` NULL: $BROOD_SOCKET, else the user's daemon if its socket is there, else
 * /run/brood/brood.sock. */
int brood_client_open(BroodClient **ret, const char *socket);
void brood_client_close(BroodClient *client);

/* Hands in a job; `args` is the text of a JSON object, or NULL. *ret_id is its id. */
int brood_client_submit(BroodClient *client, const char *handler, const char *args, char **ret_id);

/* Waits for the end of a job, at most this many microseconds (negative: for ever; -ETIMEDOUT when
 * the time is up). *ret_result is the result of a job that succeeded, the text of a JSON object. */
int brood_client_wait(BroodClient *client, const char *id, int64_t timeout_usec, char **ret_result);

/* Both in one: submits and waits. */
int brood_client_run(BroodClient *client, const char *handler, const char *args, char **ret_result);

/* Any call of io.brood: `parameters` and *ret_reply are texts of JSON objects. */
int brood_client_call(BroodClient *client, const char *method, const char *parameters,
                      char **ret_reply);

/* Why the last call failed, in words; "" if it did not. Valid until the next call. */
const char *brood_client_error(const BroodClient *client);

#ifdef __cplusplus
}
#endif
