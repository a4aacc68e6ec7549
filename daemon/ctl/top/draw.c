/* SPDX-License-Identifier: MIT */

/* From top to bottom: what is wrong with the daemon, if anything is; it, its jobs and rates; the
 * names of the tables; the headers of the columns; the rows; one line for words. The lower the
 * screen, the fewer of the first ones there are. */

#include "ctl/top/draw.h"

#include <stdio.h>
#include <string.h>

#include "ctl/top/screen.h"

#define HINT "? help  Enter look  / filter  < > sort  z pause  k cancel  q quit"

typedef struct Area {
        unsigned rows, columns;
        unsigned at; /* the next row to be drawn */
} Area;

static void put_line(Area *a, Colour colour, unsigned look, const char *text)
{
        if (a->at < a->rows)
                screen_put(a->at++, 0, a->columns, colour, look, text);
}

/* The next line of the text at *from, which goes on behind it. */
static bool next_line(const char **from, char *to, size_t size)
{
        size_t n = strcspn(*from, "\n");

        if (!**from)
                return false;
        (void)snprintf(to, size, "%.*s", (int)MIN(n, size - 1), *from);
        *from += n + ((*from)[n] == '\n');
        return true;
}

/* --- above the rows --- */

static unsigned head_lines(unsigned rows)
{
        if (rows < 5)
                return 0;
        return rows < 10 ? 1 : 5;
}

static void draw_head(Area *a, const TopModel *m)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        bool ill = m->now->ailment[0] != '\0';
        unsigned left = head_lines(a->rows);
        char line[1024];
        const char *p;

        top_append_head(&b, m);
        buffer_append_char(&b, '\0');
        p = b.failed ? "" : buffer_bytes(&b);
        for (; left && next_line(&p, line, sizeof(line)); left--) {
                put_line(a, ill ? RED : PLAIN, ill ? SCREEN_REVERSE : SCREEN_PLAIN, line);
                ill = false;
        }
}

/* "pools  workers  handlers  jobs", the one that is shown in reverse; and the filter. */
static void draw_tabs(Area *a, const TopUi *ui)
{
        unsigned column = 0;
        char filter[96];

        if (a->rows < 10)
                return;
        put_line(a, PLAIN, SCREEN_PLAIN, "");
        for (TopView v = 0; v < TOP_N_VIEWS && column + 12 < a->columns; v++) {
                char name[16];

                (void)snprintf(name, sizeof(name), " %s ", top_view_name(v));
                screen_put(a->at - 1, column, (unsigned)strlen(name),
                           v == ui->view ? BOLD : FAINT,
                           v == ui->view ? SCREEN_REVERSE : SCREEN_PLAIN, name);
                column += (unsigned)strlen(name) + 1;
        }
        (void)snprintf(filter, sizeof(filter), "only: %s", ui->filter);
        if (ui->filter[0] && column + 8 < a->columns)
                screen_put(a->at - 1, column, a->columns - column, YELLOW, SCREEN_PLAIN, filter);
}

/* --- rows --- */

/* Text is filled up on the right, numbers on the left. */
static void put_cell(unsigned row, unsigned column, unsigned width, TopKind kind, Colour colour,
                     unsigned look, const char *text)
{
        bool left = kind == TOP_TEXT || kind == TOP_STATE || kind == TOP_BUSY;
        char cut[1024];
        unsigned used = top_clip(text, width, cut, sizeof(cut));

        screen_put(row, column + (left ? 0 : width - used), left ? width : used, colour, look, cut);
}

static void draw_headers(Area *a, const TopUi *ui, const unsigned *widths)
{
        unsigned n, column = 0;
        const TopColumn *columns = top_columns(ui->view, &n);

        put_line(a, PLAIN, SCREEN_REVERSE, "");
        for (unsigned i = 0; i < n; i++) {
                unsigned look = SCREEN_REVERSE | (i == ui->sort[ui->view] ? SCREEN_UNDERLINE : 0);

                if (!widths[i])
                        continue;
                put_cell(a->at - 1, column, widths[i], columns[i].kind, PLAIN, look,
                         columns[i].header);
                column += widths[i] + 1;
        }
}

