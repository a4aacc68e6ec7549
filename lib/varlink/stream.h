/* SPDX-License-Identifier: MIT */
#pragma once

/* Framing: bytes in, messages out. A message ends with a NUL byte.
 *
 * What is fed is used where it lies; only what is left over (half a message, or messages that the
 * reader does not want yet) is copied, so that a connection that is idle owns no memory. */

#include "base/buffer.h"

typedef struct VarlinkStream {
        Buffer kept;        /* left over from earlier feeds */
        const char *fed;    /* the bytes being read; NULL between feeds */
        size_t fed_len;
        size_t searched;    /* of what is unread, how much is known to hold no NUL */
        size_t max_message; /* bytes; longer ones are refused */
} VarlinkStream;

enum { VARLINK_E_TOO_LARGE = 32 };

void varlink_stream_init(VarlinkStream *s, size_t max_message);
void varlink_stream_fini(VarlinkStream *s);

/* Offers bytes, which must stay valid until varlink_stream_keep(). Returns 0 or -ENOMEM. */
int varlink_stream_feed(VarlinkStream *s, const char *bytes, size_t n);

/* The next message, without its NUL, valid until the next call of any function here but this one.
 * Returns 1 and the message, 0 if there is none yet, -VARLINK_E_TOO_LARGE if what comes is too
 * long. */
int varlink_stream_next(VarlinkStream *s, Slice *ret);

/* Copies what is unread; the fed bytes may go. Returns 0 or -ENOMEM. */
int varlink_stream_keep(VarlinkStream *s);

/* Bytes that are unread. */
size_t varlink_stream_unread(const VarlinkStream *s);
