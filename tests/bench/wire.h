/* SPDX-License-Identifier: MIT */
#pragma once

/* A blocking connection to a Unix socket that carries messages ended by NUL.
 *
 * For a load generator: every failure is the end of the program, with a word on stderr. */

#include <stddef.h>

typedef struct Wire {
        int fd;
        size_t begin, scanned, end; /* of what was read and not taken; no NUL before `scanned` */
        char buffer[256 * 1024];
} Wire;

/* Says what failed, with errno where it is not 0, and exits with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* Connects; the caller gives it to wire_close(). */
Wire *wire_open(const char *path);
void wire_close(Wire *w);

/* Sends it all. */
void wire_send(Wire *w, const char *bytes, size_t size);

/* Reads once; returns when there was something. */
void wire_fill(Wire *w);

/* The next message that has been read whole, or NULL. Valid until the next wire_fill(). */
const char *wire_take(Wire *w, size_t *ret_size);

/* The next message; reads until there is one. Valid until the next wire_fill(). */
const char *wire_next(Wire *w, size_t *ret_size);

/* Sends one call, `text` with its NUL, and returns its reply. */
const char *wire_call(Wire *w, const char *text, size_t *ret_size);
