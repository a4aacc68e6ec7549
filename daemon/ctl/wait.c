/* SPDX-License-Identifier: MIT */

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/verbs.h"

/* Where there are several jobs, one that failed is a line too, so that lines and ids match. */
static int print_one(const Ctl *ctl, const Reply *r)
{
        const json_t *job = json_object_get(r->parameters, "job");
        bool json = option_given(ctl->options, OPTION_JSON);

        if (job_succeeded(job)) {
                if (!json)
                        job_print_result(r);
                return STATUS_DONE;
        }
        job_say_reason(job);
        if (!json && ctl->n_words > 1)
                printf("null\n");
        return STATUS_FAILED;
}

int verb_wait(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int result = STATUS_DONE, status = ctl_check_ids(ctl, 0);
        Buffer *b;

        if (status)
                return status;
        b = call_begin(ctl, "WaitMany", VARLINK_MORE);
        emit_key(b, "ids");
        emit_open(b, '[');
        for (unsigned i = 0; i < ctl->n_words; i++)
                emit_string(b, slice_of(ctl->words[i]));
        emit_close(b, ']');
        emit_bool_member(b, "ordered", true);
        status = call_send(ctl);
        for (bool more = true; more && status == STATUS_DONE; more = reply.continues) {
                status = call_reply(ctl, &reply);
                if (status == STATUS_DONE && print_one(ctl, &reply))
                        result = STATUS_FAILED;
        }
        return status ? status : result;
}
