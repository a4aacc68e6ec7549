/* SPDX-License-Identifier: MIT */

/* The built-in handler `exec`: runs a command as a job.
 *
 *     {"argv": ["…"], "env": {…}, "cwd": "…", "stdin": "…" or "stdin_base64": "…"}
 *     → {"exit_status": 0, "signal": null, "stdout": "…", "stderr": "…", "truncated": false}
 *
 * The command gets a process group of its own. When it ends, so does everything that it left
 * behind: the group is killed while its leader is still a zombie (so that its number is ours), its
 * cgroup, where it has one, is killed, and what has left the group falls to this worker, a
 * subreaper. When somebody asks for the end, the group gets SIGTERM, and SIGKILL half of KillAfter=
 * later: before the supervisor loses patience with us. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "child/command.h"
#include "child/job_group.h"
#include "child/module.h"
#include "process/exit.h"
#include "process/orphans.h"
#include "process/start.h"
#include "worker/job.h"

enum { CHUNK = 64 * 1024 };

static const Preparation *preparation;

/* One command that runs. */
typedef struct Run {
        BroodJob *job;
        pid_t pid;
        int pidfd;
        JobGroup group;
        bool oom;               /* the kernel has killed something of it for lack of memory */
        int in, out, err;       /* our ends of its pipes; -1: closed, or not ours */
        Slice left_in;          /* what it has not yet been given */
        Buffer out_text, err_text;
        bool truncated;
        bool ended;
        ExitVerdict verdict;
        usec_t kill_at;         /* when SIGKILL follows; USEC_INFINITY: nobody has asked */
} Run;

/* Some of it is kept for the result, all of it is for those who follow. Returns false when the pipe
 * has ended. */
static bool read_some(Run *r, int fd, int stream, Buffer *to)
{
        char bytes[CHUNK];
        ssize_t n = read(fd, bytes, sizeof(bytes));
        size_t room = preparation->output_max - buffer_len(to);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        if ((size_t)n > room)
                r->truncated = true;
        buffer_append(to, bytes, MIN((size_t)n, room));
        (void)brood_job_output(r->job, stream, bytes, (size_t)n); /* followers or not, it runs on */
        return n > 0;
}

static void hear_stdout(Run *r)
{
        if (!read_some(r, r->out, 1, &r->out_text))
                r->out = fd_close(r->out);
}

static void hear_stderr(Run *r)
{
        if (!read_some(r, r->err, 2, &r->err_text))
                r->err = fd_close(r->err);
}

static void give_input(Run *r)
{
        ssize_t n = r->left_in.len ? write(r->in, r->left_in.data, r->left_in.len) : 0;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n > 0) {
                r->left_in.data += n;
                r->left_in.len -= (size_t)n;
        }
        if (n < 0 || !r->left_in.len)
                r->in = fd_close(r->in);
}

/* The command is over: so is everything that it started. */
static void note_end(Run *r)
{
        struct rusage usage;
        int status = 0;

        (void)kill(-r->pid, SIGKILL);
        (void)wait4(r->pid, &status, 0, &usage);
        r->verdict = exit_verdict(status, &usage);
        r->oom = job_group_end(&r->group); /* all at once; then what is dead is reaped */
        (void)orphans_end_all(); /* what has become another user's is the supervisor's to end */
        r->ended = true;
}

static void ask_to_end(Run *r, usec_t now)
{
        (void)kill(-r->pid, SIGTERM);
        (void)kill(-r->pid, SIGCONT);
        r->kill_at = usec_add(now, preparation->kill_after_usec / 2);
}

static void step(Run *r, int cancel_fd)
{
        struct pollfd p[5] = {
                { r->pidfd, POLLIN, 0 },
                { r->kill_at == USEC_INFINITY ? cancel_fd : -1, POLLIN, 0 },
                { r->in, POLLOUT, 0 },
                { r->out, POLLIN, 0 },
                { r->err, POLLIN, 0 },
        };
        usec_t now;

        (void)fd_poll(p, ELEMENTS(p), r->kill_at);
        now = clock_monotonic();
        if (p[3].revents)
                hear_stdout(r);
        if (p[4].revents)
                hear_stderr(r);
        if (p[2].revents)
                give_input(r);
        if (p[1].revents)
                ask_to_end(r, now);
        if (r->kill_at <= now) {
                (void)kill(-r->pid, SIGKILL);
                job_group_kill(&r->group);
                r->kill_at = usec_add(now, USEC_PER_SEC);
        }
        if (p[0].revents)
                note_end(r);
}

