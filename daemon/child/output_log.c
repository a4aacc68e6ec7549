/* SPDX-License-Identifier: MIT */

#include "child/output_log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "ops/message_ids.h"

#define IDENTIFIER "brood-worker"

enum { LEVEL_WARNING = 4, LEVEL_NOTICE, LEVEL_INFO };

/* --- sending --- */

/* Waits until there may be room. Returns false if that is not worth while. */
static bool wait_for_room(OutputLog *l)
{
        struct pollfd p = { l->fd, POLLOUT, 0 };
        usec_t began = clock_monotonic(), most = MIN(l->patience, OUTPUT_LOG_HANG);
        int n;

        if (l->hangs || !most)
                return false;
        n = poll(&p, 1, (int)(most / 1000) + 1);
        l->patience -= MIN(l->patience, MAX(clock_monotonic() - began, 1u));
        l->hangs = n == 0;
        return n != 0;
}

static bool send_entry(OutputLog *l, const JournalEntry *e)
{
        int r = journal_send(l->fd, e->bytes, e->n);

        while (r == -EAGAIN && wait_for_room(l))
                r = journal_send(l->fd, e->bytes, e->n);
        if (r == 0)
                l->hangs = false;
        return r == 0;
}

static void begin(const OutputLog *l, JournalEntry *e, const BroodJob *job, Slice text, int level)
{
        journal_begin(e, text, level, IDENTIFIER);
        journal_add(e, "BROOD_POOL", l->pool);
        journal_add(e, "BROOD_WORKER", job->worker);
        journal_add(e, "BROOD_HANDLER", job->handler);
        journal_add(e, "BROOD_JOB", job->id);
        journal_add_number(e, "BROOD_ATTEMPT", (uint64_t)job->attempt);
}

/* Returns false while there is no room even for that. */
static bool tell_lost(OutputLog *l, const BroodJob *job)
{
        JournalEntry e;
        char text[128];
        int n;

        if (!l->lost)
                return true;
        n = snprintf(text, sizeof(text),
                     "the journal did not take %llu lines of output: they are lost",
                     (unsigned long long)l->lost);
        begin(l, &e, job, (Slice){ text, (size_t)n }, LEVEL_WARNING);
        journal_add(&e, "MESSAGE_ID", MESSAGE_LINES_LOST);
        if (!send_entry(l, &e))
                return false;
        l->lost = 0;
        return true;
}

/* --- lines --- */

/* Sends the first n bytes of the line; the rest begins the next one. */
static void flush(OutputLog *l, const BroodJob *job, int stream, size_t n)
{
        OutputLine *line = &l->lines[stream - 1];
        JournalEntry e;

        if (n && tell_lost(l, job)) {
                begin(l, &e, job, (Slice){ line->bytes, n },
                      stream == 1 ? LEVEL_INFO : LEVEL_NOTICE);
                journal_add(&e, "BROOD_STREAM", stream == 1 ? "stdout" : "stderr");
                l->lost += !send_entry(l, &e);
        } else {
                l->lost += n > 0;
        }
        line->n -= n;
        memmove(line->bytes, line->bytes + n, line->n);
}

/* Takes what fits, up to a newline. Returns how much of it is done with. */
static size_t take(OutputLog *l, const BroodJob *job, int stream, Slice bytes)
{
        OutputLine *line = &l->lines[stream - 1];
        const char *end = memchr(bytes.data, '\n', bytes.len);
        size_t n = end ? (size_t)(end - bytes.data) : bytes.len;
        size_t fits = MIN(n, sizeof(line->bytes) - line->n);

        memcpy(line->bytes + line->n, bytes.data, fits);
        line->n += fits;
        if (fits < n)
                flush(l, job, stream, journal_cut(line->bytes, line->n));
        else if (end)
                flush(l, job, stream, line->n);
        return fits < n ? fits : n + (end != NULL);
}

static void on_output(void *context, const BroodJob *job, int stream, Slice bytes)
{
        while (bytes.len) {
                size_t n = take(context, job, stream, bytes);

                bytes.data += n;
                bytes.len -= n;
        }
}

static void on_end(void *context, const BroodJob *job)
{
        OutputLog *l = context;

        for (int stream = 1; stream <= JOB_STREAMS; stream++)
                if (l->lines[stream - 1].n)
                        flush(l, job, stream, l->lines[stream - 1].n);
        if (l->lost)
                (void)tell_lost(l, job); /* or with the next one */
        l->patience = OUTPUT_LOG_PATIENCE;
}

OutputLog *output_log_new(const char *pool, int inherited)
{
        OutputLog *l = calloc(1, sizeof(*l));

        if (!l)
                return NULL;
        l->hook = (JobLog){ on_output, on_end, l };
        l->pool = pool;
        l->patience = OUTPUT_LOG_PATIENCE;
        l->fd = journal_open();
        if (l->fd >= 0 && journal_is_reached(l->fd)) {
                fd_close(inherited);
        } else {
                fd_close(l->fd);
                l->fd = inherited;
        }
        return l;
}

void output_log_free(OutputLog *l)
{
        fd_close(l->fd);
        free(l);
}