static void draw_row(Area *a, TopView view, const void *row, const unsigned *widths, bool chosen)
{
        unsigned n, column = 0, look = chosen ? SCREEN_REVERSE : SCREEN_PLAIN;
        const TopColumn *columns = top_columns(view, &n);
        TopCell cell;

        put_line(a, PLAIN, look, "");
        for (unsigned i = 0; i < n; i++) {
                if (!widths[i])
                        continue;
                top_cell(&columns[i], row, &cell);
                put_cell(a->at - 1, column, widths[i], columns[i].kind, cell.colour, look,
                         cell.text);
                column += widths[i] + 1;
        }
}

static void scroll_to_cursor(TopUi *ui)
{
        if (ui->cursor < ui->first)
                ui->first = ui->cursor;
        if (ui->body && ui->cursor >= ui->first + ui->body)
                ui->first = ui->cursor - ui->body + 1;
        if (ui->first + ui->body > ui->n)
                ui->first = ui->n > ui->body ? ui->n - ui->body : 0;
}

static void draw_rows(Area *a, TopUi *ui, const TopModel *m, const unsigned *widths)
{
        char words[96];

        scroll_to_cursor(ui);
        (void)snprintf(words, sizeof(words), ui->filter[0] ? "no such %s" : "no %s",
                       top_view_name(ui->view));
        if (!ui->n && ui->body)
                put_line(a, FAINT, SCREEN_PLAIN, words);
        for (uint32_t i = ui->first; i < ui->n && i < ui->first + ui->body; i++)
                draw_row(a, ui->view, top_row(m, ui->view, ui->order[i]), widths,
                         i == ui->cursor);
}

/* --- below them --- */

static void draw_words(const Area *a, const TopUi *ui)
{
        char typed[96];

        (void)snprintf(typed, sizeof(typed), "only: %s_", ui->filter);
        if (a->rows < 3)
                return;
        if (ui->mode == TOP_TYPING)
                screen_put(a->rows - 1, 0, a->columns, YELLOW, SCREEN_PLAIN, typed);
        else if (ui->words[0])
                screen_put(a->rows - 1, 0, a->columns, ui->bad ? RED : BOLD, SCREEN_PLAIN,
                           ui->words);
        else if (ui->mode == TOP_PAGE)
                screen_put(a->rows - 1, 0, a->columns, FAINT, SCREEN_PLAIN,
                           "q back  Up Down PgUp PgDn move");
        else
                screen_put(a->rows - 1, 0, a->columns, FAINT, SCREEN_PLAIN, HINT);
}

static unsigned room_for_body(const Area *a)
{
        unsigned foot = a->rows < 3 ? 0 : 1;

        return a->rows > a->at + foot ? a->rows - a->at - foot : 0;
}

static void draw_table(Area *a, TopUi *ui, const TopModel *m)
{
        unsigned widths[TOP_MAX_COLUMNS];

        top_fit(m, ui->view, a->columns, widths);
        draw_head(a, m);
        draw_tabs(a, ui);
        draw_headers(a, ui, widths);
        ui->body = room_for_body(a);
        draw_rows(a, ui, m, widths);
}

static void draw_page(Area *a, TopUi *ui, const TopModel *m)
{
        AUTO(buffer_fini) Buffer text = BUFFER_INIT;
        const char *p = "";
        char line[1024];

        buffer_append_slice(&text, buffer_slice(&ui->page));
        buffer_append_char(&text, '\0');
        if (!text.failed)
                p = buffer_bytes(&text);
        if (m->now->ailment[0])
                draw_head(&(Area){ MIN(a->rows, 5u), a->columns, 0 }, m);
        a->at = m->now->ailment[0] && a->rows >= 5 ? 1 : 0;
        put_line(a, BOLD, SCREEN_REVERSE, ui->title);
        ui->body = room_for_body(a);
        for (unsigned i = 0; i < ui->page_first; i++)
                (void)next_line(&p, line, sizeof(line));
        for (unsigned i = 0; i < ui->body && next_line(&p, line, sizeof(line)); i++)
                put_line(a, PLAIN, SCREEN_PLAIN, line);
}

void top_draw(TopUi *ui, const TopModel *m)
{
        Area a = { 0 };

        screen_measure(&a.rows, &a.columns);
        screen_begin();
        if (ui->mode == TOP_PAGE)
                draw_page(&a, ui, m);
        else
                draw_table(&a, ui, m);
        draw_words(&a, ui);
        screen_end();
}
