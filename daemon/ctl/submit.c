/* SPDX-License-Identifier: MIT */

#include "ctl/submit.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/call.h"
#include "ctl/job.h"
#include "ctl/patience.h"
#include "ctl/spec.h"
#include "ctl/verbs.h"

static int print_end(const Ctl *ctl, const Reply *r)
{
        const json_t *job = json_object_get(r->parameters, "job");

        if (!job_succeeded(job)) {
                job_say_reason(job);
                return STATUS_FAILED;
        }
        if (!option_given(ctl->options, OPTION_JSON))
                job_print_result(r);
        return STATUS_DONE;
}

/* Whatever the answer is. Returns a status. */
static int ask(Ctl *ctl, const char *handler, Slice args, int max_attempts, Reply *ret)
{
        Buffer *b = call_begin(ctl, "Submit", 0);
        int status;

        emit_key(b, "job");
        emit_open(b, '{');
        spec_write(b, ctl->options, handler, args);
        if (max_attempts && !option_given(ctl->options, OPTION_MAX_ATTEMPTS))
                emit_int_member(b, "max_attempts", max_attempts);
        emit_close(b, '}');
        if (option_given(ctl->options, OPTION_WAIT))
                emit_bool_member(b, "wait", true);
        status = call_send(ctl);
        return status ? status : call_receive(ctl, USEC_INFINITY, ret);
}

static bool is_draining(const Reply *r)
{
        return r->error && strcmp(r->error, "io.brood.Draining") == 0;
}

int submit_job(Ctl *ctl, const char *handler, Slice args, int max_attempts)
{
        bool wait = option_given(ctl->options, OPTION_WAIT);
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = ask(ctl, handler, args, max_attempts, &reply);

        while (status == STATUS_DONE && is_draining(&reply) && patience_until_next(ctl))
                status = ask(ctl, handler, args, max_attempts, &reply);
        if (status == STATUS_DONE)
                status = call_judge(ctl, &reply);
        if (status)
                return status;
        if (wait)
                return print_end(ctl, &reply);
        if (!option_given(ctl->options, OPTION_JSON))
                printf("%s\n", get_string(reply.parameters, "id"));
        return STATUS_DONE;
}

int verb_submit(Ctl *ctl)
{
        const char *handler = ctl_word(ctl, 0);
        Buffer args = BUFFER_INIT;
        int status = spec_check(ctl);

        if (status == STATUS_DONE)
                status = spec_read_args(ctl, ctl_word(ctl, 1), &args);
        if (status == STATUS_DONE)
                status = submit_job(ctl, handler, buffer_slice(&args), 0);
        buffer_fini(&args);
        return status;
}
