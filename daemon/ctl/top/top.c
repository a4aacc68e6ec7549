/* SPDX-License-Identifier: MIT */

/* top: pools, workers, handlers and running jobs, as they are and were in the last seconds. All of
 * it is from the scoreboard, so that it answers when the daemon does not; only what its keys have
 * done goes by the socket. */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/board.h"
#include "ctl/connect.h"
#include "ctl/print.h"
#include "ctl/top/act.h"
#include "ctl/top/draw.h"
#include "ctl/top/print.h"
#include "ctl/top/screen.h"
#include "ctl/verbs.h"

#define SOON (50 * USEC_PER_MSEC) /* what the daemon has done is on the scoreboard by then */

enum { CTRL_L = 12 };

typedef struct Top {
        Ctl *ctl;
        BoardAt board;
        TopHistory history;
        TopModel model;
        TopUi ui;
        TopAct act;
        usec_t interval, next; /* by clock_monotonic() */
} Top;

static void top_fini(Top *t)
{
        top_model_fini(&t->model);
        top_history_fini(&t->history);
        top_ui_fini(&t->ui);
        top_ask_end(&t->act.ask);
        board_forget(&t->board);
}

static void top_fini_cleanup(Top *t)
{
        top_fini(t);
}

/* --- the scoreboard --- */

static int say_no_board(const Ctl *ctl, const char *path, int error)
{
        if (error == -ENOMEM)
                return ctl_no_memory();
        if (error == -EACCES || error == -EPERM)
                say("top: %s: %s: it is for root and the daemon's own user; RuntimeDirectoryMode="
                    "0750 in a drop-in of its unit opens it for its group",
                    path, strerror(-error));
        else if (error == -EBADMSG)
                say("top: %s: this is no scoreboard, or one of another version of broodd: ask with "
                    "the broodctl that came with it",
                    path);
        else
                say("top: %s: %s: the scoreboard of the broodd at %s is not there: is it running? "
                    "--runtime-directory=DIR says where it is",
                    path, strerror(-error), ctl->socket);
        return STATUS_UNREACHABLE;
}

/* A daemon that was started again has a scoreboard of its own. */
static void look_for_another(Top *t)
{
        BoardAt other;

        if (board_find(t->ctl, &other) < 0)
                return;
        board_forget(&t->board);
        t->board = other;
}

static int sample(Top *t)
{
        char words[256];
        TopSample *s;
        int r;

        board_refresh(&t->board);
        if (board_is_left(&t->board))
                look_for_another(t);
        r = top_sample_take(&t->board, &s);
        if (r < 0)
                return r;
        if (board_ailment(&t->board, words, sizeof(words)))
                memcpy(s->ailment, words, sizeof(words));
        top_model_fini(&t->model); /* it may be of a sample that is given up now */
        top_history_add(&t->history, s);
        return top_model_make(&t->model, s, top_history_base(&t->history));
}

/* --- without a screen --- */

static int show_once(Top *t)
{
        if (sample(t) < 0)
                return ctl_no_memory();
        if (option_given(t->ctl->options, OPTION_JSON))
                return top_print_json(&t->model);
        if (t->history.n_older)
                putchar('\n');
        top_print_text(&t->model);
        return STATUS_DONE;
}

/* Waits for the next one. False: nobody reads stdout any more. */
static bool wait_between(const Top *t)
{
        struct pollfd p = { .fd = STDOUT_FILENO };
        usec_t until = clock_monotonic() + t->interval, now;

        while ((now = clock_monotonic()) < until) {
                struct timespec left = { (time_t)((until - now) / USEC_PER_SEC),
                                         (long)((until - now) % USEC_PER_SEC) * 1000 };

                if (ppoll(&p, 1, &left, NULL) > 0)
                        return false;
        }
        return !ferror(stdout);
}

static int run_batch(Top *t)
{
        const OptionValue *n = &t->ctl->options->values[OPTION_BATCH];
        int64_t left = n->text && n->number ? n->number : 1;
        int status = show_once(t);

        while (status == STATUS_DONE && --left > 0 && wait_between(t))
                status = show_once(t);
        return status;
}

/* --- with one --- */

static usec_t wake_at(const Top *t)
{
        return t->act.ask.client ? MIN(t->next, t->act.ask.deadline) : t->next;
}

/* Returns whether top goes on. */
static bool take_keys(Top *t)
{
        int key;

        while ((key = screen_key()) != SCREEN_NO_KEY) {
                TopWish wish;

                if (key == CTRL_L) {
                        screen_anew();
                        continue;
                }
                wish = top_ui_key(&t->ui, &t->model, key);
                if (wish == TOP_WISH_QUIT)
                        return false;
                top_act(&t->act, &t->ui, &t->model, wish);
        }
        return true;
}

static int refresh_at(Top *t, usec_t now)
{
        int r;

        if (top_act_step(&t->act, &t->ui, now))
                t->next = MIN(t->next, now + SOON);
        if (now < t->next)
                return 0;
        r = sample(t);
        t->next = now + t->interval;
        return r < 0 ? r : top_ui_update(&t->ui, &t->model);
}

static int run_loop(Top *t)
{
        ScreenNews news = SCREEN_GOES_ON;
        int r = 0;

        while (r == 0 && news == SCREEN_GOES_ON) {
                top_draw(&t->ui, &t->model);
                news = screen_wait(top_ask_fd(&t->act.ask), top_ask_events(&t->act.ask),
                                   wake_at(t));
                if (news == SCREEN_GOES_ON && !take_keys(t))
                        break;
                r = refresh_at(t, clock_monotonic());
        }
        screen_close();
        if (news == SCREEN_KILLED)
                screen_die();
        return r < 0 ? ctl_no_memory() : STATUS_DONE;
}

static int run_screen(Top *t)
{
        const char *term = getenv("TERM");

        if (sample(t) < 0 || top_ui_update(&t->ui, &t->model) < 0)
                return ctl_no_memory();
        if (screen_open() < 0) {
                say("top: cannot draw on this terminal (TERM is %s); --batch prints it as text",
                    term && *term ? term : "not set");
                return STATUS_FAILED;
        }
        print_without_colours();
        t->next = clock_monotonic() + t->interval;
        return run_loop(t);
}

static bool has_screen(const Options *o)
{
        return !option_given(o, OPTION_JSON) && !option_given(o, OPTION_BATCH) &&
               isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

int verb_top(Ctl *ctl)
{
        AUTO(top_fini) Top t = { .ctl = ctl, .interval = USEC_PER_SEC };
        const OptionValue *interval = &ctl->options->values[OPTION_INTERVAL];
        int status = connect_find(ctl), r;

        top_ui_init(&t.ui);
        if (status)
                return status;
        if (interval->text && interval->number < (int64_t)(20 * USEC_PER_MSEC))
                return ctl_usage(ctl, "--interval=%s: 20ms are the least", interval->text);
        if (interval->text)
                t.interval = (usec_t)interval->number;
        t.act.socket = ctl->socket;
        r = board_find(ctl, &t.board);
        if (r < 0)
                return say_no_board(ctl, t.board.path, r);
        return has_screen(ctl->options) ? run_screen(&t) : run_batch(&t);
}
