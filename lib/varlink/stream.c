/* SPDX-License-Identifier: MIT */

#include "varlink/stream.h"

#include <errno.h>
#include <string.h>

void varlink_stream_init(VarlinkStream *s, size_t max_message)
{
        *s = (VarlinkStream){ .max_message = max_message };
}

void varlink_stream_fini(VarlinkStream *s)
{
        buffer_fini(&s->kept);
}

int varlink_stream_feed(VarlinkStream *s, const char *bytes, size_t n)
{
        ASSERT(!s->fed);
        if (buffer_len(&s->kept)) {
                buffer_append(&s->kept, bytes, n);
                return s->kept.failed ? -ENOMEM : 0;
        }
        s->fed = bytes;
        s->fed_len = n;
        return 0;
}

static Slice unread(const VarlinkStream *s)
{
        return s->fed ? (Slice){ s->fed, s->fed_len } : buffer_slice(&s->kept);
}

size_t varlink_stream_unread(const VarlinkStream *s)
{
        return unread(s).len;
}

int varlink_stream_next(VarlinkStream *s, Slice *ret)
{
        Slice have = unread(s);
        const char *end;
        size_t n;

        if (have.len == s->searched)
                return have.len > s->max_message ? -VARLINK_E_TOO_LARGE : 0;
        end = memchr(have.data + s->searched, '\0', have.len - s->searched);
        n = end ? (size_t)(end - have.data) : have.len;
        if (n > s->max_message)
                return -VARLINK_E_TOO_LARGE;
        if (!end) {
                s->searched = have.len;
                return 0;
        }
        *ret = (Slice){ have.data, n };
        s->searched = 0;
        if (s->fed) {
                s->fed += n + 1;
                s->fed_len -= n + 1;
        } else {
                buffer_consume(&s->kept, n + 1); /* leaves the bytes where they are */
        }
        return 1;
}

int varlink_stream_keep(VarlinkStream *s)
{
        const char *fed = s->fed;
        size_t n = s->fed_len;

        s->fed = NULL;
        s->fed_len = 0;
        if (fed && n)
                buffer_append(&s->kept, fed, n);
        if (!buffer_len(&s->kept))
                buffer_clear(&s->kept, 4096);
        return s->kept.failed ? -ENOMEM : 0;
}
