/* SPDX-License-Identifier: MIT */

/* run: a command as an `exec` job that has our own descriptors.
 *
 * The job's id is made here, so that it can be cancelled before its Submit is answered, which
 * happens when it has ended. The Cancel goes over a connection of its own: on the first one it
 * would be started at once, too, but its answer would wait behind the Submit's. Should that fail,
 * leaving is enough, since an attached job ends with its connection. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/uuid.h"
#include "ctl/connect.h"
#include "ctl/job.h"
#include "ctl/print.h"
#include "ctl/raw.h"
#include "ctl/spec.h"
#include "ctl/submit.h"
#include "ctl/verbs.h"
#include "ctl/words.h"

#define TOGETHER (100 * USEC_PER_MSEC) /* signals that are so close are one */

typedef struct Run {
        Ctl *ctl;
        const char *id;
        int signals; /* a signalfd */
        int caught;  /* the last signal; 0: none */
        unsigned n_caught;
        usec_t caught_at; /* when; monotonic */
} Run;

/* An object of the environment's variables that are UTF-8, as JSON is. */
static json_t *environment_object(void)
{
        json_t *object = json_object();

        for (char **e = environ; object && *e; e++) {
                const char *equals = strchr(*e, '=');
                AUTO(free) char *name = NULL;

                if (!equals || equals == *e)
                        continue;
                name = strndup(*e, (size_t)(equals - *e));
                if (!name || !text_is_valid(*e)) {
                        say("run: the variable %s is left out: it is not UTF-8", name ? name : "");
                        continue;
                }
                if (!json_object_get(object, name)) /* the first counts, as for getenv() */
                        (void)json_object_set_new(object, name, json_string(equals + 1));
        }
        return object;
}

/* Fills `to` with the arguments of the job. Returns a status. */
static int write_args(const Ctl *ctl, Buffer *to)
{
        AUTO(free) char *directory = getcwd(NULL, 0);
        json_t *args, *argv = json_array();
        AUTO(free) char *text = NULL;

        if (!directory || !text_is_valid(directory)) {
                say("run: the current directory is %s",
                    directory ? "not UTF-8, and can not be handed on" : strerror(errno));
                json_decref(argv);
                return STATUS_FAILED;
        }
        for (unsigned i = 0; i < ctl->n_words; i++)
                (void)json_array_append_new(argv, json_string(ctl->words[i]));
        args = json_pack("{so ss so}", "argv", argv, "cwd", directory, "env", environment_object());
        text = args ? json_dumps(args, JSON_COMPACT) : NULL;
        json_decref(args);
        if (!text)
                return ctl_no_memory();
        buffer_append_string(to, text);
        return to->failed ? ctl_no_memory() : STATUS_DONE;
}

/* Writes the Submit of an attached job, with its end. */
static void write_submit(const Run *run, Buffer *b, Slice args)
{
        const Options *o = run->ctl->options;

        varlink_write_call(b, "io.brood.Submit", 0);
        emit_key(b, "job");
        emit_open(b, '{');
        spec_write(b, o, "exec", args);
        if (!option_given(o, OPTION_ID))
                emit_string_member(b, "id", slice_of(run->id));
        if (!option_given(o, OPTION_MAX_ATTEMPTS))
                emit_int_member(b, "max_attempts", 1);
        emit_bool_member(b, "attached", true);
        emit_close(b, '}');
        emit_bool_member(b, "wait", true);
        varlink_write_end(b, 0);
}

static int send_submit(const Run *run, Slice args)
{
        static const int fds[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
        Buffer message = BUFFER_INIT;
        int r;

        write_submit(run, &message, args);
        r = message.failed ? -ENOMEM
                           : varlink_client_send_fds(run->ctl->client, buffer_slice(&message), fds,
                                                     ELEMENTS(fds));
        buffer_fini(&message);
        return r < 0 ? connect_lost(run->ctl, r) : STATUS_DONE;
}

static int watch_signals(Run *run)
{
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail with these arguments */
        run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (run->signals >= 0)
                return STATUS_DONE;
        say("run: no signalfd: %s", strerror(errno));
        return STATUS_FAILED;
}

/* Asks for the end of the job. Returns a status; anything but done: leave. */
static int cancel(const Run *run)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        Ctl other;
        Buffer *b;
        int status = connect_again(run->ctl, &other);

        if (status == STATUS_DONE) {
                b = call_begin(&other, "Cancel", 0);
                emit_string_member(b, "id", slice_of(run->id));
                if (run->n_caught > 1)
                        emit_bool_member(b, "force", true);
                status = call_send(&other);
        }
        if (status == STATUS_DONE)
                status = call_receive(&other, USEC_INFINITY, &reply);
        connect_end(&other);
        if (status || !reply.error)
                return status;
        if (strcmp(reply.error, "io.brood.WrongState") == 0) /* it has just ended */
                return STATUS_DONE;
        words_say_error("run", reply.error, reply.parameters);
        return STATUS_REFUSED;
}

