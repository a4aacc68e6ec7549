/* SPDX-License-Identifier: MIT */
#pragma once

/* A queue between processes, as Python's multiprocessing.Queue has it: many put, many get, in the
 * order of the puts.
 *
 * It lives in anonymous shared memory, bounded in bytes and in elements; there is no feeder thread:
 * an element that was put is there. A process that is killed at any moment, inside put or get too,
 * loses at the most its own element and holds up nobody.
 *
 * It is inherited by fork(), or handed on as a descriptor (brood_queue_fd(), brood_queue_open()).
 *
 * Functions return 0 or a negative errno: -ETIMEDOUT the queue stays full, or empty (Python:
 * queue.Full, queue.Empty), -EMSGSIZE an element could never fit, -EPIPE it was closed (for get:
 * and is empty). Times are microseconds; a negative timeout means for ever, 0 not to wait. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct BroodQueue BroodQueue;

/* Room for so many elements (0: only the bytes count) and so many bytes of them (0: 1 MiB; each
 * costs eight more, rounded up to eight) (Python: Queue(maxsize)). */
int brood_queue_new(BroodQueue **ret, size_t max_elements, size_t max_bytes);

/* One from a descriptor that brood_queue_fd() of another process was; taken over. -EBADMSG: it is
 * something else. */
int brood_queue_open(BroodQueue **ret, int fd);
int brood_queue_fd(const BroodQueue *queue);

/* Puts a copy at the end (Python: put(block, timeout), put_nowait()). */
int brood_queue_put(BroodQueue *queue, const void *bytes, size_t size, int64_t timeout_usec);
/* Takes the first; *ret to be freed, with a 0 byte behind it that does not count (Python: get()).
 */
int brood_queue_get(BroodQueue *queue, void **ret, size_t *ret_size, int64_t timeout_usec);
/* The same into memory of yours; -EMSGSIZE: it stays, *ret_size is its size. */
int brood_queue_get_into(BroodQueue *queue, void *to, size_t room, size_t *ret_size,
                         int64_t timeout_usec);

/* JSON values, as text in the queue. */
int brood_queue_put_json(BroodQueue *queue, const json_t *value, int64_t timeout_usec);
int brood_queue_get_json(BroodQueue *queue, json_t **ret, int64_t timeout_usec);

/* Elements in it at this moment (Python: qsize(); empty() and full() follow). */
size_t brood_queue_size(BroodQueue *queue);

/* Nothing can be put any more, by anybody; what is in it can be got (Python: close(), which closes
 * it for one process only). */
void brood_queue_close(BroodQueue *queue);

/* Waits until all that was put has been got *and* brood_queue_done() was called for each of it
 * (Python: JoinableQueue.join(), task_done()). What a dead process had got and not done counts as
 * done. -EPERM of done: more often than there were elements. */
int brood_queue_join(BroodQueue *queue, int64_t timeout_usec);
int brood_queue_done(BroodQueue *queue);

/* Forgets it here; it lives as long as somebody has it. What was got by it and is not done counts
 * as done. No other thread may be in a function of it. */
void brood_queue_free(BroodQueue *queue);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
