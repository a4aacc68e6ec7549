/* SPDX-License-Identifier: MIT */
#pragma once

/* Writing for people: messages, colours, times and sizes.
 *
 * What comes from elsewhere (errors of handlers, names) is shown with its control characters
 * escaped, so that no job can play with the terminal. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"

/* "broodctl: …" and a newline on stderr. */
void say(const char *format, ...) PRINTF(1, 2);

/* The same without "broodctl: ", for lines that begin with FILE:LINE, which editors understand. */
void say_plain(const char *format, ...) PRINTF(1, 2);

/* Is it UTF-8? */
bool text_is_valid(const char *text);

/* Appends text with control characters as \xNN; line breaks too, unless `lines`. */
void append_shown(Buffer *b, Slice text, bool lines);

typedef enum Colour { PLAIN, BOLD, FAINT, RED, GREEN, YELLOW, BLUE } Colour;

/* Called first, before a pager takes the place of stdout. */
void print_init(void);

/* No colours from now on: somebody else draws the screen. */
void print_without_colours(void);

/* The sequence that switches it on or off; "" where stdout is no terminal or NO_COLOR is set. */
const char *colour_on(Colour c);
const char *colour_off(Colour c);

/* The colour of a state of a job, worker, pool or daemon. */
Colour colour_of_state(const char *state);

/* May characters beyond ASCII be written? */
bool print_utf8(void);

/* Columns of the terminal behind fd; 0 if it is none. */
unsigned terminal_columns(int fd);

/* Writes all that is buffered to stdout, and empties it. */
void print_buffer(Buffer *b);

/* Hands what was printed on to whoever reads it. */
void print_flush(void);

/* The same at the end. Returns 0, or -errno if anything that was printed did not arrive. */
int print_finish(void);

typedef struct ShortText {
        char text[64];
} ShortText;

/* "12.3M"; "Mon 2030-01-07 10:00:00 CET"; "10:00:00.000"; "3min 2s" or "850ms"; for %s of
 * ….text. */
ShortText size_text(uint64_t bytes);
ShortText time_text(usec_t at);
ShortText clock_text(usec_t at);
ShortText span_text(usec_t span);

/* span_text() of the time from `since` until now; "-" if since is 0. */
ShortText age_text(usec_t since, usec_t now);