/* A signal: true if this is no time to wait any longer. */
static bool take_signal(Run *run)
{
        struct signalfd_siginfo info;
        usec_t now = clock_monotonic();

        if (read(run->signals, &info, sizeof(info)) != sizeof(info))
                return false;
        /* timeout(1) and shells signal the process and then its group: that is once, not twice. */
        if (run->n_caught && now < run->caught_at + TOGETHER)
                return false;
        run->caught = (int)info.ssi_signo;
        run->caught_at = now;
        run->n_caught++;
        if (run->n_caught > 2)
                return true;
        say("run: %s", run->n_caught == 1 ? "cancelling the job (once more: by force)"
                                          : "killing the job");
        return cancel(run) != STATUS_DONE;
}

/* Waits for the reply to the Submit, or for enough signals. Returns a status; no text in the reply:
 * it did not come. */
static int wait_for_end(Run *run, Reply *reply)
{
        struct pollfd p[] = { { .fd = varlink_client_fd(run->ctl->client), .events = POLLIN },
                              { .fd = run->signals, .events = POLLIN } };
        int status = STATUS_DONE;

        while (status == STATUS_DONE && !reply->text) {
                if (poll(p, ELEMENTS(p), -1) < 0 && errno != EINTR) {
                        say("run: poll: %s", strerror(errno));
                        return STATUS_FAILED;
                }
                if (p[1].revents && take_signal(run))
                        return STATUS_DONE;
                if (p[0].revents)
                        status = call_receive(run->ctl, 0, reply);
        }
        return status;
}

/* "SIGTERM", "TERM" or "RTMIN+1"; 0: no signal. */
static int signal_number(const char *name)
{
        uint64_t n;

        if (strncmp(name, "SIG", 3) == 0)
                name += 3;
        for (int i = 1; i < NSIG; i++) {
                const char *known = sigabbrev_np(i);

                if (known && strcmp(known, name) == 0)
                        return i;
        }
        if (strncmp(name, "RTMIN+", 6) == 0 && parse_u64(name + 6, &n) == 0 && n < NSIG)
                return SIGRTMIN + (int)n;
        return 0;
}

/* The command's status, as a shell would give it; -1: there is none. */
static int command_status(const json_t *result)
{
        const char *name = json_string_value(json_object_get(result, "signal"));
        const json_t *status = json_object_get(result, "exit_status");
        int number = name ? signal_number(name) : 0;

        if (number)
                return 128 + number;
        return json_is_integer(status) ? (int)json_integer_value(status) & 0xff : -1;
}

/* What the caller has not seen: why, if it was not the command itself that failed. */
static void explain(const json_t *job, int status)
{
        const json_t *last = job_last_attempt(job);
        bool own = strcmp(get_string(last, "outcome"), "command_failed") == 0;

        if (!own || status < 0)
                job_say_reason(job);
        else if ((status == 126 || status == 127) && *get_string(last, "error"))
                say("run: %s", get_string(last, "error"));
}

static int end_status(const Run *run, const Reply *reply)
{
        const json_t *job = json_object_get(reply->parameters, "job");
        int status = command_status(json_object_get(job, "result"));

        if (run->caught && strcmp(get_string(job, "state"), "cancelled") == 0)
                return 128 + run->caught;
        if (job_succeeded(job))
                return status < 0 ? STATUS_DONE : status;
        explain(job, status);
        return status > 0 ? status : STATUS_FAILED;
}

static int run_attached(Run *run, Slice args)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = watch_signals(run);

        if (status == STATUS_DONE)
                status = send_submit(run, args);
        if (status == STATUS_DONE)
                status = wait_for_end(run, &reply);
        if (status)
                return status;
        if (!reply.text)
                return 128 + run->caught;
        if (reply.error) {
                words_say_error("run", reply.error, reply.parameters);
                return STATUS_REFUSED;
        }
        if (option_given(run->ctl->options, OPTION_JSON))
                reply_print(&reply);
        return end_status(run, &reply);
}

int verb_run(Ctl *ctl)
{
        Uuid id = uuid_new(clock_read(CLOCK_REALTIME));
        UuidText made = uuid_text(&id);
        const char *given = ctl->options->values[OPTION_ID].text;
        Run run = { .ctl = ctl, .id = given ? given : made.text, .signals = -1 };
        Buffer args = BUFFER_INIT;
        int status = spec_check(ctl);

        if (status == STATUS_DONE)
                status = write_args(ctl, &args);
        if (status == STATUS_DONE)
                status = option_given(ctl->options, OPTION_DETACH)
                                 ? submit_job(ctl, "exec", buffer_slice(&args), 1)
                                 : run_attached(&run, buffer_slice(&args));
        buffer_fini(&args);
        (void)fd_close(run.signals);
        return status;
}
