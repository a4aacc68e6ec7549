/* SPDX-License-Identifier: MIT */
#pragma once

/* The daemon's log: one event, one line, key=value where it helps.
 *
 * Where stderr is connected to the journal (JOURNAL_STREAM=, systemd.exec(5)) a line goes there by
 * its native protocol, with its fields; else to stderr, on a terminal plain, else with the level in
 * front as sd-daemon(3) has it, and the fields, which the words repeat, are left out.
 *
 * Nothing here waits for journald: lines for which it has no room are kept, up to a bound, and sent
 * by log_flush(); those beyond it are counted, and when there is room again one line says how many
 * were lost. Only the loop's thread logs. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/slice.h"
#include "base/uuid.h"

/* Levels of syslog(3). */
enum { LEVEL_ERROR = 3, LEVEL_WARNING, LEVEL_NOTICE, LEVEL_INFO, LEVEL_DEBUG };

/* What a line is about; what is NULL or 0 it is not about. */
typedef struct LogFields {
        const char *id;       /* MESSAGE_ID=, of ops/message_ids.h */
        const char *pool;     /* BROOD_POOL= */
        const char *worker;   /* BROOD_WORKER= */
        const char *handler;  /* BROOD_HANDLER= */
        const Uuid *job;      /* BROOD_JOB= */
        uint32_t attempt;     /* BROOD_ATTEMPT= */
        const uint32_t *user; /* BROOD_USER=: the uid whose job or connection it is */
        const char *file;     /* CONFIG_FILE=, CONFIG_LINE= */
        int line;
} LogFields;

/* Looks where stderr leads to: once, before the first line. */
void log_open(void);
/* Is it the journal? */
bool log_is_journal(void);

/* The socket, -1 for none: when it is writable and log_is_waiting(), log_flush() has something to
 * do. */
int log_fd(void);
bool log_is_waiting(void);
void log_flush(void);
/* The last line was logged: what waits is sent, if journald takes it at once or nearly so. */
void log_close(void);

/* Lines above it are left out. */
void log_set_level(int level);

void log_event(const LogFields *fields, int level, const char *format, ...) PRINTF(3, 4);
void log_line(int level, const char *format, ...) PRINTF(2, 3);

#define log_error(...) log_line(LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LEVEL_DEBUG, __VA_ARGS__)

/* For log_event(): LOG_FIELDS(.pool = name, .id = MESSAGE_…). */
#define LOG_FIELDS(...) (&(const LogFields){ __VA_ARGS__ })

/* What others wrote, whatever the level of the log, as it is and under another name than ours, so
 * that nobody speaks in our place. Only where log_is_journal(). */
#define LOG_WORKER_IDENTIFIER "brood-worker"
void log_words(const LogFields *fields, int level, Slice words);
