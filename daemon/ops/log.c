/* SPDX-License-Identifier: MIT */

#include "ops/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "ops/journal_queue.h"
#include "ops/message_ids.h"

enum { LINE_MAX_BYTES = 4096 };

static int max_level = LEVEL_INFO;
static JournalQueue journal = JOURNAL_QUEUE_INIT; /* without a socket: lines go to stderr */
static uint64_t lost_lines; /* that nobody was told of yet */

void log_set_level(int level)
{
        max_level = level;
}

bool log_is_journal(void)
{
        return journal.fd >= 0;
}

/* Is stderr what the service manager says that it has connected to the journal? It may have been
 * sent elsewhere since. */
static bool stderr_is_journal(void)
{
        const char *text = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;
        char rest;

        return text && sscanf(text, "%llu:%llu%c", &device, &inode, &rest) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(void)
{
        if (journal.fd < 0 && stderr_is_journal())
                journal.fd = journal_open(); /* without a descriptor for it, stderr will do */
}

/* --- to stderr --- */

/* Where stderr is the journal's, nobody waits for it there either. */
static bool write_stderr(const char *bytes, size_t n)
{
        if (log_is_journal())
                return send(STDERR_FILENO, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
        return write(STDERR_FILENO, bytes, n) >= 0;
}

static bool to_stderr(int level, Slice text)
{
        char line[LINE_MAX_BYTES + 8];
        int n = 0;

        if (!isatty(STDERR_FILENO))
                n = snprintf(line, sizeof(line), "<%d>", level);
        n += snprintf(line + n, sizeof(line) - (size_t)n, "%.*s\n", (int)text.len, text.data);
        return write_stderr(line, (size_t)n);
}

/* --- to the journal --- */

static void add_fields(JournalEntry *e, const LogFields *f)
{
        journal_add(e, "MESSAGE_ID", f->id);
        journal_add(e, "BROOD_POOL", f->pool);
        journal_add(e, "BROOD_WORKER", f->worker);
        journal_add(e, "BROOD_HANDLER", f->handler);
        journal_add(e, "BROOD_JOB", f->job ? uuid_text(f->job).text : NULL);
        if (f->attempt)
                journal_add_number(e, "BROOD_ATTEMPT", f->attempt);
        if (f->user)
                journal_add_number(e, "BROOD_USER", *f->user);
        journal_add(e, "CONFIG_FILE", f->file);
        if (f->line)
                journal_add_number(e, "CONFIG_LINE", (uint64_t)f->line);
}

static int send_entry(const LogFields *fields, int level, const char *identifier, Slice text)
{
        JournalEntry e;

        journal_begin(&e, text, level, identifier);
        if (fields)
                add_fields(&e, fields);
        return journal_queue_put(&journal, &e);
}

/* Returns false while more are to be lost: until there is room for more than that. */
static bool tell_lost(void)
{
        const LogFields fields = { .id = MESSAGE_LINES_LOST };
        char text[128];
        int n;

        if (!lost_lines)
                return true;
        if (buffer_len(&journal.waiting) > JOURNAL_QUEUE_MAX / 2)
                return false;
        n = snprintf(text, sizeof(text), "the journal did not take %llu lines: they are lost",
                     (unsigned long long)lost_lines);
        if (send_entry(&fields, LEVEL_WARNING, "broodd", (Slice){ text, (size_t)n }) < 0)
                return false;
        lost_lines = 0;
        return true;
}

static void to_journal(const LogFields *fields, int level, const char *identifier, Slice text)
{
        int r = tell_lost() ? send_entry(fields, level, identifier, text) : -ENOBUFS;

        if (r == -ENOBUFS || (r < 0 && !to_stderr(level, text)))
                lost_lines++;
}

int log_fd(void)
{
        return journal.fd;
}

bool log_is_waiting(void)
{
        return !journal_queue_is_empty(&journal);
}

void log_flush(void)
{
        lost_lines += journal_queue_flush(&journal);
        (void)tell_lost(); /* or after the next one */
}

void log_close(void)
{
        enum { PATIENCE_MS = 100, STEPS = 1000 };
        struct pollfd p = { journal.fd, POLLOUT, 0 };

        for (int i = 0; i < STEPS && log_is_waiting() && poll(&p, 1, PATIENCE_MS) > 0; i++)
                log_flush();
        if (log_is_journal() && !log_is_waiting())
                journal_await_read(journal.fd);
        buffer_fini(&journal.waiting);
        journal.fd = fd_close(journal.fd);
}

/* --- lines --- */

/* A line is one: what a name or another's words bring along does not begin a new one. */
static void flatten(char *text, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (text[i] == '\n')
                        text[i] = ' ';
}

static void PRINTF(3, 0)
        log_va(const LogFields *fields, int level, const char *format, va_list args)
{
        char text[LINE_MAX_BYTES];
        int n;

        if (level > max_level)
                return;
        n = vsnprintf(text, sizeof(text), format, args);
        n = MAX(MIN(n, (int)sizeof(text) - 1), 0);
        flatten(text, (size_t)n);
        if (log_is_journal())
                to_journal(fields, level, "broodd", (Slice){ text, (size_t)n });
        else
                (void)to_stderr(level, (Slice){ text, (size_t)n }); /* there is no better place */
}

void log_event(const LogFields *fields, int level, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        log_va(fields, level, format, args);
        va_end(args);
}

void log_line(int level, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        log_va(NULL, level, format, args);
        va_end(args);
}

void log_words(const LogFields *fields, int level, Slice words)
{
        to_journal(fields, level, LOG_WORKER_IDENTIFIER, words);
}
