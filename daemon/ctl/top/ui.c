/* SPDX-License-Identifier: MIT */

#include "ctl/top/ui.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "ctl/top/screen.h"

void top_ui_init(TopUi *ui)
{
        *ui = (TopUi){ .page = BUFFER_INIT };
        for (TopView v = 0; v < TOP_N_VIEWS; v++) {
                ui->sort[v] = top_first_sort(v);
                ui->down[v] = top_sorts_down(v, ui->sort[v]);
        }
}

void top_ui_fini(TopUi *ui)
{
        free(ui->order);
        buffer_fini(&ui->page);
}

void top_ui_say(TopUi *ui, bool bad, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(ui->words, sizeof(ui->words), format, ap);
        va_end(ap);
        ui->bad = bad;
}

Buffer *top_ui_open_page(TopUi *ui, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(ui->title, sizeof(ui->title), format, ap);
        va_end(ap);
        buffer_clear(&ui->page, 65536);
        ui->page_first = 0;
        ui->words[0] = '\0';
        ui->mode = TOP_PAGE;
        return &ui->page;
}

/* --- rows --- */

static void select_row(TopUi *ui, const TopModel *m)
{
        ui->selected[0] = '\0';
        if (ui->n)
                (void)snprintf(ui->selected, sizeof(ui->selected), "%s",
                               top_row_name(m, ui->view, ui->order[ui->cursor]));
}

static bool is_selected(const TopUi *ui, const TopModel *m, uint32_t i)
{
        return strcmp(top_row_name(m, ui->view, ui->order[i]), ui->selected) == 0;
}

/* The cursor goes with its row; where that is gone, it stays at its place. */
static void find_cursor(TopUi *ui, const TopModel *m)
{
        if (ui->cursor < ui->n && is_selected(ui, m, ui->cursor))
                return; /* of two with one name, it is this one */
        for (uint32_t i = 0; i < ui->n; i++)
                if (is_selected(ui, m, i)) {
                        ui->cursor = i;
                        return;
                }
        if (ui->cursor >= ui->n)
                ui->cursor = ui->n ? ui->n - 1 : 0;
        select_row(ui, m);
}

int top_ui_update(TopUi *ui, const TopModel *m)
{
        uint32_t *order = reallocarray(ui->order, top_n_rows(m, ui->view) + 1, sizeof(*order));
        int64_t n;

        if (!order)
                return -ENOMEM;
        ui->order = order;
        n = top_order(m, ui->view, ui->sort[ui->view], ui->down[ui->view], ui->filter, order);
        if (n < 0)
                return (int)n;
        ui->n = (uint32_t)n;
        find_cursor(ui, m);
        return 0;
}

const void *top_ui_row(const TopUi *ui, const TopModel *m)
{
        return ui->n ? top_row(m, ui->view, ui->order[ui->cursor]) : NULL;
}

static void move(TopUi *ui, const TopModel *m, int64_t by)
{
        int64_t to = (int64_t)ui->cursor + by;

        to = MAX(0, MIN(to, (int64_t)ui->n - 1));
        ui->cursor = ui->n ? (uint32_t)to : 0;
        select_row(ui, m);
}

/* --- keys in a table --- */

static void look_at(TopUi *ui, const TopModel *m, TopView v)
{
        ui->view = v;
        ui->cursor = ui->first = 0;
        ui->selected[0] = '\0';
        (void)top_ui_update(ui, m);
}

static void say_sort(TopUi *ui)
{
        unsigned n;
        const TopColumn *c = &top_columns(ui->view, &n)[ui->sort[ui->view]];

        top_ui_say(ui, false, "sorted by %s (%s), %s", c->header, c->help,
                   ui->down[ui->view] ? "greatest first" : "least first");
}

static void sort_by_next(TopUi *ui, const TopModel *m, unsigned step)
{
        unsigned n, i = ui->sort[ui->view];
        const TopColumn *columns = top_columns(ui->view, &n);

        do
                i = (i + n + step) % n;
        while (!columns[i].header);
        ui->sort[ui->view] = i;
        ui->down[ui->view] = top_sorts_down(ui->view, i);
        (void)top_ui_update(ui, m);
        say_sort(ui);
}

