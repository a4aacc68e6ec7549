/* SPDX-License-Identifier: MIT */

/* why: what jobs wait for, a line for each. */

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

static void append_ahead(Buffer *b, const json_t *ahead)
{
        long long n = json_integer_value(ahead);

        if (!json_is_integer(ahead))
                return;
        if (n)
                buffer_printf(b, "; %lld job%s ahead of it", n, n == 1 ? " is" : "s are");
        else
                buffer_append_literal(b, "; no job is ahead of it");
}

/* "queued: every slot of the pool is busy; 3 jobs are ahead of it" */
static void print_why(const Ctl *ctl, const char *id, const json_t *why)
{
        const char *state = get_string(why, "state");
        Colour colour = colour_of_state(state);
        Buffer b = BUFFER_INIT;

        if (ctl->n_words > 1)
                buffer_printf(&b, "%s ", id);
        buffer_printf(&b, "%s%s%s: ", colour_on(colour), state, colour_off(colour));
        append_shown(&b, slice_of(get_string(why, "reason")), false);
        append_ahead(&b, json_object_get(why, "ahead"));
        buffer_append_char(&b, '\n');
        print_buffer(&b);
        buffer_fini(&b);
}

static int why(Ctl *ctl, const char *id)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = call_simple(ctl, "Why", "id", id, &reply);

        if (status == STATUS_DONE && !option_given(ctl->options, OPTION_JSON))
                print_why(ctl, id, reply.parameters);
        return status;
}

int verb_why(Ctl *ctl)
{
        int result = ctl_check_ids(ctl, 0);

        if (result)
                return result;
        for (unsigned i = 0; i < ctl->n_words; i++) {
                int status = why(ctl, ctl->words[i]);

                if (status == STATUS_UNREACHABLE)
                        return status;
                if (status)
                        result = status;
        }
        return result;
}
