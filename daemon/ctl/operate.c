/* SPDX-License-Identifier: MIT */

/* Verbs that steer the daemon or a pool. They are silent when all went well. */

#include "base/cleanup.h"
#include "base/parse.h"
#include "ctl/call.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

static int steer(Ctl *ctl, const char *method)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;

        return call_simple(ctl, method, "pool", ctl_word(ctl, 0), &reply);
}

int verb_pause(Ctl *ctl)
{
        return steer(ctl, "PausePool");
}

int verb_resume(Ctl *ctl)
{
        return steer(ctl, ctl_word(ctl, 0) ? "ResumePool" : "Resume");
}

int verb_restart(Ctl *ctl)
{
        return steer(ctl, "RestartPool");
}

int verb_reload(Ctl *ctl)
{
        return steer(ctl, "Reload");
}

int verb_drain(Ctl *ctl)
{
        return steer(ctl, "Drain");
}

static int read_workers(const Ctl *ctl, const char *word, int64_t *ret)
{
        if (parse_i64(word, ret) < 0 || *ret < 0 || *ret > 10000)
                return ctl_usage(ctl, "'%s' is not a number of workers, 0 to 10000", word);
        return STATUS_DONE;
}

int verb_scale(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        const char *max_word = ctl_word(ctl, 2);
        int64_t min, max;
        Buffer *b;

        if (read_workers(ctl, ctl_word(ctl, 1), &min))
                return STATUS_USAGE;
        max = min;
        if (max_word && read_workers(ctl, max_word, &max))
                return STATUS_USAGE;
        if (max < min)
                return ctl_usage(ctl, "MAX (%lld) is less than MIN (%lld)", (long long)max,
                                 (long long)min);
        b = call_begin(ctl, "ScalePool", 0);
        emit_string_member(b, "pool", slice_of(ctl_word(ctl, 0)));
        emit_int_member(b, "min_workers", min);
        emit_int_member(b, "max_workers", max);
        return call_finish(ctl, &reply);
}