static void reverse(TopUi *ui, const TopModel *m)
{
        ui->down[ui->view] = !ui->down[ui->view];
        (void)top_ui_update(ui, m);
        say_sort(ui);
}

static TopWish ask_to_cancel(TopUi *ui, const TopModel *m)
{
        const void *row = top_ui_row(ui, m);
        const char *job = "";

        if (row && ui->view == TOP_JOBS)
                job = ((const TopJob *)row)->id;
        else if (row && ui->view == TOP_WORKERS)
                job = ((const TopWorker *)row)->job;
        if (!*job) {
                top_ui_say(ui, true, "there is no job here to be cancelled: choose one with j");
                return TOP_WISH_NOTHING;
        }
        (void)snprintf(ui->job, sizeof(ui->job), "%s", job);
        top_ui_say(ui, false, "cancel job %s? (y/n)", job);
        ui->mode = TOP_CONFIRM;
        return TOP_WISH_NOTHING;
}

static void show_help(TopUi *ui)
{
        unsigned n;
        const TopColumn *columns = top_columns(ui->view, &n);
        Buffer *b = top_ui_open_page(ui, "Help");

        buffer_append_literal(b, "p w h j     pools, workers, handlers, running jobs\n"
                                 "Up Down     choose a row; PgUp, PgDn, Home, End go further\n"
                                 "Enter       look into it\n"
                                 "< >, s      sort by the column before, after; the next one\n"
                                 "r           the other way round\n"
                                 "/           only rows that have this text; Esc: all\n"
                                 "z           pause the pool of the row, or resume it\n"
                                 "k           cancel the job of the row\n"
                                 "Ctrl-L      draw it anew\n"
                                 "q, Ctrl-C   quit; here: back\n\n");
        buffer_printf(b, "Columns of %s, with more room more of them:\n", top_view_name(ui->view));
        for (unsigned i = 0; i < n; i++)
                if (columns[i].header)
                        buffer_printf(b, "%-11s %s\n", columns[i].header, columns[i].help);
        buffer_append_literal(b, "\nW50 W95 W99: how long jobs waited when they could run; R50 R95 "
                                 "R99: how long\nthey ran; 50, 95 and 99 of 100 took no longer. "
                                 "Rates and times are of the last\n10 s, when there was a look "
                                 "that long ago. - means: nothing happened.\n");
}

static TopWish list_key(TopUi *ui, const TopModel *m, int key)
{
        int64_t page = MAX(ui->body, 2u) - 1;

        ui->words[0] = '\0';
        switch (key) {
        case 'q':
                return TOP_WISH_QUIT;
        case 'p':
                look_at(ui, m, TOP_POOLS);
                break;
        case 'w':
                look_at(ui, m, TOP_WORKERS);
                break;
        case 'h':
                look_at(ui, m, TOP_HANDLERS);
                break;
        case 'j':
                look_at(ui, m, TOP_JOBS);
                break;
        case SCREEN_UP:
                move(ui, m, -1);
                break;
        case SCREEN_DOWN:
                move(ui, m, 1);
                break;
        case SCREEN_PAGE_UP:
                move(ui, m, -page);
                break;
        case SCREEN_PAGE_DOWN:
        case ' ':
                move(ui, m, page);
                break;
        case SCREEN_HOME:
                move(ui, m, -(int64_t)ui->n);
                break;
        case SCREEN_END:
                move(ui, m, ui->n);
                break;
        case '<':
        case SCREEN_LEFT:
                sort_by_next(ui, m, UINT32_MAX); /* one less */
                break;
        case '>':
        case SCREEN_RIGHT:
        case 's':
                sort_by_next(ui, m, 1);
                break;
        case 'r':
                reverse(ui, m);
                break;
        case '/':
                ui->mode = TOP_TYPING;
                break;
        case SCREEN_ESCAPE:
                ui->filter[0] = '\0';
                (void)top_ui_update(ui, m);
                break;
        case '?':
                show_help(ui);
                break;
        case SCREEN_ENTER:
                return TOP_WISH_LOOK;
        case 'z':
                return TOP_WISH_PAUSE;
        case 'k':
                return ask_to_cancel(ui, m);
        default:
                if (key != SCREEN_OTHER)
                        top_ui_say(ui, false, "this key means nothing here; ? shows those that do");
        }
        return TOP_WISH_NOTHING;
}

