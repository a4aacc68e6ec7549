/* SPDX-License-Identifier: MIT */

/* brood-manual TEMPLATE OUT: makes a manual page's scdoc(5) source from its template and the tables
 * of this tree. In the template, these lines are replaced:
 *
 *     @title NAME(SECTION)     scdoc's first line, with the version
 *     @page brood.conf         the table is that of brood.conf; or brood.pool
 *     @section NAME            the settings of a section, behind its heading and the text up to
 *     @end                     here; nothing at all if the table has no such section
 *     @sections                all sections that no @section has named
 *     @types, @methods, @errors    of io.brood
 *
 * and the directory of the config is that of this build wherever it is named as /etc/brood.
 *
 * So no setting, method or type can be missing in the manual. How the value of a setting is spelled
 * is what the daemon's error messages say: it comes with the setting's type. */

#include "manual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "io.brood.h"

enum { MOST_SECTIONS = 32 };

typedef struct Page {
        const char *name; /* of the template */
        FILE *in, *out;
        int line;
        const Setting *table;
        unsigned n;
        const char *done[MOST_SECTIONS]; /* sections that were written */
        unsigned n_done;
        bool hidden; /* between an @section that does not exist and its @end */
        const char *section; /* its settings are due at @end; NULL: none are */
} Page;

static void fail(const Page *p, const char *what, const char *word)
{
        fprintf(stderr, "%s:%d: %s %s\n", p->name, p->line, what, word);
        exit(1);
}

/* The table's own spelling of a section's name, or NULL. */
static const char *find_section(const Page *p, const char *name)
{
        for (unsigned i = 0; i < p->n; i++)
                if (strcmp(p->table[i].section, name) == 0)
                        return p->table[i].section;
        return NULL;
}

static bool is_done(const Page *p, const char *section)
{
        for (unsigned i = 0; i < p->n_done; i++)
                if (strcmp(p->done[i], section) == 0)
                        return true;
        return false;
}

static void begin_section(Page *p, const char *section)
{
        if (p->n_done == MOST_SECTIONS || is_done(p, section))
                fail(p, "once too often:", section);
        p->done[p->n_done++] = section;
        fprintf(p->out, "## [%s]\n\n", section);
}

static void open_section(Page *p, const char *name)
{
        if (p->hidden || p->section)
                fail(p, "an @end is missing before @section", name);
        p->section = find_section(p, name);
        p->hidden = !p->section;
        if (p->section)
                begin_section(p, p->section);
}

static void close_section(Page *p)
{
        if (!p->hidden && !p->section)
                fail(p, "no @section before this", "@end");
        if (p->section)
                manual_section(p->out, p->table, p->n, p->section);
        p->section = NULL;
        p->hidden = false;
}

static void write_other_sections(Page *p)
{
        for (unsigned i = 0; i < p->n; i++)
                if (!is_done(p, p->table[i].section)) {
                        begin_section(p, p->table[i].section);
                        manual_section(p->out, p->table, p->n, p->table[i].section);
                }
}

static void choose_table(Page *p, const char *name)
{
        if (strcmp(name, "brood.conf") == 0) {
                p->table = daemon_settings;
                p->n = N_DAEMON_SETTINGS;
        } else if (strcmp(name, "brood.pool") == 0) {
                p->table = pool_settings;
                p->n = N_POOL_SETTINGS;
        } else
                fail(p, "no table for", name);
}

static void write_members(Page *p, const char *keyword)
{
        if (manual_members(p->out, IO_BROOD_TEXT, keyword) == 0)
                fail(p, "io.brood has no", keyword);
}

static void directive(Page *p, char *line)
{
        char *argument = line + strcspn(line, " ");

        if (*argument)
                *argument++ = '\0';
        if (strcmp(line, "@title") == 0)
                fprintf(p->out, "%s \"brood %s\" \"brood\"\n", argument, BROOD_VERSION);
        else if (strcmp(line, "@page") == 0)
                choose_table(p, argument);
        else if (strcmp(line, "@section") == 0)
                open_section(p, argument);
        else if (strcmp(line, "@end") == 0)
                close_section(p);
        else if (strcmp(line, "@sections") == 0)
                write_other_sections(p);
        else if (strcmp(line, "@types") == 0)
                write_members(p, "type");
        else if (strcmp(line, "@methods") == 0)
                write_members(p, "method");
        else if (strcmp(line, "@errors") == 0)
                write_members(p, "error");
        else
                fail(p, "unknown:", line);
}

static void write_line(FILE *out, const char *line)
{
        static const char usual[] = "/etc/brood";

        for (const char *at; (at = strstr(line, usual)); line = at + strlen(usual))
                fprintf(out, "%.*s%s", (int)(at - line), line, BROOD_CONFIG_DIR);
        fprintf(out, "%s\n", line);
}

static void write_page(Page *p)
{
        char *line = NULL;
        size_t size = 0;
        ssize_t n;

        while ((n = getline(&line, &size, p->in)) > 0) {
                p->line++;
                if (line[n - 1] == '\n')
                        line[n - 1] = '\0';
                if (line[0] == '@')
                        directive(p, line);
                else if (!p->hidden)
                        write_line(p->out, line);
        }
        free(line);
        if (p->hidden || p->section)
                fail(p, "no @end", "at the end");
        for (unsigned i = 0; i < p->n; i++)
                if (!is_done(p, p->table[i].section))
                        fail(p, "no @sections, and so none of", p->table[i].section);
}

int main(int argc, char **argv)
{
        Page p = { 0 };

        if (argc != 3) {
                fprintf(stderr, "usage: brood-manual TEMPLATE OUT\n");
                return 2;
        }
        p.name = argv[1];
        p.in = fopen(argv[1], "re");
        p.out = p.in ? fopen(argv[2], "we") : NULL;
        if (!p.out) {
                fprintf(stderr, "%s: %s\n", argv[p.in ? 2 : 1], strerror(errno));
                return 1;
        }
        write_page(&p);
        (void)fclose(p.in);
        if (ferror(p.out) | fclose(p.out)) {
                fprintf(stderr, "%s: cannot be written\n", argv[2]);
                return 1;
        }
        return 0;
}
