/* SPDX-License-Identifier: MIT */

#include "ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <wchar.h>

#include "base/cleanup.h"

void table_init(Table *t, const char *const *headers, const char *align)
{
        *t = (Table){ .headers = headers, .align = align };
        while (headers[t->n_columns])
                t->n_columns++;
        t->widths = calloc(t->n_columns, sizeof(*t->widths));
        t->failed = !t->widths;
}

static void forget_cells(Table *t)
{
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i].text);
        t->n_cells = 0;
}

void table_fini(Table *t)
{
        forget_cells(t);
        free(t->cells);
        free(t->widths);
}

/* Columns that text takes on a terminal. */
static unsigned shown_width(const char *text)
{
        const char *end = text;
        unsigned width = 0;

        while ((signed char)*end > 0) /* control characters are escaped already */
                end++;
        if (!*end)
                return (unsigned)(end - text);
        if (mbstowcs(NULL, text, 0) == (size_t)-1)
                return (unsigned)strlen(text);
        for (mbstate_t state = { 0 }; *text;) {
                wchar_t c;
                size_t used = mbrtowc(&c, text, MB_CUR_MAX, &state);
                int w;

                if (used == 0 || used > MB_CUR_MAX)
                        break;
                w = wcwidth(c);
                width += w > 0 ? (unsigned)w : 0;
                text += used;
        }
        return width;
}

static bool make_room(Table *t)
{
        size_t capacity = t->capacity ? t->capacity * 2 : 128;
        TableCell *cells;

        if (t->n_cells < t->capacity)
                return true;
        cells = reallocarray(t->cells, capacity, sizeof(*cells));
        if (!cells)
                return false;
        t->cells = cells;
        t->capacity = capacity;
        return true;
}

void table_cell(Table *t, Colour colour, const char *format, ...)
{
        Buffer b = BUFFER_INIT;
        char *text;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n >= 0)
                append_shown(&b, (Slice){ text, (size_t)n }, false);
        buffer_append_char(&b, '\0');
        if (n < 0 || b.failed || !make_room(t))
                t->failed = true;
        else /* nothing was read from the buffer: what it owns is the text */
                t->cells[t->n_cells++] = (TableCell){ MOVE_PTR(b.data), colour };
        if (n >= 0)
                free(text);
        buffer_fini(&b);
}

static void measure(Table *t)
{
        for (unsigned c = 0; c < t->n_columns; c++)
                t->widths[c] = MAX(t->widths[c], shown_width(t->headers[c]));
        for (size_t i = 0; i < t->n_cells; i++) {
                unsigned *w = &t->widths[i % t->n_columns];

                *w = MAX(*w, shown_width(t->cells[i].text));
        }
}

/* Blanks before a cell that is empty are nothing to look at. */
static void end_row(Buffer *b)
{
        while (buffer_len(b) && b->data[b->end - 1] == ' ')
                b->end--;
        buffer_append_char(b, '\n');
}

static void append_cell(Buffer *b, const Table *t, unsigned column, const char *text, Colour colour)
{
        unsigned gap = t->widths[column] - shown_width(text);
        bool right = t->align[column] == 'r', last = column + 1 == t->n_columns;

        for (unsigned i = 0; right && i < gap; i++)
                buffer_append_char(b, ' ');
        if (*text) {
                buffer_append_string(b, colour_on(colour));
                buffer_append_string(b, text);
                buffer_append_string(b, colour_off(colour));
        }
        for (unsigned i = 0; !right && !last && i < gap; i++)
                buffer_append_char(b, ' ');
        if (last)
                end_row(b);
        else
                buffer_append_literal(b, "  ");
}

static void append_indent(Buffer *b, unsigned indent)
{
        while (indent--)
                buffer_append_char(b, ' ');
}

void table_print(Table *t, unsigned indent)
{
        Buffer b = BUFFER_INIT;

        if (t->failed) {
                say("out of memory");
                return;
        }
        measure(t);
        if (!t->headed)
                append_indent(&b, indent);
        for (unsigned c = 0; !t->headed && c < t->n_columns; c++)
                append_cell(&b, t, c, t->headers[c], BOLD);
        t->headed = true;
        for (size_t i = 0; i < t->n_cells; i++) {
                unsigned column = (unsigned)(i % t->n_columns);

                if (column == 0)
                        append_indent(&b, indent);
                append_cell(&b, t, column, t->cells[i].text, t->cells[i].colour);
        }
        print_buffer(&b);
        buffer_fini(&b);
        forget_cells(t);
}
