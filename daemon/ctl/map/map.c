/* SPDX-License-Identifier: MIT */

/* map: one loop over the input, the daemon and the output, none of which it waits for alone: an
 * output that is slow must not keep us from reading replies, or the daemon drops us; a daemon that
 * is slow must not keep results from being written. What is in memory is bounded by the window. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "ctl/map/map.h"
#include "ctl/connect.h"
#include "ctl/print.h"
#include "ctl/spec.h"
#include "ctl/verbs.h"

enum { WATCH_SIGNAL, WATCH_INPUT, WATCH_OUTPUT, WATCH_SUBMIT, WATCH_LANES,
       N_WATCHES = WATCH_LANES + MAP_LANES };

static bool wants_lines(const Map *m)
{
        return !m->stop && m->n_jobs < m->window && m->waiting_bytes < MAP_WAITING_BYTES &&
               buffer_len(&m->sink.out) <= MAP_OUTPUT_BYTES;
}

static bool is_blank(Slice line)
{
        for (size_t i = 0; i < line.len; i++)
                if (!strchr(" \t\r", line.data[i]) || !line.data[i])
                        return false;
        return true;
}

/* Makes jobs of the lines that are there. */
static void take_lines(Map *m)
{
        Slice line;

        while (wants_lines(m) && lines_next(&m->lines, &line))
                if (!is_blank(line))
                        m->stop = map_job_new(m, line);
}

static bool all_read(const Map *m)
{
        return m->stop || (m->lines.ended && !buffer_len(&m->lines.in));
}

static bool finished(const Map *m)
{
        return all_read(m) && !m->n_jobs && !buffer_len(&m->sink.out);
}

/* How long to sleep at the most, in milliseconds; -1: for ever. */
static int timeout(const Map *m, usec_t now)
{
        usec_t until = m->progress.on ? m->progress.drawn_at + PROGRESS_INTERVAL : USEC_INFINITY;

        if (m->n_waiting && !m->n_submitting && m->retry_at > now)
                until = MIN(until, m->retry_at);
        if (until == USEC_INFINITY)
                return -1;
        return until > now ? (int)((until - now) / USEC_PER_MSEC) + 1 : 0;
}

/* What is not to be watched gets -1, which poll() passes over. */
static void fill_watches(const Map *m, int signals, struct pollfd *p)
{
        bool read = wants_lines(m) && !m->lines.ended;

        p[WATCH_SIGNAL] = (struct pollfd){ .fd = signals, .events = POLLIN };
        p[WATCH_INPUT] = (struct pollfd){ .fd = read ? m->lines.fd : -1, .events = POLLIN };
        p[WATCH_OUTPUT] = (struct pollfd){ .fd = buffer_len(&m->sink.out) ? STDOUT_FILENO : -1,
                                           .events = POLLOUT };
        p[WATCH_SUBMIT] = (struct pollfd){ .fd = varlink_client_fd(m->ctl->client),
                                           .events = POLLIN };
        for (unsigned i = 0; i < MAP_LANES; i++)
                p[WATCH_LANES + i] = (struct pollfd){
                        .fd = m->lanes[i].n_jobs ? varlink_client_fd(m->lanes[i].ctl.client) : -1,
                        .events = POLLIN
                };
}

static int read_input(Map *m)
{
        int r = lines_read(&m->lines);

        if (r == 0)
                return STATUS_DONE;
        map_say(m, "map: cannot read line %llu: %s", (unsigned long long)m->lines.number + 1,
                r == -EMSGSIZE ? "it is longer than 256M" : strerror(-r));
        m->stop = STATUS_USAGE;
        return STATUS_DONE;
}

/* Nobody reads any more: that is no error, but an end, as by SIGPIPE. */
static int write_output(Map *m)
{
        int r;

        if (m->sink.terminal)
                progress_clear(&m->progress);
        r = sink_write(&m->sink);
        if (r == 0)
                return STATUS_DONE;
        if (r != -EPIPE)
                map_say(m, "map: cannot write: %s", strerror(-r));
        map_cancel(m);
        buffer_clear(&m->sink.out, 0);
        return r == -EPIPE ? 128 + SIGPIPE : STATUS_FAILED;
}

static int take_signal(Map *m, int signals)
{
        struct signalfd_siginfo info;

        if (read(signals, &info, sizeof(info)) != sizeof(info))
                return STATUS_DONE;
        map_say(m, "map: cancelling %u jobs", m->n_jobs - m->n_waiting);
        map_cancel(m);
        return 128 + (int)info.ssi_signo;
}

