/* SPDX-License-Identifier: MIT */

/* Signals are let in only while screen_wait() waits, so that what curses does in its handler of
 * SIGTSTP never meets a screen that is half drawn. */

#define NCURSES_WIDECHAR 1

#include "ctl/top/screen.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/macros.h"
#include "ctl/top/table.h"

static const int deadly[] = { SIGTERM, SIGHUP, SIGQUIT };
static const int faults[] = { SIGBUS, SIGSEGV, SIGABRT };

static SCREEN *screen;
static bool coloured;
static struct termios before;
static char leave[64]; /* what a terminal is told to show its old screen */
static struct sigaction faults_before[ELEMENTS(faults)];
static sigset_t outside; /* the mask while we wait */
static volatile sig_atomic_t killed_by, interrupted, continued;

/* --- signals --- */

static void on_signal(int number)
{
        if (number == SIGINT)
                interrupted = 1;
        else if (number == SIGCONT)
                continued = 1;
        else if (number != SIGWINCH) /* that only has to wake us */
                killed_by = number;
}

/* The scoreboard was cut short under us, or we are wrong: the terminal is still to be given back,
 * with what is allowed in here. The same happens again then, and has what it had without us. */
static void on_fault(int number)
{
        static const char words[] = "\r\nbroodctl: top: the scoreboard was cut short, or this is "
                                    "a fault of top\r\n";

        (void)!write(STDOUT_FILENO, leave, strlen(leave));
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
        (void)!write(STDERR_FILENO, words, sizeof(words) - 1);
        for (size_t i = 0; i < ELEMENTS(faults); i++)
                if (faults[i] == number)
                        (void)sigaction(number, &faults_before[i], NULL);
}

static void hear(int number, void (*handler)(int))
{
        struct sigaction action = { .sa_handler = handler };

        (void)sigaction(number, &action, NULL); /* it cannot fail */
}

static void hear_all(void)
{
        sigset_t held;

        (void)sigemptyset(&held);
        (void)sigaddset(&held, SIGTSTP); /* curses has a handler for it */
        (void)sigaddset(&held, SIGINT);
        (void)sigaddset(&held, SIGWINCH);
        (void)sigaddset(&held, SIGCONT);
        for (size_t i = 0; i < ELEMENTS(deadly); i++)
                (void)sigaddset(&held, deadly[i]);
        (void)sigprocmask(SIG_BLOCK, &held, &outside);
        for (size_t i = 0; i < ELEMENTS(deadly); i++)
                hear(deadly[i], on_signal);
        for (size_t i = 0; i < ELEMENTS(faults); i++) {
                (void)sigaction(faults[i], NULL, &faults_before[i]);
                hear(faults[i], on_fault);
        }
        hear(SIGINT, on_signal);
        hear(SIGWINCH, on_signal);
        hear(SIGCONT, on_signal);
}

void screen_die(void)
{
        screen_close();
        (void)signal(killed_by, SIG_DFL);
        (void)sigprocmask(SIG_SETMASK, &outside, NULL);
        (void)raise(killed_by);
}

/* --- the terminal --- */

static void remember_terminal(void)
{
        const char *text = tigetstr("rmcup"), *show = tigetstr("cnorm");

        leave[0] = '\0';
        if (text && text != (const char *)-1)
                (void)snprintf(leave, sizeof(leave), "%s", text);
        if (show && show != (const char *)-1)
                (void)strncat(leave, show, sizeof(leave) - strlen(leave) - 1);
}

/* The pairs have the numbers of the colours. */
static void set_up_colours(void)
{
        static const short inks[] = { [RED] = COLOR_RED, [GREEN] = COLOR_GREEN,
                                      [YELLOW] = COLOR_YELLOW, [BLUE] = COLOR_BLUE };
        const char *no = getenv("NO_COLOR");

        coloured = has_colors() && !(no && *no) && start_color() == OK &&
                   use_default_colors() == OK;
        for (short c = RED; coloured && c <= BLUE; c++)
                (void)init_pair(c, inks[c], -1);
}

