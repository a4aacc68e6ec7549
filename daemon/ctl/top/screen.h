/* SPDX-License-Identifier: MIT */
#pragma once

/* The terminal: the only file that knows curses. It is given back as it was on every way out. */

#include <stdbool.h>

#include "base/clock.h"
#include "ctl/print.h"

/* Keys that are no characters. */
enum {
        SCREEN_NO_KEY = -1,
        SCREEN_ESCAPE = 27,
        SCREEN_ENTER = '\n',
        SCREEN_BACKSPACE = 0x200000, /* beyond Unicode */
        SCREEN_UP,
        SCREEN_DOWN,
        SCREEN_LEFT,
        SCREEN_RIGHT,
        SCREEN_PAGE_UP,
        SCREEN_PAGE_DOWN,
        SCREEN_HOME,
        SCREEN_END,
        SCREEN_OTHER,
};

/* How text looks, beside its colour. */
enum {
        SCREEN_PLAIN = 0,
        SCREEN_REVERSE = 1,
        SCREEN_UNDERLINE = 2,
};

/* Returns 0, or -ENOTTY where $TERM is no terminal that can be drawn on. */
int screen_open(void);

/* May be called again. */
void screen_close(void);

/* What it measures now, whatever happened since. */
void screen_measure(unsigned *ret_rows, unsigned *ret_columns);

/* An empty screen to be filled, and shown. */
void screen_begin(void);
void screen_end(void);

/* The next one is drawn as if nothing of it were there: something else has written to it. */
void screen_anew(void);

/* Writes text, cut or filled up with blanks to `width` columns. */
void screen_put(unsigned row, unsigned column, unsigned width, Colour colour, unsigned look,
                const char *text);

/* The next key that was pressed: a character, or one of the names above. */
int screen_key(void);

typedef enum ScreenNews {
        SCREEN_GOES_ON, /* a key, the descriptor, the time, another size: look at all of them */
        SCREEN_LEFT_BY, /* the user ended it (Ctrl-C), or the terminal is gone */
        SCREEN_KILLED,  /* by a signal: see screen_die() */
} ScreenNews;

/* Waits until there is something to do, at the longest until `until` (clock_monotonic()). `fd`: -1,
 * or one more to wait for. */
ScreenNews screen_wait(int fd, short events, usec_t until);

/* Ends this process by the signal that screen_wait() told of. */
void screen_die(void);
