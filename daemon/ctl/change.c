/* SPDX-License-Identifier: MIT */

/* cancel and retry: one call for each id; all are tried. */

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/verbs.h"

static int change_one(Ctl *ctl, const char *method, const char *id, bool force)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        Buffer *b = call_begin(ctl, method, 0);
        int status;

        emit_string_member(b, "id", slice_of(id));
        if (force)
                emit_bool_member(b, "force", true);
        status = call_finish(ctl, &reply);
        if (status == STATUS_DONE && !option_given(ctl->options, OPTION_JSON))
                printf("%s %s\n", id, get_string(reply.parameters, "state"));
        return status;
}

static int change_all(Ctl *ctl, const char *method, bool force)
{
        int result = ctl_check_ids(ctl, 0);

        if (result)
                return result;
        for (unsigned i = 0; i < ctl->n_words; i++) {
                int status = change_one(ctl, method, ctl->words[i], force);

                if (status == STATUS_UNREACHABLE)
                        return status;
                if (status)
                        result = status;
        }
        return result;
}

int verb_cancel(Ctl *ctl)
{
        return change_all(ctl, "Cancel", option_given(ctl->options, OPTION_FORCE));
}

int verb_retry(Ctl *ctl)
{
        return change_all(ctl, "Retry", false);
}
