/* SPDX-License-Identifier: MIT */

/* metrics: the figures of the daemon as text. */

#include <string.h>

#include "base/cleanup.h"
#include "ctl/call.h"
#include "ctl/job.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

int verb_metrics(Ctl *ctl)
{
        const char *format = ctl->options->values[OPTION_FORMAT].text;
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = call_simple(ctl, "Metrics", "format", format ? format : "prometheus", &reply);

        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        fputs(get_string(reply.parameters, "text"), stdout);
        return STATUS_DONE;
}
