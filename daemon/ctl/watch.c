/* SPDX-License-Identifier: MIT */

/* watch: one line for every change, until interrupted. */

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/live.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

/* What is expected to be in the columns, so that they are aligned from the first line on. What is
 * wider makes its column wider from there on. */
static const char *const with_jobs[] = { "HH:MM:SS.mmm", "worker",
                                         "01890a5d-ac96-774b-bcce-b302099a8057", "quarantined", "",
                                         NULL };
static const char *const without_jobs[] = { "HH:MM:SS.mmm", "worker", "a worker.1", "starting", "",
                                            NULL };

static bool jobs_wanted(const Options *o)
{
        const OptionValue *kinds = &o->values[OPTION_KIND];
        bool wanted = !kinds->n_list;

        for (unsigned i = 0; i < kinds->n_list; i++)
                wanted |= strcmp(kinds->list[i], "job") == 0;
        return wanted;
}

/* At once: stdout may be stuck. What is written is written line by line, so none is cut. */
static void leave(int number)
{
        _exit(STATUS_DONE);
}

static int ask(Ctl *ctl)
{
        const OptionValue *kinds = &ctl->options->values[OPTION_KIND];
        const char *pool = ctl->options->values[OPTION_POOL].text;
        Buffer *b = call_begin(ctl, "Watch", VARLINK_MORE);

        if (pool)
                emit_string_member(b, "pool", slice_of(pool));
        if (kinds->n_list) {
                emit_key(b, "kinds");
                emit_open(b, '[');
                for (unsigned i = 0; i < kinds->n_list; i++)
                        emit_string(b, slice_of(kinds->list[i]));
                emit_close(b, ']');
        }
        return call_send(ctl);
}

static void show(Table *t, const json_t *change)
{
        const char *state = get_string(change, "state");

        table_cell(t, FAINT, "%s", clock_text(get_usec(change, "time_usec")).text);
        table_cell(t, PLAIN, "%s", get_string(change, "kind"));
        table_cell(t, PLAIN, "%s", get_string(change, "id"));
        table_cell(t, colour_of_state(state), "%s", state);
        table_cell(t, FAINT, "%s", get_string(change, "reason"));
        table_print(t, 0);
        print_flush();
}

static int show_all(Ctl *ctl, Table *t)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status;

        do {
                status = live_next(ctl, &reply);
                if (status || !reply.text)
                        return status;
                if (option_given(ctl->options, OPTION_JSON))
                        reply_print(&reply);
                else
                        show(t, reply.parameters);
        } while (reply.continues);
        return STATUS_DONE;
}

int verb_watch(Ctl *ctl)
{
        struct sigaction action = { .sa_handler = leave };
        AUTO(table_fini) Table table;
        int status;

        (void)sigaction(SIGINT, &action, NULL); /* cannot fail with these arguments */
        (void)signal(SIGPIPE, SIG_IGN);         /* it ends when nobody reads it any more */
        table_init(&table, jobs_wanted(ctl->options) ? with_jobs : without_jobs, "lllll");
        table.headed = true; /* what is expected is not shown */
        status = ask(ctl);
        return status ? status : show_all(ctl, &table);
}