int screen_open(void)
{
        (void)tcgetattr(STDIN_FILENO, &before);
        screen = newterm(NULL, stdout, stdin);
        if (!screen)
                return -ENOTTY;
        hear_all();
        remember_terminal();
        (void)cbreak();
        (void)noecho();
        (void)nonl(); /* Enter is \r then, and Ctrl-J is itself */
        (void)keypad(stdscr, TRUE);
        (void)nodelay(stdscr, TRUE);
        (void)set_escdelay(25);
        (void)curs_set(0);
        set_up_colours();
        return 0;
}

void screen_close(void)
{
        if (!screen)
                return;
        (void)curs_set(1);
        (void)endwin();
        delscreen(screen);
        screen = NULL;
        for (size_t i = 0; i < ELEMENTS(faults); i++)
                (void)sigaction(faults[i], &faults_before[i], NULL);
}

void screen_measure(unsigned *ret_rows, unsigned *ret_columns)
{
        struct winsize size;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col &&
            (size.ws_row != LINES || size.ws_col != COLS))
                (void)resizeterm(size.ws_row, size.ws_col);
        *ret_rows = (unsigned)LINES;
        *ret_columns = (unsigned)COLS;
}

/* --- drawing --- */

void screen_begin(void)
{
        (void)erase();
}

void screen_end(void)
{
        if (continued) {
                continued = 0;
                (void)reset_prog_mode(); /* a shell had the terminal meanwhile */
                screen_anew();
        }
        (void)refresh();
}

void screen_anew(void)
{
        (void)clearok(stdscr, TRUE);
}

static attr_t attributes_of(Colour colour, unsigned look)
{
        attr_t a = A_NORMAL;

        if (look & SCREEN_REVERSE)
                a |= A_REVERSE;
        if (look & SCREEN_UNDERLINE)
                a |= A_UNDERLINE | A_BOLD;
        if (colour == BOLD || (coloured && colour >= RED))
                a |= A_BOLD;
        if (colour == FAINT)
                a |= A_DIM;
        return a;
}

void screen_put(unsigned row, unsigned column, unsigned width, Colour colour, unsigned look,
                const char *text)
{
        char cut[4096];
        unsigned used = top_clip(text, width, cut, sizeof(cut));

        (void)attr_set(attributes_of(colour, look), coloured && colour >= RED ? (short)colour : 0,
                       NULL);
        (void)mvaddstr((int)row, (int)column, cut);
        for (; used < width; used++)
                (void)addch(' ');
        (void)attr_set(A_NORMAL, 0, NULL);
}

/* --- keys --- */

static int name_of_key(wint_t code)
{
        static const struct {
                int curses, ours;
        } names[] = {
                { KEY_UP, SCREEN_UP },          { KEY_DOWN, SCREEN_DOWN },
                { KEY_LEFT, SCREEN_LEFT },      { KEY_RIGHT, SCREEN_RIGHT },
                { KEY_PPAGE, SCREEN_PAGE_UP },  { KEY_NPAGE, SCREEN_PAGE_DOWN },
                { KEY_HOME, SCREEN_HOME },      { KEY_END, SCREEN_END },
                { KEY_ENTER, SCREEN_ENTER },    { KEY_BACKSPACE, SCREEN_BACKSPACE },
                { KEY_DC, SCREEN_BACKSPACE },
        };

        for (size_t i = 0; i < ELEMENTS(names); i++)
                if (names[i].curses == (int)code)
                        return names[i].ours;
        return SCREEN_OTHER;
}

int screen_key(void)
{
        wint_t c;
        int r = get_wch(&c);

        if (r == ERR)
                return SCREEN_NO_KEY;
        if (r == KEY_CODE_YES)
                return name_of_key(c);
        if (c == '\r')
                return SCREEN_ENTER;
        return c == 127 || c == '\b' ? SCREEN_BACKSPACE : (int)c;
}

ScreenNews screen_wait(int fd, short events, usec_t until)
{
        struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                              { .fd = fd, .events = events } };
        usec_t now = clock_monotonic(), left = until > now ? until - now : 0;
        struct timespec t = { (time_t)(left / USEC_PER_SEC),
                              (long)(left % USEC_PER_SEC) * 1000 };

        if (ppoll(p, ELEMENTS(p), &t, &outside) < 0)
                p[0].revents = 0;
        if (killed_by)
                return SCREEN_KILLED;
        if (interrupted || p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
                return SCREEN_LEFT_BY;
        return SCREEN_GOES_ON;
}
