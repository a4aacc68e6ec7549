/* SPDX-License-Identifier: MIT */

#include "ctl/lines.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 128 * 1024 };

void lines_fini(Lines *l)
{
        buffer_fini(&l->in);
}

int lines_read(Lines *l)
{
        char *room;
        ssize_t n;

        if (buffer_len(&l->in) > LINES_MAX)
                return -EMSGSIZE;
        room = buffer_reserve(&l->in, CHUNK);
        if (!room)
                return -ENOMEM;
        n = read(l->fd, room, CHUNK);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        l->in.end += (size_t)n;
        l->ended = n == 0;
        return 0;
}

bool lines_next(Lines *l, Slice *ret)
{
        Slice have = buffer_slice(&l->in);
        const char *end = have.len > l->searched ? memchr(have.data + l->searched, '\n',
                                                          have.len - l->searched)
                                                 : NULL;
        size_t n = end ? (size_t)(end - have.data) : have.len;

        if (!end && (!l->ended || !n)) {
                l->searched = have.len;
                return false;
        }
        *ret = (Slice){ have.data, n };
        buffer_consume(&l->in, n + (end != NULL)); /* leaves the bytes where they are */
        l->searched = 0;
        l->number++;
        return true;
}

uint64_t lines_count(int fd)
{
        static char chunk[CHUNK];
        off_t at = lseek(fd, 0, SEEK_CUR);
        uint64_t count = 0;
        char last = '\n';
        struct stat st;
        ssize_t n;

        if (at < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        while ((n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
                for (const char *p = chunk; (p = memchr(p, '\n', (size_t)(chunk + n - p))); p++)
                        count++;
                last = chunk[n - 1];
                at += n;
        }
        return n < 0 ? 0 : count + (last != '\n');
}
