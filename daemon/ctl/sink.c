/* SPDX-License-Identifier: MIT */

#include "ctl/sink.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { PAGE = 4096, FILE_CHUNK = 1 << 20, KEEP = 1 << 16 };

void sink_init(Sink *s)
{
        struct stat st;
        bool file = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);

        *s = (Sink){ .chunk = file ? FILE_CHUNK : PAGE, .terminal = isatty(STDOUT_FILENO) };
}

void sink_fini(Sink *s)
{
        buffer_fini(&s->out);
}

int sink_write(Sink *s)
{
        ssize_t n;

        if (s->out.failed)
                return -ENOMEM;
        n = write(STDOUT_FILENO, buffer_bytes(&s->out), MIN(buffer_len(&s->out), s->chunk));
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        buffer_consume(&s->out, (size_t)n);
        if (!buffer_len(&s->out))
                buffer_clear(&s->out, KEEP);
        return 0;
}

int sink_finish(Sink *s)
{
        int r;

        if (s->out.failed)
                return -ENOMEM;
        r = buffer_len(&s->out) ? fd_write_all(STDOUT_FILENO, buffer_bytes(&s->out),
                                               buffer_len(&s->out))
                                : 0;
        buffer_clear(&s->out, KEEP);
        return r;
}