/* One turn: everything that poll() has found. Returns a status. */
static int handle(Map *m, const struct pollfd *p)
{
        int status = STATUS_DONE;

        if (p[WATCH_SIGNAL].revents)
                status = take_signal(m, p[WATCH_SIGNAL].fd);
        for (unsigned i = 0; i < MAP_LANES && status == STATUS_DONE; i++)
                if (p[WATCH_LANES + i].revents)
                        status = map_lane_read(m, &m->lanes[i]);
        if (status == STATUS_DONE && p[WATCH_SUBMIT].revents)
                status = map_submitted(m, clock_monotonic());
        if (status == STATUS_DONE && p[WATCH_OUTPUT].revents)
                status = write_output(m);
        if (status == STATUS_DONE && p[WATCH_INPUT].revents)
                status = read_input(m);
        return status;
}

static int loop(Map *m, int signals)
{
        struct pollfd p[N_WATCHES];
        int status = STATUS_DONE;

        while (status == STATUS_DONE) {
                usec_t now = clock_monotonic();

                take_lines(m);
                status = map_submit(m, now);
                if (status || finished(m))
                        break;
                progress_draw(&m->progress, now);
                fill_watches(m, signals, p);
                if (poll(p, ELEMENTS(p), timeout(m, now)) < 0) {
                        if (errno == EINTR)
                                continue;
                        map_say(m, "map: poll: %s", strerror(errno));
                        status = STATUS_FAILED;
                        break;
                }
                status = handle(m, p);
        }
        return status;
}

static int watch_signals(sigset_t *set)
{
        (void)signal(SIGPIPE, SIG_IGN);
        (void)sigemptyset(set);
        (void)sigaddset(set, SIGINT);
        (void)sigaddset(set, SIGTERM);
        (void)sigaddset(set, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, set, NULL); /* cannot fail with these arguments */
        return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void map_init(Map *m, Ctl *ctl, int input)
{
        const OptionValue *window = &ctl->options->values[OPTION_WINDOW];

        *m = (Map){ .ctl = ctl, .lines = LINES_INIT(input) };
        m->handler = ctl_word(ctl, 0);
        m->ordered = !option_given(ctl->options, OPTION_UNORDERED);
        m->json = option_given(ctl->options, OPTION_JSON);
        m->window = window->text ? (unsigned)window->number : MAP_WINDOW;
        m->batch = m->window;
        m->n_lanes = m->ordered ? 1 : MAP_LANES;
        list_init(&m->waiting);
        list_init(&m->submitting);
        for (unsigned i = 0; i < MAP_LANES; i++)
                list_init(&m->lanes[i].jobs);
        sink_init(&m->sink);
        progress_init(&m->progress, clock_monotonic());
        if (m->progress.on)
                m->progress.total = lines_count(input);
}

static void free_jobs(Map *m, List *jobs)
{
        MapJob *job, *following;

        LIST_FOREACH_SAFE(jobs, job, following, list)
                map_job_free(m, job);
}

static void map_fini(Map *m)
{
        free_jobs(m, &m->waiting);
        free_jobs(m, &m->submitting);
        for (unsigned i = 0; i < MAP_LANES; i++) {
                free_jobs(m, &m->lanes[i].jobs);
                connect_end(&m->lanes[i].ctl);
        }
        hashtable_fini(&m->jobs);
        varlink_scan_fini(&m->scan);
        lines_fini(&m->lines);
        sink_fini(&m->sink);
}

static int map_run(Ctl *ctl, int input)
{
        sigset_t set;
        AUTO(fd_close) int signals = watch_signals(&set);
        int status, r;
        Map m;

        map_init(&m, ctl, input);
        status = loop(&m, signals);
        progress_clear(&m.progress);
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* from here on they end us as usual */
        r = sink_finish(&m.sink);
        if (r < 0 && r != -EPIPE)
                say("map: cannot write: %s", strerror(-r));
        if (status == STATUS_DONE)
                status = m.stop                  ? m.stop
                         : m.failed || r < 0 ? STATUS_FAILED
                                             : STATUS_DONE;
        map_fini(&m);
        return status;
}

int verb_map(Ctl *ctl)
{
        const char *file = ctl_word(ctl, 1);
        AUTO(fd_close) int opened = -1;
        int status = spec_check(ctl);

        if (status)
                return status;
        if (!file || strcmp(file, "-") == 0)
                return map_run(ctl, STDIN_FILENO);
        opened = open(file, O_RDONLY | O_CLOEXEC);
        if (opened < 0) {
                say("map: cannot open %s: %s", file, strerror(errno));
                return STATUS_USAGE;
        }
        return map_run(ctl, opened);
}
