/* SPDX-License-Identifier: MIT */

/* An inspection that has a process is over when that was reaped, and not before: one that SIGKILL
 * does not end at once (it waits in the kernel, for a file server) keeps its place among those at
 * work, so that there are never more of them, but whoever asked is answered at the deadline. Nor do
 * those behind it wait for ever. */

#include "pool/inspector.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/utf8.h"
#include "pool/preparation.h"
#include "pool/worker.h"
#include "process/preparation.h"
#include "process/start.h"

enum {
        MOST_BYTES = 1024 * 1024, /* of a report */
        PIECE = 32 * 1024,
        MOST_READS = 8, /* of a turn */
        DEADLINE_S = 5,
        WAITING_S = 30,
};

DEFINE_CLEANUP(char *, texts_free);

struct Inspection {
        List link;
        Inspector *inspector;
        InspectionOrder order; /* done is NULL: nobody wants to know (any more) */
        pid_t target;
        int target_fd; /* its pidfd */
        pid_t pid;     /* of the helper; 0: it waits */
        int pidfd;
        int out; /* what it prints; -1: closed */
        Buffer text;
        struct event readable, timer; /* deadline of the work, or of waiting */
};

static void start_waiting(Inspector *i);

static void inspection_free(Inspection *x)
{
        if (x->out >= 0)
                (void)event_del(&x->readable);
        if (event_initialized(&x->timer))
                (void)event_del(&x->timer);
        list_remove(&x->link);
        fd_close(x->out);
        fd_close(x->target_fd);
        fd_close(x->pidfd);
        buffer_fini(&x->text);
        free(x);
}

DEFINE_CLEANUP(Inspection, inspection_free);

/* Tells whoever asked; only once. */
static void tell(Inspection *x, Slice report, const char *error)
{
        InspectionDone done = x->order.done;

        x->order.done = NULL;
        if (done)
                done(x->order.context, report, error);
}

static void close_out(Inspection *x)
{
        if (x->out < 0)
                return;
        (void)event_del(&x->readable);
        x->out = fd_close(x->out);
}

/* The rest is done when it was reaped. */
static void give_up(Inspection *x, const char *error)
{
        close_out(x);
        (void)pidfd_signal(x->pidfd, SIGKILL); /* ESRCH: it is over already */
        tell(x, (Slice){ NULL, 0 }, error);
}

/* --- what it says --- */

static bool is_too_large(const Inspection *x)
{
        return buffer_len(&x->text) > MOST_BYTES;
}

/* What there is, up to a bound. Returns false at its end. */
static bool read_out(Inspection *x)
{
        ssize_t n = 1;

        for (int i = 0; i < MOST_READS && n > 0 && !is_too_large(x); i++) {
                char *at = buffer_reserve(&x->text, PIECE);

                n = at ? read(x->out, at, PIECE) : 0;
                x->text.end += n > 0 ? (size_t)n : 0;
        }
        return n != 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
        Inspection *x = context;

        if (!read_out(x))
                close_out(x); /* SIGCHLD follows */
        else if (is_too_large(x))
                give_up(x, "the report is larger than 1 MiB");
}

/* The first line of what it said instead of a report. */
static const char *words_of(const Buffer *b, char *to, size_t size)
{
        Slice text = buffer_slice(b);
        const char *end = text.len ? memchr(text.data, '\n', text.len) : NULL;
        size_t n = end ? (size_t)(end - text.data) : text.len;

        if (!n || n >= size || !utf8_valid((Slice){ text.data, n }) || memchr(text.data, 0, n))
                return NULL;
        (void)snprintf(to, size, "%.*s", (int)n, text.data);
        return to;
}

static void conclude(Inspection *x, int status)
{
        char error[256];
        const char *words;

        if (x->out >= 0)
                (void)read_out(x); /* a pipe holds no more than that */
        close_out(x);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !is_too_large(x) && !x->text.failed) {
                tell(x, buffer_slice(&x->text), NULL);
                return;
        }
        words = WIFEXITED(status) ? words_of(&x->text, error, sizeof(error)) : NULL;
        if (!words)
                (void)snprintf(error, sizeof(error), "brood-inspect ended with %s %d",
                               WIFSIGNALED(status) ? "signal" : "status",
                               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        tell(x, (Slice){ NULL, 0 }, error);
}

static Inspection *find(const Inspector *i, pid_t pid)
{
        Inspection *x;

        LIST_FOREACH(&i->at_work, x, link)
                if (x->pid == pid)
                        return x;
        return NULL;
}

bool inspector_knows(const Inspector *i, pid_t pid)
{
        return find(i, pid) != NULL;
}

bool inspector_reaped(Inspector *i, pid_t pid, int status)
{
        Inspection *x = find(i, pid);

        if (!x)
                return false;
        i->n_at_work--;
        list_remove(&x->link);
        conclude(x, status);
        inspection_free(x);
        start_waiting(i);
        return true;
}

/* --- its start --- */

static void arm(Inspection *x, int seconds)
{
        const struct timeval t = { seconds, 0 };

        (void)evtimer_add(&x->timer, &t);
}

static const char *program_path(char *to, size_t size)
{
        const char *directory = getauxval(AT_SECURE) ? NULL : getenv("BROOD_LIBEXEC");

        (void)snprintf(to, size, "%s/brood-inspect", directory ? directory : BROOD_LIBEXEC_DIR);
        return to;
}

