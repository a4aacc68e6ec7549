/* SPDX-License-Identifier: MIT */

/* cancel and retry. Of jobs that are named, all are tried, one call after the other. */

#include "ctl/change.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/listing.h"
#include "ctl/verbs.h"

static const char *const open_states[] = { "scheduled", "blocked", "queued", "running", NULL };
static const char *const lost_states[] = { "failed", "quarantined", "cancelled", "expired", NULL };

static const Change cancel = {
        .method = "Cancel",
        .verb = "cancel",
        .past = "cancelled",
        .missed = "had ended",
        .states = open_states,
        .words = "only jobs that are scheduled, blocked, queued or running can be cancelled",
};

static const Change retry = {
        .method = "Retry",
        .verb = "retry",
        .past = "retried",
        .missed = "could not be",
        .states = lost_states,
        .words = "only jobs that are failed, quarantined, cancelled or expired can be retried",
};

bool change_applies(const Change *c, const char *state)
{
        for (const char *const *s = c->states; *s; s++)
                if (strcmp(*s, state) == 0)
                        return true;
        return false;
}

void change_write(Ctl *ctl, const Change *c, const char *id)
{
        Buffer *b = call_begin(ctl, c->method, 0);

        emit_string_member(b, "id", slice_of(id));
        if (option_given(ctl->options, OPTION_FORCE))
                emit_bool_member(b, "force", true);
}

static int change_one(Ctl *ctl, const Change *change, const char *id)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status;

        change_write(ctl, change, id);
        status = call_finish(ctl, &reply);
        if (status == STATUS_DONE && !option_given(ctl->options, OPTION_JSON))
                printf("%s %s\n", id, get_string(reply.parameters, "state"));
        return status;
}

static int change_named(Ctl *ctl, const Change *change)
{
        int result = STATUS_DONE;

        for (unsigned i = 0; i < ctl->n_words; i++) {
                int status = change_one(ctl, change, ctl->words[i]);

                if (status == STATUS_UNREACHABLE)
                        return status;
                if (status)
                        result = status;
        }
        return result;
}

/* Ids or filters, and filters that can match something. */
static int check(const Ctl *ctl, const Change *change)
{
        const char *state = ctl->options->values[OPTION_STATE].text;
        bool filtered = listing_filtered(ctl->options);

        if (!ctl->n_words && !filtered)
                return ctl_usage(ctl, "which jobs? Name their ids, or what they have in common: "
                                      "--state=, --pool=, --handler= or --tag=");
        if (ctl->n_words && filtered)
                return ctl_usage(ctl, "ids and filters exclude each other");
        if (ctl->n_words && option_given(ctl->options, OPTION_DRY_RUN))
                return ctl_usage(ctl, "--dry-run is for filters, not for ids");
        if (state && !change_applies(change, state))
                return ctl_usage(ctl, "--state=%s: %s", state, change->words);
        return filtered ? listing_check(ctl) : ctl_check_ids(ctl, 0);
}

static int change_jobs(Ctl *ctl, const Change *change)
{
        int status = check(ctl, change);

        if (status)
                return status;
        return ctl->n_words ? change_named(ctl, change) : change_matching(ctl, change);
}

int verb_cancel(Ctl *ctl)
{
        return change_jobs(ctl, &cancel);
}

int verb_retry(Ctl *ctl)
{
        return change_jobs(ctl, &retry);
}
