/* SPDX-License-Identifier: MIT */
#pragma once

/* stdout for a program that must not wait for it.
 *
 * The descriptor is shared with others (a shell, the other end of a terminal), so it is not made
 * non-blocking; instead no more is written at a time than fits where poll() says that there is
 * room, which for a pipe is one page. */

#include <stdbool.h>

#include "base/buffer.h"

typedef struct Sink {
        Buffer out;    /* to be written */
        size_t chunk;  /* bytes that one write() may have */
        bool terminal;
} Sink;

void sink_init(Sink *s);
void sink_fini(Sink *s);

/* Writes some. To be called when poll() allows it. Returns 0 or -errno. */
int sink_write(Sink *s);

/* Writes the rest, waiting as long as it takes. Returns 0 or -errno. */
int sink_finish(Sink *s);