/* --- and elsewhere --- */

static void type(TopUi *ui, int key)
{
        size_t n = strlen(ui->filter);
        mbstate_t state = { 0 };
        char bytes[64];
        size_t more;

        if (key == SCREEN_BACKSPACE) {
                while (n && (ui->filter[n - 1] & 0xc0) == 0x80)
                        n--;
                ui->filter[n ? n - 1 : 0] = '\0';
                return;
        }
        if (key >= SCREEN_BACKSPACE || !iswprint((wint_t)key))
                return;
        more = wcrtomb(bytes, (wchar_t)key, &state);
        if (more == (size_t)-1 || n + more >= sizeof(ui->filter))
                return;
        memcpy(ui->filter + n, bytes, more);
        ui->filter[n + more] = '\0';
}

static void typing_key(TopUi *ui, const TopModel *m, int key)
{
        if (key == SCREEN_ENTER || key == SCREEN_ESCAPE)
                ui->mode = TOP_LIST;
        if (key == SCREEN_ESCAPE)
                ui->filter[0] = '\0';
        else if (key != SCREEN_ENTER)
                type(ui, key);
        (void)top_ui_update(ui, m);
}

static TopWish confirm_key(TopUi *ui, int key)
{
        ui->mode = TOP_LIST;
        if (key == 'y' || key == 'Y')
                return TOP_WISH_CANCEL;
        top_ui_say(ui, false, "not cancelled");
        return TOP_WISH_NOTHING;
}

static unsigned count_lines(const Buffer *b)
{
        Slice text = buffer_slice(b);
        unsigned n = 0;

        for (size_t i = 0; i < text.len; i++)
                n += text.data[i] == '\n';
        return n;
}

static void scroll(TopUi *ui, int64_t by)
{
        int64_t last = (int64_t)count_lines(&ui->page) - ui->body;
        int64_t to = MIN((int64_t)ui->page_first + by, last);

        ui->page_first = (unsigned)MAX(to, 0);
}

static TopWish page_key(TopUi *ui, int key)
{
        int64_t page = MAX(ui->body, 2u) - 1;

        switch (key) {
        case SCREEN_UP:
                scroll(ui, -1);
                break;
        case SCREEN_DOWN:
                scroll(ui, 1);
                break;
        case SCREEN_PAGE_UP:
                scroll(ui, -page);
                break;
        case SCREEN_PAGE_DOWN:
        case ' ':
                scroll(ui, page);
                break;
        case SCREEN_HOME:
                scroll(ui, -(int64_t)UINT32_MAX);
                break;
        case SCREEN_END:
                scroll(ui, UINT32_MAX);
                break;
        case 'q':
        case '?':
        case SCREEN_ESCAPE:
        case SCREEN_ENTER:
                ui->mode = TOP_LIST;
                ui->words[0] = '\0';
                return TOP_WISH_CLOSE;
        default:
                break;
        }
        return TOP_WISH_NOTHING;
}

TopWish top_ui_key(TopUi *ui, const TopModel *m, int key)
{
        switch (ui->mode) {
        case TOP_TYPING:
                typing_key(ui, m, key);
                return TOP_WISH_NOTHING;
        case TOP_CONFIRM:
                return confirm_key(ui, key);
        case TOP_PAGE:
                return page_key(ui, key);
        default:
                return list_key(ui, m, key);
        }
}
