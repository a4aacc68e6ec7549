/* SPDX-License-Identifier: MIT */
#pragma once

/* Entries on their way to a journald that has no room for them just now: it may be behind by some
 * hundred lines and be well. They wait here, in order, up to a bound. */

#include "base/buffer.h"
#include "ops/journal.h"

enum { JOURNAL_QUEUE_MAX = 1024 * 1024 }; /* bytes */

typedef struct JournalQueue {
        int fd;         /* a socket to journald; -1: none */
        Buffer waiting; /* each with its length in front */
} JournalQueue;

#define JOURNAL_QUEUE_INIT { .fd = -1, .waiting = BUFFER_INIT }

/* Returns 0 (sent, or it waits), -ENOBUFS (there is no more room), or -errno (no journald). */
int journal_queue_put(JournalQueue *q, const JournalEntry *entry);

/* Sends what waits, as far as there is room. Returns how many had to be given up, since there is no
 * journald any more. */
unsigned journal_queue_flush(JournalQueue *q);

static inline bool journal_queue_is_empty(const JournalQueue *q)
{
        return buffer_len(&q->waiting) == 0;
}