static int start_process(Inspection *x, int out)
{
        AUTO(texts_free) char **environment = NULL;
        char path[4096], pid[16], stack[] = "--stack", only_stack[] = "--only-stack";
        char *argv[] = { path, pid, (char[]){ "--pidfd=3" }, NULL, NULL };
        ProcessStart start = { .path = program_path(path, sizeof(path)),
                               .argv = argv,
                               .in = -1,
                               .out = out,
                               .err = STDERR_FILENO,
                               .fds = &x->target_fd,
                               .n_fds = 1,
                               .die_with_parent = true };
        int r = pool_plain_environment(&environment);

        (void)snprintf(pid, sizeof(pid), "%d", (int)x->target);
        if (x->order.stack || x->order.only_stack)
                argv[3] = x->order.only_stack ? only_stack : stack;
        start.environment = environment;
        return r < 0 ? r : process_start(&start, &x->pid, &x->pidfd);
}

static int start(Inspection *x)
{
        AUTO(fd_close) int theirs = -1;
        Inspector *i = x->inspector;
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        theirs = ends[1];
        x->out = ends[0];
        r = fd_nonblock(x->out, true);
        if (r == 0 && (event_assign(&x->readable, i->base, x->out, EV_READ | EV_PERSIST,
                                    on_readable, x) < 0 ||
                       event_add(&x->readable, NULL) < 0))
                r = -ENOMEM;
        if (r == 0)
                r = start_process(x, theirs);
        if (r < 0)
                return r;
        arm(x, DEADLINE_S);
        list_append(&i->at_work, &x->link);
        i->n_at_work++;
        return 0;
}

static void start_waiting(Inspector *i)
{
        while (!i->stopped && i->n_at_work < INSPECTOR_AT_WORK && i->n_waiting) {
                Inspection *x = LIST_FIRST(&i->waiting, Inspection, link);
                int r;

                list_remove(&x->link);
                i->n_waiting--;
                r = start(x);
                if (r < 0) {
                        tell(x, (Slice){ NULL, 0 }, strerror(-r));
                        inspection_free(x);
                }
        }
}

/* --- what is asked --- */

static void forget_waiting(Inspection *x)
{
        x->inspector->n_waiting--;
        inspection_free(x);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
        Inspection *x = context;

        if (x->pid) {
                give_up(x, "it was not done within 5 s");
                return;
        }
        tell(x, (Slice){ NULL, 0 }, "too many other workers are being inspected");
        forget_waiting(x);
}

static unsigned count_of(const List *list, uint32_t user)
{
        const Inspection *x;
        unsigned n = 0;

        LIST_FOREACH(list, x, link)
                n += x->order.user == user;
        return n;
}

static bool is_busy(const Inspector *i, uint32_t user)
{
        return i->stopped || i->n_waiting >= INSPECTOR_WAITING ||
               (user != INSPECTION_OURS &&
                count_of(&i->at_work, user) + count_of(&i->waiting, user) >= INSPECTOR_OF_USER);
}

static void wait_for_turn(Inspection *x)
{
        arm(x, WAITING_S);
        list_append(&x->inspector->waiting, &x->link);
        x->inspector->n_waiting++;
}

int inspector_ask(Inspector *i, const Worker *w, const InspectionOrder *order, Inspection **ret)
{
        AUTO(inspection_free) Inspection *x = NULL;
        int r = 0;

        if (is_busy(i, order->user))
                return INSPECTOR_E_BUSY;
        if (w->pid <= 0 || w->pidfd < 0)
                return INSPECTOR_E_UNBORN;
        x = calloc(1, sizeof(*x));
        if (!x)
                return -ENOMEM;
        x->inspector = i;
        x->order = *order;
        x->target = w->pid;
        x->out = x->pidfd = -1;
        list_init(&x->link);
        evtimer_assign(&x->timer, i->base, on_timer, x);
        x->target_fd = fcntl(w->pidfd, F_DUPFD_CLOEXEC, 3);
        if (x->target_fd < 0)
                return -errno;
        if (i->n_at_work < INSPECTOR_AT_WORK)
                r = start(x);
        else
                wait_for_turn(x);
        if (r < 0)
                return r;
        *ret = MOVE_PTR(x);
        return 0;
}

void inspection_cancel(Inspection *x)
{
        x->order.done = NULL;
        if (x->pid)
                give_up(x, NULL);
        else
                forget_waiting(x);
}

/* --- life --- */

void inspector_init(Inspector *i, struct event_base *base)
{
        *i = (Inspector){ .base = base };
        list_init(&i->at_work);
        list_init(&i->waiting);
}

void inspector_stop(Inspector *i)
{
        Inspection *x;

        i->stopped = true;
        LIST_FOREACH(&i->at_work, x, link)
                give_up(x, "the daemon stops");
        while ((x = LIST_FIRST(&i->waiting, Inspection, link))) {
                tell(x, (Slice){ NULL, 0 }, "the daemon stops");
                forget_waiting(x);
        }
}

void inspector_fini(Inspector *i)
{
        Inspection *x;

        inspector_stop(i);
        while ((x = LIST_FIRST(&i->at_work, Inspection, link)))
                inspection_free(x);
}
