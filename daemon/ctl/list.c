/* SPDX-License-Identifier: MIT */

/* list: a table of jobs, fetched page by page. */

#include <string.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/pager.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

enum { PAGE = 500, LIMIT = 100, NOTE = 60 };

static void filter(Buffer *b, const Options *o, OptionId id, const char *name)
{
        if (option_given(o, id))
                emit_string_member(b, name, slice_of(o->values[id].text));
}

static int fetch(Ctl *ctl, const char *before, int64_t limit, Reply *ret)
{
        Buffer *b = call_begin(ctl, "List", 0);

        filter(b, ctl->options, OPTION_STATE, "state");
        filter(b, ctl->options, OPTION_POOL, "pool");
        filter(b, ctl->options, OPTION_HANDLER, "handler");
        filter(b, ctl->options, OPTION_TAG, "tag");
        if (*before)
                emit_string_member(b, "before", slice_of(before));
        emit_int_member(b, "limit", limit);
        return call_finish(ctl, ret);
}

/* How long it ran, or has been running. */
static ShortText ran_text(const json_t *job, usec_t now)
{
        usec_t ended = get_usec(job, "ended_usec");

        return age_text(get_usec(job, "started_usec"), ended ? ended : now);
}

/* Why it is where it is, on at most NOTE bytes. */
static void note_cell(Table *t, const json_t *job)
{
        const char *state = get_string(job, "state");
        Buffer b = BUFFER_INIT;
        size_t n;

        if (strcmp(state, "succeeded") != 0)
                job_append_reason(&b, job);
        n = strlen(state); /* it has a column of its own */
        if (buffer_len(&b) > n)
                buffer_consume(&b, buffer_len(&b) > n + 2 ? n + 2 : n);
        else
                buffer_clear(&b, 0);
        n = buffer_len(&b);
        if (n > NOTE)
                for (n = NOTE; n && ((unsigned char)buffer_bytes(&b)[n] & 0xc0) == 0x80;)
                        n--;
        table_cell(t, FAINT, "%.*s%s", (int)n, n ? buffer_bytes(&b) : "",
                   buffer_len(&b) > n ? "..." : "");
        buffer_fini(&b);
}

static void row(Table *t, const json_t *job, usec_t now)
{
        const char *state = get_string(job, "state");

        table_cell(t, PLAIN, "%s", get_string(job, "id"));
        table_cell(t, colour_of_state(state), "%s", state);
        table_cell(t, PLAIN, "%s", get_string(json_object_get(job, "spec"), "handler"));
        table_cell(t, PLAIN, "%s", get_string(job, "pool"));
        table_cell(t, PLAIN, "%s", age_text(get_usec(job, "submitted_usec"), now).text);
        table_cell(t, PLAIN, "%s", ran_text(job, now).text);
        table_cell(t, PLAIN, "%zu", json_array_size(json_object_get(job, "attempts")));
        note_cell(t, job);
}

/* Prints a page. Returns how many jobs there were; `last` becomes the id of the last. */
static size_t print_page(const Ctl *ctl, Table *t, const json_t *jobs, char *last, size_t size)
{
        usec_t now = clock_read(CLOCK_REALTIME);
        json_t *job;
        size_t i;

        json_array_foreach(jobs, i, job) {
                if (!option_given(ctl->options, OPTION_JSON))
                        row(t, job, now);
                (void)snprintf(last, size, "%s", get_string(job, "id"));
        }
        if (!option_given(ctl->options, OPTION_JSON))
                table_print(t, 0);
        return i;
}

int verb_list(Ctl *ctl)
{
        static const char *const headers[] = { "ID",  "STATE", "HANDLER",  "POOL", "AGE",
                                               "RAN", "TRIES", "WHY", NULL };
        const OptionValue *given = &ctl->options->values[OPTION_LIMIT];
        int64_t left = given->text ? given->number : LIMIT;
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        AUTO(table_fini) Table table;
        char last[64] = "";
        int status;

        table_init(&table, headers, "llllrrrl");
        while (left > 0) {
                size_t n;

                status = fetch(ctl, last, MIN(left, PAGE), &reply);
                if (status)
                        return status;
                if (!*last)
                        pager_open(ctl->options);
                n = print_page(ctl, &table, json_object_get(reply.parameters, "jobs"), last,
                               sizeof(last));
                if (n == 0)
                        break;
                left -= (int64_t)n;
        }
        return STATUS_DONE;
}
