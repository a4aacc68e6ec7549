/* SPDX-License-Identifier: MIT */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "child/inspect.h"

enum { PIECE = 64 * 1024 };

/* --- files --- */

static bool is_refusal(int error)
{
        return error == EACCES || error == EPERM;
}

void target_note_denied(Target *t, const char *what)
{
        json_t *one;
        size_t i;

        if (!what)
                return;
        json_array_foreach(t->denied, i, one) if (strcmp(json_string_value(one), what) == 0) return;
        (void)json_array_append_new(t->denied, json_string(what));
}

static int refused(Target *t, const char *what)
{
        int error = errno;

        if (is_refusal(error))
                target_note_denied(t, what);
        return -error;
}

static int read_all(int fd, Buffer *to)
{
        ssize_t n = 1;

        while (n > 0 && buffer_len(to) < INSPECT_TEXT_MAX) {
                char *at = buffer_reserve(to, PIECE);

                if (!at)
                        return -ENOMEM;
                n = read(fd, at, PIECE);
                to->end += n > 0 ? (size_t)n : 0;
        }
        return n < 0 ? -1 : 0;
}

int target_read(Target *t, const char *file, const char *what, Buffer *to)
{
        AUTO(fd_close) int fd = openat(t->proc, file, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || read_all(fd, to) < 0)
                return refused(t, what);
        buffer_append_char(to, '\0');
        return to->failed ? -ENOMEM : 0;
}

FILE *target_stream(Target *t, const char *file, const char *what)
{
        int fd = openat(t->proc, file, O_RDONLY | O_CLOEXEC);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

        if (fd < 0)
                (void)refused(t, what);
        else if (!f)
                fd_close(fd);
        return f;
}

int target_open(Target *t, const char *directory, const char *what)
{
        int fd = openat(t->proc, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? refused(t, what) : fd;
}

char *target_link(Target *t, const char *link, const char *what)
{
        char text[PATH_MAX];
        ssize_t n = readlinkat(t->proc, link, text, sizeof(text) - 1);

        if (n < 0) {
                (void)refused(t, what);
                return NULL;
        }
        return strndup(text, (size_t)n);
}

/* --- lines --- */

size_t line_length(const char *line)
{
        return strcspn(line, "\n");
}

const char *line_next(const char *line)
{
        size_t n = line_length(line);

        return line[n] && line[n + 1] ? line + n + 1 : NULL;
}

const char *line_after(const char *text, const char *key)
{
        size_t n = strlen(key);

        for (const char *line = *text ? text : NULL; line; line = line_next(line))
                if (strncmp(line, key, n) == 0 && line[n] == ':')
                        return line + n + 1 + strspn(line + n + 1, " \t");
        return NULL;
}

/* --- JSON --- */

static json_t *shown(const char *bytes, size_t n, bool lines)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        const unsigned char *at = (const unsigned char *)bytes, *end = at + n;

        while (at < end) {
                int length = *at < 0x80 ? !iscntrl(*at) || (lines && *at == '\n')
                                        : utf8_length(at, end);

                if (length)
                        buffer_append(&b, at, (size_t)length);
                else
                        buffer_printf(&b, "\\x%02x", *at);
                at += length ? length : 1;
        }
        if (b.failed)
                return NULL;
        return json_stringn(buffer_len(&b) ? buffer_bytes(&b) : "", buffer_len(&b));
}

json_t *json_of_bytes(const char *bytes, size_t n)
{
        return shown(bytes, n, false);
}

json_t *json_of_lines(const char *text)
{
        return shown(text, strlen(text), true);
}

json_t *json_of_text(const char *text)
{
        return json_of_bytes(text, strlen(text));
}

void json_put(json_t *object, const char *key, json_t *value)
{
        if (value)
                (void)json_object_set_new(object, key, value); /* without memory it is left out */
}
