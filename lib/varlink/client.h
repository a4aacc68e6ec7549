/* SPDX-License-Identifier: MIT */
#pragma once

/* The blocking driver: one connection to a Varlink service, for clients.
 *
 * Calls may be sent ahead; replies come in the order of the calls. A message that is received stays
 * valid until the next one is asked for or something is sent. */

#include <jansson.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "varlink/stream.h"

typedef struct VarlinkClient VarlinkClient;

/* Connects to a Unix socket: a path, or "@name" for an abstract one. `flags`: 0, or SOCK_NONBLOCK,
 * so that a full queue of who does not accept is not waited for. Returns a descriptor or -errno. */
int varlink_connect(const char *path, int flags);

/* A client of such a socket. Returns 0 or -errno. */
int varlink_client_new(VarlinkClient **ret, const char *path);
/* The same round a connected socket, which it then owns. */
int varlink_client_new_fd(VarlinkClient **ret, int fd);
void varlink_client_free(VarlinkClient *c);
DEFINE_CLEANUP(VarlinkClient, varlink_client_free);

/* The socket, to poll it. */
int varlink_client_fd(const VarlinkClient *c);

/* The buffer for calls, to be filled with varlink_write_call() and varlink_write_end(); flush sends
 * it, waiting where it must. Returns 0 or -errno (-EPIPE: the service has gone). */
Buffer *varlink_client_out(VarlinkClient *c);
int varlink_client_flush(VarlinkClient *c);

/* Flushes what is buffered so far, then sends one complete message with descriptors. */
int varlink_client_send_fds(VarlinkClient *c, Slice message, const int *fds, size_t n_fds);

/* The next message, without its NUL. Waits until `timeout` from now (USEC_INFINITY: for ever; 0:
 * not at all). Returns 1, 0 if the time is up, -ECONNRESET if the service has gone, or -errno. */
int varlink_client_receive(VarlinkClient *c, usec_t timeout, Slice *ret);

/* --- for those who may not wait --- */

/* Sends what the socket takes of the buffer. Returns 0 or -errno. */
int varlink_client_send(VarlinkClient *c);

/* Receives what is there, up to some size. Returns 0 if nothing is, 1, 2 if there may be more,
 * -ECONNRESET if the service has gone, or -errno. */
int varlink_client_fill(VarlinkClient *c);

/* The next message of what was received, as receive has it. Returns 1, 0, or -EMSGSIZE. */
int varlink_client_next(VarlinkClient *c, Slice *ret);

/* Bytes that were received and are no whole message yet. */
size_t varlink_client_unread(const VarlinkClient *c);

/* Longer messages are refused (-EMSGSIZE). At first INT32_MAX. */
void varlink_client_limit(VarlinkClient *c, size_t bytes);

/* One reply, parsed with jansson. *ret_error is the error's name or NULL, *ret the parameters (an
 * object, never NULL); both are to be freed. *ret_continues may be NULL. Returns as receive does;
 * -EBADMSG if it is no Varlink reply. */
int varlink_client_reply(VarlinkClient *c, usec_t timeout, json_t **ret, char **ret_error,
                         bool *ret_continues);

/* A call and its one reply. Steals `parameters` (NULL: none). Returns 0 or -errno. */
int varlink_client_call(VarlinkClient *c, const char *method, json_t *parameters, json_t **ret,
                        char **ret_error);

/* Writes a call into the buffer; steals `parameters`. flags: VARLINK_MORE, VARLINK_ONEWAY. */
int varlink_client_write(VarlinkClient *c, const char *method, json_t *parameters, unsigned flags);
