/* SPDX-License-Identifier: MIT */

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "manual.h"

void manual_text(FILE *out, const char *text)
{
        for (; *text; text++) {
                if (strchr("\\*_`#[]<>~^", *text))
                        fputc('\\', out);
                fputc(*text, out);
        }
}

/* Is the first word of the text a value of the setting? */
static bool begins_with_value(const Setting *s, const char *text)
{
        size_t n = strcspn(text, " ,;");

        for (const char *const *w = s->type->words; w && *w; w++)
                if (strlen(*w) == n && memcmp(*w, text, n) == 0)
                        return true;
        return false;
}

/* A sentence: a capital first, but for values, which are spelled as they are, and a full stop. */
static void write_help(FILE *out, const Setting *s)
{
        char first[] = { s->help[0], '\0' };

        if (!begins_with_value(s, s->help))
                first[0] = (char)toupper((unsigned char)first[0]);
        manual_text(out, first);
        manual_text(out, s->help + 1);
        fputc('.', out);
}

static void write_setting(FILE *out, const Setting *s)
{
        char expected[256];

        fprintf(out, "*%s=*\n\t", s->key);
        write_help(out, s);
        fputs("\n\n\tExpected: ", out);
        manual_text(out, setting_expected(s, expected, sizeof(expected)));
        if (!s->fallback)
                fputs("; not set by default\n\n", out);
        else {
                fputs("; default: *", out);
                manual_text(out, s->fallback);
                fputs("*\n\n", out);
        }
}

void manual_section(FILE *out, const Setting *table, unsigned n, const char *section)
{
        for (unsigned i = 0; i < n; i++)
                if (strcmp(table[i].section, section) == 0)
                        write_setting(out, &table[i]);
}
