/* SPDX-License-Identifier: MIT */

/* list: a table of jobs, fetched page by page. */

#include <string.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/listing.h"
#include "ctl/pager.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

enum { LIMIT = 100, NOTE = 60 };

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

static void print_page(const Ctl *ctl, Table *t, const Reply *r)
{
        usec_t now = clock_read(CLOCK_REALTIME);
        json_t *job;
        size_t i;

        if (option_given(ctl->options, OPTION_JSON)) {
                reply_print(r);
                return;
        }
        json_array_foreach(json_object_get(r->parameters, "jobs"), i, job)
                row(t, job, now);
        table_print(t, 0);
}

/* Up to `left` jobs, page by page. */
static int print_pages(Ctl *ctl, Table *t, int64_t left)
{
        AUTO(listing_fini) Listing listing = LISTING_INIT(ctl);
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        bool first = true;

        while (left > 0) {
                size_t n;
                int status = listing_next(&listing, left, &reply, &n);

                if (status)
                        return status;
                if (first)
                        pager_open(ctl->options);
                else if (n == 0)
                        break;
                first = false;
                print_page(ctl, t, &reply);
                left -= (int64_t)n;
        }
        return STATUS_DONE;
}

int verb_list(Ctl *ctl)
{
        static const char *const headers[] = { "ID",  "STATE", "HANDLER",  "POOL", "AGE",
                                               "RAN", "TRIES", "WHY", NULL };
        const OptionValue *limit = &ctl->options->values[OPTION_LIMIT];
        AUTO(table_fini) Table table;
        int status = listing_check(ctl);

        table_init(&table, headers, "llllrrrl");
        if (status == STATUS_DONE)
                status = print_pages(ctl, &table, !limit->text      ? LIMIT
                                                  : limit->number ? limit->number
                                                                  : INT64_MAX);
        return status;
}
