/* SPDX-License-Identifier: MIT */

/* libinih asks for lines with an fgets() of ours. There lines are counted, a line that is neither a
 * comment, a section nor an assignment is refused in our words (libinih would take `Key: value` and
 * what stands behind a `]` as well), and a section is heard of even if it is empty. */

#include "settings/ini_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "settings/fault.h"

enum { LARGEST_FILE = 1 << 20 };

typedef struct Lines {
        const IniReader *reader;
        const char *file;
        const char *at, *end;
        int line;
        bool within; /* a part of the line was handed out already */
        int result;
} Lines;

static int fault(Lines *l, const char *message)
{
        return settings_fault(l->reader->error, l->file, l->line, "%s", message);
}

static const char *skip_space(const char *p, const char *end)
{
        while (p < end && isspace((unsigned char)*p))
                p++;
        return p;
}

static int check_section(Lines *l, const char *from, const char *end)
{
        const char *close = memchr(from, ']', (size_t)(end - from));
        char name[64];

        if (!close || skip_space(close + 1, end) != end)
                return fault(l, "expected a section like [Name] alone on its line");
        (void)snprintf(name, sizeof(name), "%.*s", (int)(close - from), from);
        name[shown_length(name, sizeof(name))] = '\0';
        return l->reader->section(l->reader->userdata, l->file, l->line, name);
}

static int check_line(Lines *l, const char *from, const char *end)
{
        const char *equals;

        from = skip_space(from, end);
        if (from == end || *from == '#' || *from == ';')
                return 0;
        if (*from == '[')
                return check_section(l, from + 1, end);
        equals = memchr(from, '=', (size_t)(end - from));
        if (!equals || equals == from || memchr(from, ':', (size_t)(equals - from)))
                return fault(l, "expected Key=value, a [Section] or a # comment");
        return 0;
}

/* As fgets(). */
static char *next_line(char *to, int size, void *stream)
{
        Lines *l = stream;
        const char *newline = memchr(l->at, '\n', (size_t)(l->end - l->at));
        const char *end = newline ? newline + 1 : l->end;
        size_t n = MIN((size_t)(end - l->at), (size_t)size - 1);

        if (l->result < 0 || l->at == l->end)
                return NULL;
        if (!l->within) {
                l->line++;
                l->result = check_line(l, l->at, end);
                if (l->result < 0)
                        return NULL;
        }
        memcpy(to, l->at, n);
        to[n] = '\0';
        l->at += n;
        l->within = l->at < end;
        return to;
}

static int assign(void *stream, const char *section, const char *key, const char *value)
{
        Lines *l = stream;

        if (l->result == 0)
                l->result = l->reader->assign(l->reader->userdata, l->file, l->line, section, key,
                                              value);
        return l->result == 0;
}

/* The first byte that no config may have, or NULL. */
static const char *not_text(Slice text)
{
        const unsigned char *p = (const unsigned char *)text.data, *end = p + text.len;

        while (p < end) {
                int n = *p < 0x80 ? *p != '\0' : utf8_length(p, end);

                if (!n)
                        return (const char *)p;
                p += n;
        }
        return NULL;
}

static int parse(const char *path, Slice text, const IniReader *reader)
{
        Lines l = { .reader = reader, .file = path, .at = text.data, .end = text.data + text.len };
        const char *wrong = not_text(text);
        int r;

        if (wrong) {
                for (const char *p = text.data; p <= wrong; p++)
                        l.line += p == text.data || p[-1] == '\n';
                return fault(&l, "expected text in UTF-8 without NUL");
        }
        if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
                l.at += 3; /* some editors mark UTF-8 so */
        ini_use_stack = false;
        ini_allow_realloc = true;
        ini_max_line = (int)text.len + 3;
        ini_allow_inline_comments = false;
        ini_allow_multiline = false;
        r = ini_parse_stream(next_line, &l, assign, &l);
        if (l.result < 0)
                return l.result;
        if (r == -2)
                return -ENOMEM;
        l.line = r;
        return r ? fault(&l, "expected Key=value, a [Section] or a # comment") : 0;
}

static int load(int fd, Buffer *text)
{
        struct stat st;
        ssize_t n;
        char *to;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
        if (st.st_size > LARGEST_FILE)
                return -EFBIG;
        to = buffer_reserve(text, (size_t)st.st_size + 1);
        if (!to)
                return -ENOMEM;
        n = fd_read_all(fd, to, (size_t)st.st_size);
        if (n < 0)
                return (int)n;
        text->end += (size_t)n;
        return 0;
}

int ini_read(const char *path, const IniReader *reader)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        AUTO(buffer_fini) Buffer text = BUFFER_INIT;
        int r;

        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        r = fd < 0 ? -errno : load(fd, &text);
        if (r == -ENOMEM)
                return r;
        if (r == -EINVAL)
                return settings_fault(reader->error, path, 0, "expected a regular file");
        if (r < 0)
                return settings_fault(reader->error, path, 0, "cannot be read: %s", strerror(-r));
        return parse(path, buffer_slice(&text), reader);
}
