/* SPDX-License-Identifier: MIT */
#pragma once

/* Messages between two processes, as Python's multiprocessing.Pipe has them.
 *
 * A connection carries messages, each as it was sent, however large; a message is bytes, a JSON
 * value or descriptors. An end is a socket: it can be polled, inherited (BroodProcessSpec.fds) or
 * sent through another connection. Nothing of a message is kept here before it is received.
 *
 * There is no lock: two processes or threads that send (or receive) large messages on the same end
 * at the same moment have to see to that themselves, as with Python's.
 *
 * Functions return 0 or a negative errno: -EPIPE nobody can receive any more (Python:
 * BrokenPipeError); -ECONNRESET end of file, nobody can send any more (EOFError); -EPROTO it ends
 * within a message (its sender was killed there), or what comes is none; -EMSGSIZE a message is
 * larger than the receiver allows; -EBADF this direction is not there (a one-way pipe: OSError; an
 * end that was opened from a descriptor says -EPIPE or -ECONNRESET). Times are microseconds; a
 * negative timeout means for ever, 0 not to wait. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct BroodConnection BroodConnection;

/* Two connected ends. `duplex`: both send and receive; else the first only receives and the second
 * only sends (Python: Pipe(duplex)). */
int brood_pipe(BroodConnection **ret_first, BroodConnection **ret_second, int duplex);

/* An end from a descriptor that brood_connection_fd() of another process was; taken over, also on
 * failure. -EBADMSG: it is something else. */
int brood_connection_open(BroodConnection **ret, int fd);

/* The descriptor: to be polled, inherited or sent; it belongs to the connection (Python: fileno()).
 */
int brood_connection_fd(const BroodConnection *connection);

/* Sends one message; returns when all of it is on its way, which may need the other side to receive
 * (Python: send_bytes()). */
int brood_send(BroodConnection *connection, const void *bytes, size_t size);

/* Receives one message; waits for it. *ret (to be freed, with a 0 byte behind it that does not
 * count) and *ret_size (Python: recv_bytes()). */
int brood_receive(BroodConnection *connection, void **ret, size_t *ret_size);

/* The same into memory of yours; returns the size, or -EMSGSIZE with the message dropped and
 * *ret_size its size (Python: recv_bytes_into(), BufferTooShort). */
int64_t brood_receive_into(BroodConnection *connection, void *to, size_t room, size_t *ret_size);

/* The largest message that is received; larger ones are -EMSGSIZE and end the connection. 0: no
 * limit (Python: maxlength=). */
void brood_connection_limit(BroodConnection *connection, size_t size);

/* A JSON value; borrowed, and a new reference. -EPROTO: the message is no JSON (Python: send(),
 * recv(), which pickle). */
int brood_send_json(BroodConnection *connection, const json_t *value);
int brood_receive_json(BroodConnection *connection, json_t **ret);

/* A message with descriptors, 1 to 16 of them; those of the sender stay its own, the receiver gets
 * new ones (CLOEXEC). *n_fds: room, then how many came. Bytes may go along (Python:
 * reduction.send_handle). -EXFULL: more came than there is room for, -EMFILE: than this process may
 * have; the message is dropped. */
int brood_send_fds(BroodConnection *connection, const int *fds, unsigned n_fds, const void *bytes,
                   size_t size);
int brood_receive_fds(BroodConnection *connection, int *fds, unsigned *n_fds, void **ret,
                      size_t *ret_size);

/* Is there a message, or the end of file, to be received? 1 yes, 0 not within this time, or -errno
 * (Python: poll()). */
int brood_poll(BroodConnection *connection, int64_t timeout_usec);

/* Closes this end (Python: close()). */
void brood_connection_free(BroodConnection *connection);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
