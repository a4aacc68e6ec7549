/* SPDX-License-Identifier: MIT */

#include "settings/environment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "settings/fault.h"
#include "settings/table.h"
#include "settings/value.h"
#include "settings/words.h"

enum { LARGEST_FILE = 1 << 20 };

typedef struct Text {
        const char *file, *at, *end;
        int line;
        Buffer assignment; /* NAME=value of this line */
        size_t keep;       /* how much of it: without the blanks at the end */
        SettingsError *error;
} Text;

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

static bool is_line_end(char c)
{
        return c == '\n' || c == '\r';
}

static char take(Text *t)
{
        char c = *t->at++;

        t->line += c == '\n';
        return c;
}

static void skip_line(Text *t)
{
        while (t->at < t->end && !is_line_end(*t->at))
                t->at++;
}

static void put(Text *t, char c)
{
        buffer_append_char(&t->assignment, c);
        t->keep = buffer_len(&t->assignment);
}

/* --- values --- */

/* What is behind a backslash in "…". */
static void read_quoted_escape(Text *t)
{
        char c = take(t);

        if (c == '\n')
                return;
        if (!strchr("\"\\`$", c))
                put(t, '\\');
        put(t, c);
}

/* Behind the opening quote. */
static int read_quoted(Text *t, char quote)
{
        int opened = t->line;

        while (t->at < t->end) {
                char c = take(t);

                if (c == quote)
                        return 0;
                if (c == '\\' && quote == '"' && t->at < t->end)
                        read_quoted_escape(t);
                else
                        put(t, c);
        }
        return settings_fault(t->error, t->file, opened, "a quote is not closed: expected another "
                                                         "%c",
                              quote);
}

static void read_bare(Text *t)
{
        while (t->at < t->end && !is_line_end(*t->at)) {
                char c = take(t);

                if (c == '\\' && t->at < t->end) {
                        c = take(t);
                        if (c != '\n')
                                put(t, c);
                } else if (is_blank(c)) {
                        buffer_append_char(&t->assignment, c);
                } else {
                        put(t, c);
                }
        }
}

/* Pieces in quotes may follow each other, and a bare one them. */
static int read_value(Text *t)
{
        int r = 0;

        while (r == 0 && t->at < t->end && !is_line_end(*t->at)) {
                if (is_blank(*t->at)) {
                        t->at++;
                } else if (*t->at == '\'' || *t->at == '"') {
                        char quote = take(t);

                        r = read_quoted(t, quote);
                } else {
                        read_bare(t);
                }
        }
        return r;
}

/* --- lines --- */

static int read_name(Text *t)
{
        const char *from = t->at, *end;

        while (t->at < t->end && *t->at != '=' && !is_line_end(*t->at))
                t->at++;
        for (end = t->at; end > from && is_blank(end[-1]);)
                end--;
        buffer_append(&t->assignment, from, (size_t)(end - from));
        if (t->at == t->end || *t->at != '=')
                return settings_fault(t->error, t->file, t->line,
                                      "expected NAME=value or a # comment");
        t->at++;
        put(t, '=');
        if (variable_name_valid(buffer_bytes(&t->assignment)))
                return 0;
        return settings_fault(t->error, t->file, t->line,
                              "expected the name of a variable, letters, digits and _, before '='");
}

static int read_line(Text *t, char ***environment)
{
        AUTO(free) char *text = NULL;
        int line = t->line, r;

        buffer_clear(&t->assignment, SIZE_MAX);
        r = read_name(t);
        if (r == 0)
                r = read_value(t);
        if (r < 0)
                return r;
        text = t->assignment.failed ? NULL : strndup(buffer_bytes(&t->assignment), t->keep);
        if (!text)
                return -ENOMEM;
        if (strlen(text) != t->keep || !utf8_valid((Slice){ text, t->keep }))
                return settings_fault(t->error, t->file, line, "expected UTF-8 without NUL");
        return set_variable(environment, text);
}

int environment_file_parse(char ***environment, const char *file, Slice text, SettingsError *error)
{
        Text t = { .file = file, .at = text.data, .end = text.data + text.len, .line = 1,
                   .error = error };
        int r = 0;

        while (r == 0 && t.at < t.end) {
                if (is_blank(*t.at) || is_line_end(*t.at))
                        (void)take(&t);
                else if (*t.at == '#' || *t.at == ';')
                        skip_line(&t);
                else
                        r = read_line(&t, environment);
        }
        buffer_fini(&t.assignment);
        return r;
}

/* --- files --- */

/* Returns 0, -ENOMEM, -EACCES, or -EINVAL with *error filled. */
static int read_file(PoolSettings *p, const char *path, SettingsError *error)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        AUTO(free) char *text = NULL;
        struct stat st;
        ssize_t n;

        if (fd < 0 && errno == EACCES)
                return -EACCES;
        if (fd < 0 || fstat(fd, &st) < 0)
                return settings_fault(error, p->file, p->lines[POOL_ROW_environment_files],
                                      "EnvironmentFile=%.*s: cannot be read: %s",
                                      shown_length(path, 200), path, strerror(errno));
        if (!S_ISREG(st.st_mode) || st.st_size > LARGEST_FILE)
                return settings_fault(error, p->file, p->lines[POOL_ROW_environment_files],
                                      "EnvironmentFile=%.*s: expected a regular file of at most 1M",
                                      shown_length(path, 200), path);
        text = malloc((size_t)st.st_size + 1);
        n = text ? fd_read_all(fd, text, (size_t)st.st_size) : -ENOMEM;
        if (n < 0 && n != -ENOMEM)
                return settings_fault(error, path, 0, "cannot be read: %s", strerror((int)-n));
        return n < 0 ? (int)n
                     : environment_file_parse(&p->file_environment, path,
                                              (Slice){ text, (size_t)n }, error);
}

static int note_denied(PoolSettings *p, const char *path)
{
        if (!p->denied_file)
                p->denied_file = strdup(path);
        return p->denied_file ? 0 : -ENOMEM;
}

/* A path or a pattern of paths, sorted; one without a match is its own. */
static int read_matching(PoolSettings *p, const char *pattern, SettingsError *error)
{
        bool optional = *pattern == '-';
        glob_t found = { 0 };
        int r = glob(pattern + optional, 0, NULL, &found);

        if (r == GLOB_NOSPACE) {
                globfree(&found);
                return -ENOMEM;
        }
        if (found.gl_pathc == 0 && !optional)
                r = read_file(p, pattern, error);
        else
                r = 0;
        if (r == -EACCES)
                r = note_denied(p, pattern);
        for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
                r = read_file(p, found.gl_pathv[i], error);
                if (r == -EACCES)
                        r = note_denied(p, found.gl_pathv[i]);
        }
        globfree(&found);
        return r;
}

int environment_files_read(PoolSettings *p, SettingsError *error)
{
        int r = 0;

        for (char **file = p->environment_files; r == 0 && file && *file; file++)
                r = read_matching(p, *file, error);
        return r;
}