static bool has_more(int fd)
{
        struct pollfd p = { fd, POLLIN, 0 };

        return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* What is in the pipes when everything that we started is dead. That somebody else still holds them
 * open is not our concern. */
static void drain(Run *r)
{
        while (has_more(r->out))
                hear_stdout(r);
        while (has_more(r->err))
                hear_stderr(r);
}

static json_t *bytes_member(json_t *object, const char *name, Slice bytes)
{
        AUTO(buffer_fini) Buffer text = BUFFER_INIT;
        char key[32];

        if (json_object_set_new(object, name,
                                json_stringn(bytes.data ? bytes.data : "", bytes.len)) == 0 &&
            !memchr(bytes.data ? bytes.data : "", '\0', bytes.len))
                return object;
        (void)json_object_del(object, name);
        base64_append(&text, bytes);
        (void)snprintf(key, sizeof(key), "%s_base64", name);
        json_object_set_new(object, key, json_stringn(buffer_bytes(&text), buffer_len(&text)));
        return object;
}

static json_t *describe(int exit_status, const char *signal, Slice out, Slice err, bool truncated)
{
        json_t *all = json_object();

        json_object_set_new(all, "exit_status",
                            exit_status < 0 ? json_null() : json_integer(exit_status));
        json_object_set_new(all, "signal", signal ? json_string(signal) : json_null());
        bytes_member(all, "stdout", out);
        bytes_member(all, "stderr", err);
        json_object_set_new(all, "truncated", json_boolean(truncated));
        return all;
}

static int answer(Run *r)
{
        char words[96];
        int signal = exit_verdict_signal(&r->verdict), status = exit_verdict_status(&r->verdict);
        CancelReason asked = (CancelReason)atomic_load(&r->job->cancelled);
        json_t *all = describe(status, signal ? signal_name(signal) : NULL,
                               buffer_slice(&r->out_text), buffer_slice(&r->err_text),
                               r->truncated);

        if (r->oom)
                json_object_set_new(all, "oom_killed", json_true());
        exit_verdict_words(&r->verdict, words, sizeof(words));
        if (asked != CANCEL_NONE && r->kill_at != USEC_INFINITY)
                return job_fail_kind(r->job, asked == CANCEL_TIMEOUT ? "timeout" : "cancelled", 1,
                                     all, "the command %s and %s", cancel_reason_words(asked),
                                     words);
        if (status == 0)
                return brood_job_result_json(r->job, all);
        return job_fail_kind(r->job, "command", 1, all, "the command %s%s", words,
                             r->oom ? "; the kernel has killed it, or what it started: out of "
                                      "memory"
                                    : "");
}

/* What could not be entered or run: a client's directory is often closed to the user of a pool. */
static const char *culprit(const Command *c)
{
        return c->directory && access(c->directory, X_OK) < 0 ? c->directory : c->argv[0];
}

/* It could not be started: as a shell would say it. */
static int answer_not_started(BroodJob *job, const char *program, int error)
{
        char words[512];
        int n = snprintf(words, sizeof(words), "brood: %.300s: %s\n", program, strerror(error));
        int status = error == ENOENT || error == ENOTDIR ? 127 : 126;

        (void)brood_job_output(job, 2, words, (size_t)n);
        return job_fail_kind(
                job, "command", 1,
                describe(status, NULL, (Slice){ NULL, 0 }, (Slice){ words, (size_t)n }, false),
                "%.300s: %s", program, strerror(error));
}

/* A pipe whose `ours` end does not block. */
static int make_pipe(int *ours, int *theirs, bool we_write)
{
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        *ours = ends[we_write];
        *theirs = ends[!we_write];
        r = fd_nonblock(*ours, true);
        return r;
}

static int start(Run *r, const Command *command)
{
        AUTO(fd_close) int in = -1;
        AUTO(fd_close) int out = -1;
        AUTO(fd_close) int err = -1;
        const int *own = r->job->fds;
        bool attached = own[0] >= 0;
        ProcessStart s = { .path = command->path,
                           .argv = command->argv,
                           .environment = command->environment,
                           .directory = command->directory,
                           .new_group = true,
                           .die_with_parent = true };
        int e = 0;

        if (!attached) {
                e = buffer_len(&command->input) ? make_pipe(&r->in, &in, true) : 0;
                e = e < 0 ? e : make_pipe(&r->out, &out, false);
                e = e < 0 ? e : make_pipe(&r->err, &err, false);
        }
        if (e < 0)
                return e;
        s.in = attached ? own[0] : in;
        s.out = attached ? own[1] : out;
        s.err = attached ? own[2] : err;
        s.cgroup = job_group_make(&r->group);
        return process_start(&s, &r->pid, &r->pidfd);
}

static void run_clear(Run *r)
{
        (void)job_group_end(&r->group); /* where it could not be started */
        fd_close(r->pidfd);
        fd_close(r->in);
        fd_close(r->out);
        fd_close(r->err);
        buffer_fini(&r->out_text);
        buffer_fini(&r->err_text);
}

DEFINE_FINI(Run, run_clear);

static int exec_run(BroodJob *job)
{
        AUTO(command_clear) Command command = COMMAND_INIT;
        AUTO(run_clear) Run r = { .job = job, .pidfd = -1, .in = -1, .out = -1, .err = -1,
                                  .group = JOB_GROUP_NONE, .kill_at = USEC_INFINITY };
        int cancel_fd = brood_job_cancel_fd(job), e;
        char why[256];

        e = command_parse(&command, brood_job_args(job), why, sizeof(why));
        if (e == -EINVAL)
                return brood_job_bad_args(job, "%s", why);
        if (e == 0)
                e = start(&r, &command);
        if (e == -ENOMEM || e == -EAGAIN || e == -EMFILE || e == -ENFILE)
                return brood_job_fail(job, 1, NULL, "the command can not be started: %s",
                                      strerror(-e));
        if (e < 0)
                return answer_not_started(job, culprit(&command), -e);
        r.left_in = buffer_slice(&command.input);
        for (int i = 0; i < JOB_FDS; i++)
                job->fds[i] = fd_close(job->fds[i]); /* the command has them */
        while (!r.ended)
                step(&r, cancel_fd);
        drain(&r);
        return answer(&r);
}

static const BroodHandler handlers[] = {
        { .name = "exec", .run = exec_run, .summary = "runs a command" },
        { 0 },
};

static const BroodModule module = {
        .abi = BROOD_MODULE_ABI,
        .size = sizeof(BroodModule),
        .name = "exec",
        .handlers = handlers,
};

const BroodModule *exec_module(const Preparation *p)
{
        preparation = p;
        return &module;
}
