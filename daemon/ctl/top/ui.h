/* SPDX-License-Identifier: MIT */
#pragma once

/* What the user of `top` looks at: which table, which row, how sorted. No terminal, no daemon. */

#include "ctl/top/table.h"

typedef enum TopMode {
        TOP_LIST,    /* a table */
        TOP_TYPING,  /* the filter below it is being typed */
        TOP_CONFIRM, /* the question below it is to be answered with y or n */
        TOP_PAGE,    /* a text */
} TopMode;

/* What a key asks for that others have to do. */
typedef enum TopWish {
        TOP_WISH_NOTHING,
        TOP_WISH_QUIT,
        TOP_WISH_LOOK,   /* into the row under the cursor */
        TOP_WISH_PAUSE,  /* or resume, its pool */
        TOP_WISH_CANCEL, /* its job, asked before */
        TOP_WISH_CLOSE,  /* the page was closed */
} TopWish;

typedef struct TopUi {
        TopMode mode;
        TopView view;
        unsigned sort[TOP_N_VIEWS];
        bool down[TOP_N_VIEWS];
        char filter[64];
        uint32_t *order, n;   /* places of the rows that are shown */
        uint32_t cursor;      /* among them */
        uint32_t first;       /* at the top of the screen */
        char selected[96];    /* name of the row under the cursor; "": there is none */
        unsigned body;        /* lines that the screen had for rows or text */
        char words[512];      /* in the last line; "": none */
        bool bad;             /* they are bad news */
        char job[40];         /* to be cancelled */
        char title[160];      /* of the page */
        Buffer page;
        unsigned page_first;  /* line */
} TopUi;

void top_ui_init(TopUi *ui);
void top_ui_fini(TopUi *ui);

/* Finds rows and cursor again in another model, or after a change of view, sort or filter. Returns
 * 0 or -ENOMEM. */
int top_ui_update(TopUi *ui, const TopModel *m);

/* The row under the cursor; NULL: there is none. */
const void *top_ui_row(const TopUi *ui, const TopModel *m);

/* Does what a key means. */
TopWish top_ui_key(TopUi *ui, const TopModel *m, int key);

void top_ui_say(TopUi *ui, bool bad, const char *format, ...) PRINTF(3, 4);

/* Shows what is written into the page, which is empty at first. */
Buffer *top_ui_open_page(TopUi *ui, const char *format, ...) PRINTF(2, 3);
