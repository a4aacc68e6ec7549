/* SPDX-License-Identifier: MIT */

#include "pool/words.h"

#include <string.h>

#include "ops/journal.h"
#include "pool/fields.h"

/* LogOutput= is about what jobs write; why a worker can not start is always told. */
static bool are_wanted(const Worker *w)
{
        return !w->prepared || w->pool->settings->log_output;
}

/* A level in front, as sd-daemon(3) has it. */
static int take_level(Slice *line)
{
        int level = LEVEL_INFO;

        if (line->len >= 3 && line->data[0] == '<' && line->data[1] >= '0' &&
            line->data[1] <= '7' && line->data[2] == '>') {
                level = line->data[1] - '0';
                line->data += 3;
                line->len -= 3;
        }
        return level;
}

static void log_one(const Worker *w, Slice line)
{
        const LogFields fields = w->between_jobs
                                         ? (LogFields){ .pool = w->pool->core->name,
                                                        .worker = w->name }
                                         : worker_fields(w, NULL);
        int level;

        if (!are_wanted(w))
                return;
        if (!log_is_journal()) {
                log_info("worker=%s pid=%d: %.*s", w->name, (int)w->pid, (int)line.len, line.data);
                return;
        }
        level = take_level(&line);
        if (line.len)
                log_words(&fields, level, line);
}

/* Logs the first n bytes of the line; the rest begins the next one. */
static void flush(Worker *w, size_t n)
{
        log_one(w, (Slice){ w->line, n });
        w->line_len -= n;
        memmove(w->line, w->line + n, w->line_len);
}

void words_take(Worker *w, const char *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (bytes[i] == '\n') {
                        flush(w, w->line_len);
                        continue;
                }
                if (w->line_len == sizeof(w->line))
                        flush(w, journal_cut(w->line, w->line_len));
                w->line[w->line_len++] = bytes[i];
        }
}

void words_end(Worker *w)
{
        if (w->line_len)
                flush(w, w->line_len);
}
