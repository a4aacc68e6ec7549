/* SPDX-License-Identifier: MIT */

/* The file is shown as it is, so it is taken apart by its lines and not by our parser, which keeps
 * no comments: a member begins in the first column with its keyword, and goes on until its brackets
 * are closed; the comment lines straight before it belong to it. */

#include <stdbool.h>
#include <string.h>

#include "manual.h"

/* The line at `p`, without its end. */
static size_t line_length(const char *p)
{
        return strcspn(p, "\n");
}

static const char *next_line(const char *p)
{
        p += line_length(p);
        return *p ? p + 1 : p;
}

/* Where the comment lines before `member` begin; `member` if there are none. */
static const char *comment_before(const char *text, const char *member)
{
        const char *first = member;

        while (first > text) {
                const char *p = first - 1;

                while (p > text && p[-1] != '\n')
                        p--;
                if (*p != '#')
                        break;
                first = p;
        }
        return first;
}

/* One behind the last line of a member. */
static const char *end_of(const char *p)
{
        int depth = 0;
        bool opened = false;

        for (; *p; p = next_line(p)) {
                size_t n = line_length(p);

                for (size_t i = 0; i < n && p[i] != '#'; i++) {
                        depth += (p[i] == '(') - (p[i] == ')');
                        opened |= p[i] == '(';
                }
                /* of a method what it gives follows, on this line */
                if (opened && depth == 0)
                        return next_line(p);
        }
        return p;
}

/* The words of a comment as one paragraph. */
static void write_comment(FILE *out, const char *p, const char *end)
{
        char line[512];

        for (; p < end; p = next_line(p)) {
                size_t mark = strspn(p, "# ");

                (void)snprintf(line, sizeof(line), "%.*s", (int)(line_length(p) - mark), p + mark);
                fputc('\t', out);
                manual_text(out, line);
                fputc('\n', out);
        }
}

static void write_member(FILE *out, const char *comment, const char *member, const char *end)
{
        const char *name = member + strcspn(member, " ") + 1;

        fprintf(out, "*%.*s*\n", (int)strcspn(name, " ("), name);
        write_comment(out, comment, member);
        fputs(comment < member ? "\n" : "", out);
        fputs("\t```\n", out);
        for (const char *p = member; p < end; p = next_line(p)) {
                fputc('\t', out);
                (void)fwrite(p, 1, line_length(p), out); /* main() asks how it went */
                fputc('\n', out);
        }
        fputs("\t```\n\n", out);
}

unsigned manual_members(FILE *out, const char *text, const char *keyword)
{
        size_t length = strlen(keyword);
        unsigned n = 0;

        for (const char *p = text; *p; p = next_line(p))
                if (strncmp(p, keyword, length) == 0 && p[length] == ' ') {
                        write_member(out, comment_before(text, p), p, end_of(p));
                        n++;
                }
        return n;
}
