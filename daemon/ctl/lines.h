/* SPDX-License-Identifier: MIT */
#pragma once

/* Lines of a file or pipe that is read only when there is something to read. */

#include "base/buffer.h"

enum { LINES_MAX = 256 << 20 }; /* bytes of one line */

typedef struct Lines {
        int fd;          /* the caller's */
        Buffer in;
        size_t searched; /* bytes of `in` that hold no line break */
        uint64_t number; /* of the line returned last, from 1 */
        bool ended;      /* the end of the file was read */
} Lines;

#define LINES_INIT(from) { .fd = (from), .in = BUFFER_INIT }
void lines_fini(Lines *l);

/* Reads once, which waits only if poll() would. Returns 0 or -errno; -EMSGSIZE if a line is longer
 * than LINES_MAX. */
int lines_read(Lines *l);

/* The next line without its break, valid until the next call of either function. Returns false if
 * there is none yet, or none any more. */
bool lines_next(Lines *l, Slice *ret);

/* How many lines a regular file still has from where it stands; 0 if that cannot be known. */
uint64_t lines_count(int fd);
