/* SPDX-License-Identifier: MIT */

#include "ops/journal_queue.h"

#include <errno.h>
#include <string.h>

int journal_queue_put(JournalQueue *q, const JournalEntry *e)
{
        int r = journal_queue_is_empty(q) ? journal_send(q->fd, e->bytes, e->n) : -EAGAIN;

        if (r != -EAGAIN)
                return r;
        if (buffer_len(&q->waiting) + sizeof(e->n) + e->n > JOURNAL_QUEUE_MAX)
                return -ENOBUFS;
        if (!buffer_reserve(&q->waiting, sizeof(e->n) + e->n))
                return -ENOBUFS;
        buffer_append(&q->waiting, &e->n, sizeof(e->n));
        buffer_append(&q->waiting, e->bytes, e->n);
        return 0;
}

unsigned journal_queue_flush(JournalQueue *q)
{
        unsigned lost = 0;

        while (!journal_queue_is_empty(q)) {
                const char *at = buffer_bytes(&q->waiting);
                size_t n;
                int r;

                memcpy(&n, at, sizeof(n));
                r = journal_send(q->fd, at + sizeof(n), n);
                if (r == -EAGAIN)
                        return lost;
                lost += r < 0;
                buffer_consume(&q->waiting, sizeof(n) + n);
        }
        buffer_clear(&q->waiting, 0);
        return lost;
}
