/* SPDX-License-Identifier: MIT */

#include "ctl/patience.h"

#include <string.h>

#include "base/clock.h"
#include "ctl/call.h"
#include "ctl/job.h"

enum { PATIENCE = 30 * USEC_PER_SEC };

/* The state that a reply to Status tells. */
static bool says_stopping(Slice text)
{
        json_t *message = json_loadb(text.data, text.len, 0, NULL);
        const char *state = get_string(json_object_get(message, "parameters"), "state");
        bool stopping = state && strcmp(state, "stopping") == 0;

        json_decref(message);
        return stopping;
}

static bool is_stopping(Ctl *ctl)
{
        Slice text;
        int r;

        (void)call_begin(ctl, "Status", 0);
        call_end(ctl);
        r = varlink_client_flush(ctl->client);
        if (r == 0)
                r = varlink_client_receive(ctl->client, PATIENCE, &text);
        return r < 0 || (r > 0 && says_stopping(text)); /* < 0: it has gone meanwhile */
}

static bool await_end(Ctl *ctl)
{
        usec_t until = clock_monotonic() + PATIENCE, now;
        Slice text;

        while ((now = clock_monotonic()) < until)
                if (varlink_client_receive(ctl->client, until - now, &text) < 0)
                        return true;
        return false;
}

bool patience_until_next(Ctl *ctl)
{
        VarlinkClient *next;

        if (!is_stopping(ctl) || !await_end(ctl) || varlink_client_new(&next, ctl->socket) < 0)
                return false;
        varlink_client_free(ctl->client);
        ctl->client = next;
        return true;
}
