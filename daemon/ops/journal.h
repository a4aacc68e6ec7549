/* SPDX-License-Identifier: MIT */
#pragma once

/* Entries for the journal, in its native protocol (systemd.io, "Native Journal Protocol").
 *
 * Not by sd_journal_sendv(3): that one waits for as long as journald's queue is full, and whoever
 * must not hang with a journald that hangs can not call it; it also keeps its socket to itself, so
 * that no worker could take one along into a root directory where there is none. Here nothing ever
 * waits: an entry that finds no room is not sent, and the caller decides what becomes of it.
 * Entries are bounded, and so small that each is one datagram. */

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
        JOURNAL_LINE_MAX = 8192, /* of MESSAGE=; what is longer is cut */
        JOURNAL_VALUE_MAX = 512, /* of each other field */
        JOURNAL_ENTRY_MAX = JOURNAL_LINE_MAX + 16 * JOURNAL_VALUE_MAX,
};

typedef struct JournalEntry {
        size_t n;
        char bytes[JOURNAL_ENTRY_MAX];
} JournalEntry;

/* A new entry: MESSAGE=, which may be any bytes, PRIORITY= as in syslog(3), SYSLOG_IDENTIFIER=. */
void journal_begin(JournalEntry *entry, Slice message, int priority, const char *identifier);
/* One more field. NULL and "": none. */
void journal_add(JournalEntry *entry, const char *field, const char *value);
void journal_add_number(JournalEntry *entry, const char *field, uint64_t value);

/* A socket to journald; nobody needs to listen yet. Returns it (CLOEXEC) or -errno. */
int journal_open(void);
/* Does somebody listen at the other end? */
bool journal_is_reached(int fd);

/* Sends an entry's bytes, at once or not at all. Returns 0, -EAGAIN (journald does not keep up), or
 * -errno (there is none; each call looks again). poll() for POLLOUT waits until there is room. */
int journal_send(int fd, const char *bytes, size_t n);

/* Waits until journald has read all that was sent, and a moment more, but never as long as half a
 * second. Only when it has read an entry, it looks up in /proc of which unit the sender is: if that
 * is gone by then, `journalctl -u` does not show the entry. */
void journal_await_read(int fd);

/* Of a text without a newline that does not fit on one line: how much of its n bytes to put on the
 * first, so that no UTF-8 character is cut in two. */
size_t journal_cut(const char *text, size_t n);
