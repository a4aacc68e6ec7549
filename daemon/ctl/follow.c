/* SPDX-License-Identifier: MIT */

/* follow: what a job writes, as it writes it. The bytes go straight to the descriptors; how the job
 * ended is asked for when there are no more. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "ctl/connect.h"
#include "ctl/job.h"
#include "ctl/live.h"
#include "ctl/print.h"
#include "ctl/verbs.h"
#include "ctl/words.h"

typedef struct Follow {
        Ctl *ctl;
        bool json;
        bool in_line; /* what is on stderr does not end with a line break */
} Follow;

/* The descriptor that a stream goes to; -1: there is no such stream. */
static int descriptor_of(const char *stream)
{
        if (strcmp(stream, "stdout") == 0)
                return STDOUT_FILENO;
        return strcmp(stream, "stderr") == 0 ? STDERR_FILENO : -1;
}

static int write_bytes(Follow *f, int fd, Slice bytes)
{
        int r = bytes.len ? fd_write_all(fd, bytes.data, bytes.len) : 0;

        if (bytes.len && fd == STDERR_FILENO)
                f->in_line = bytes.data[bytes.len - 1] != '\n';
        if (r == 0)
                return STATUS_DONE;
        if (r == -EPIPE)
                return 128 + SIGPIPE;
        say("follow: cannot write: %s", strerror(-r));
        return STATUS_FAILED;
}

static int show(Follow *f, const Reply *r)
{
        const json_t *text = json_object_get(r->parameters, "data");
        const char *coded = get_string(r->parameters, "data_base64");
        AUTO(buffer_fini) Buffer bytes = BUFFER_INIT;
        int fd = descriptor_of(get_string(r->parameters, "stream"));

        if (f->json) {
                reply_print(r);
                return STATUS_DONE;
        }
        if (fd < 0 || base64_decode(&bytes, slice_of(coded)) < 0)
                return connect_lost(f->ctl, -EBADMSG);
        if (bytes.failed)
                return ctl_no_memory();
        if (json_is_string(text))
                return write_bytes(f, fd, (Slice){ json_string_value(text),
                                                   json_string_length(text) });
        return write_bytes(f, fd, buffer_slice(&bytes));
}

static int show_all(Follow *f)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status;

        do {
                status = live_next(f->ctl, &reply);
                if (status == STATUS_DONE)
                        status = reply.text ? show(f, &reply) : 128 + SIGPIPE;
        } while (status == STATUS_DONE && reply.continues);
        return status;
}

/* On one line, whatever is in the handler's words. */
static void say_end(const Follow *f, const json_t *job)
{
        Buffer words = BUFFER_INIT, line = BUFFER_INIT;

        job_append_reason(&words, job);
        append_shown(&line, buffer_slice(&words), false);
        if (f->in_line)
                (void)fd_write_all(STDERR_FILENO, "\n", 1);
        say("job %s %.*s", get_string(job, "id"), (int)buffer_len(&line),
            line.data ? buffer_bytes(&line) : "");
        buffer_fini(&words);
        buffer_fini(&line);
}

/* As `wait` has it. */
static int tell_end(const Follow *f, const char *id)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        const json_t *job;
        int status;

        emit_string_member(call_begin(f->ctl, "Wait", 0), "id", slice_of(id));
        status = call_send(f->ctl);
        if (status == STATUS_DONE)
                status = call_receive(f->ctl, USEC_INFINITY, &reply);
        if (status)
                return status;
        if (reply.error) {
                words_say_error("follow", reply.error, reply.parameters);
                return STATUS_REFUSED;
        }
        job = json_object_get(reply.parameters, "job");
        if (job_succeeded(job))
                return STATUS_DONE;
        say_end(f, job);
        return STATUS_FAILED;
}

int verb_follow(Ctl *ctl)
{
        Follow f = { .ctl = ctl, .json = option_given(ctl->options, OPTION_JSON) };
        const char *id = ctl_word(ctl, 0);
        int status = ctl_check_ids(ctl, 0);

        if (status)
                return status;
        emit_string_member(call_begin(ctl, "Follow", VARLINK_MORE), "id", slice_of(id));
        status = call_send(ctl);
        if (status == STATUS_DONE)
                status = show_all(&f);
        return status ? status : tell_end(&f, id);
}
