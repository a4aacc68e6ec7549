/* SPDX-License-Identifier: MIT */
#pragma once

/* Memory that several processes see, as Python's multiprocessing.Value, Array and shared_memory
 * have it.
 *
 * A BroodShared is a piece of anonymous memory (memfd) that is mapped here; it is inherited by
 * fork(), or handed on as a descriptor. It has no name, so nothing is left when its processes have
 * died. It may lie at another address in another process: keep offsets in it, not pointers.
 *
 * A BroodHeap is an allocator in such a piece: blocks can be made and freed by every process that
 * has it. A process that is killed within leaves the heap usable; blocks that it had stay
 * allocated, as memory does that nobody frees.
 *
 * Functions return 0 or a negative errno. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct BroodShared BroodShared;

/* So many bytes of zeros, which can not become more or less (Python: RawArray,
 * SharedMemory(create=True)). -ENOMEM, -EINVAL (0). */
int brood_shared_new(BroodShared **ret, size_t size);

/* One from a descriptor that brood_shared_fd() of another process was; taken over, also on failure.
 * `readonly`: mapped so. -EINVAL: it is no memory, or such as could shrink; -EPERM: it is sealed,
 * and not to be opened but readonly. */
int brood_shared_open(BroodShared **ret, int fd, int readonly);
int brood_shared_fd(const BroodShared *shared);

/* Where it is mapped here, and how many bytes it has (Python: buf, size). */
void *brood_shared_data(const BroodShared *shared);
size_t brood_shared_size(const BroodShared *shared);

/* Whoever opens it from now on can only read it, and it can not change its size; this mapping stays
 * writable (F_SEAL_FUTURE_WRITE). */
int brood_shared_seal(BroodShared *shared);

/* Unmaps it and forgets it here; it lives as long as somebody has it (Python: close(); there is
 * nothing to unlink()). */
void brood_shared_free(BroodShared *shared);

/* One value or array with a lock of its own (Python: Value(…), Array(…), with .get_lock()): the
 * lock is recursive; lock returns BROOD_OWNER_DIED (brood/semaphore.h) if its last owner died in
 * it. */
typedef struct BroodValue BroodValue;

/* n elements of zeros, aligned to 64. -EINVAL: no element, or of no size; -ENOMEM. */
int brood_value_new(BroodValue **ret, size_t element_size, size_t n);
/* As brood_semaphore_open() has it. */
int brood_value_open(BroodValue **ret, int fd);
int brood_value_fd(const BroodValue *value);
/* Where an element is mapped here, and how many there are (Python: value, [i], len()). */
void *brood_value_at(const BroodValue *value, size_t i); /* NULL: beyond the end */
size_t brood_value_length(const BroodValue *value);
/* As brood_semaphore_acquire() and _release() of a recursive lock: -ETIMEDOUT, -EPERM. */
int brood_value_lock(BroodValue *value, int64_t timeout_usec);
int brood_value_unlock(BroodValue *value);
/* Forgets it here; if it was locked by it, the next owner is told BROOD_OWNER_DIED. */
void brood_value_free(BroodValue *value);

/* --- blocks (Python: multiprocessing.heap.Heap, BufferWrapper) --- */

typedef struct BroodHeap BroodHeap;

/* An allocator over so many bytes, which do not grow; each block costs 16 of them, and at least 32
 * in all. -EINVAL (0), -ENOMEM. */
int brood_heap_new(BroodHeap **ret, size_t size);
/* Taken over, also on failure. -EBADMSG: it is something else. */
int brood_heap_open(BroodHeap **ret, int fd);
int brood_heap_fd(const BroodHeap *heap);

/* A block of zeros, aligned to 16; *ret is its offset, the same in every process; 0 is no block.
 * -ENOMEM: there is no such piece; -EBADMSG, of both: somebody has written beyond a block, and the
 * heap can not be used any more. */
int brood_heap_alloc(BroodHeap *heap, size_t size, uint64_t *ret);
/* -EINVAL: no block begins there (also: freed before). 0 is freed harmlessly. */
int brood_heap_release(BroodHeap *heap, uint64_t block);
/* Where it is in this process; NULL: no block begins there. */
void *brood_heap_at(const BroodHeap *heap, uint64_t block);
/* Bytes in blocks, with what they cost. */
size_t brood_heap_used(const BroodHeap *heap);
/* Forgets it here, with its blocks; it lives as long as somebody has it. */
void brood_heap_free(BroodHeap *heap);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
