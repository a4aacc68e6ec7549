/* SPDX-License-Identifier: MIT */

/* cancel and retry of many: a page of jobs is fetched, and their calls are sent ahead together. Of
 * any number of jobs, two pages are in memory.
 *
 * The page after a page is fetched before the jobs of that page are changed: one that is cancelled
 * may be forgotten at once (KeepFinishedMax=), and could not say any more where to go on. */

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/change.h"
#include "ctl/connect.h"
#include "ctl/job.h"
#include "ctl/listing.h"
#include "ctl/print.h"
#include "ctl/words.h"

typedef unsigned long long Count;

typedef struct Matching {
        Ctl *ctl;
        const Change *change;
        bool json, dry;
        json_t *page; /* the jobs of the page that is to be changed */
        Buffer out;
        Count changed; /* or would be */
        Count ending;  /* of those: still running when they were cancelled */
        Count missed;  /* in another state by then, or gone */
        Count refused;
} Matching;

static void print_job(Matching *m, const char *id, const char *state, const char *error)
{
        Buffer *b = &m->out;

        if (!m->json) {
                if (!error)
                        buffer_printf(b, "%s\n", id);
                return;
        }
        buffer_append_char(b, '{');
        emit_string_member(b, "id", slice_of(id));
        if (*state)
                emit_string_member(b, "state", slice_of(state));
        if (error)
                emit_string_member(b, "error", slice_of(error));
        buffer_append_literal(b, "}\n");
}

static bool is_missed(const char *error)
{
        return strcmp(error, "io.brood.WrongState") == 0 ||
               strcmp(error, "io.brood.NoSuchJob") == 0;
}

static void count_reply(Matching *m, const Reply *r)
{
        if (r->error && is_missed(r->error)) {
                m->missed++;
        } else if (r->error) {
                if (!m->refused++) /* the same again and again would say no more */
                        words_say_error(m->ctl->verb->name, r->error, r->parameters);
        } else {
                m->changed++;
                m->ending += strcmp(get_string(r->parameters, "state"), "running") == 0;
        }
}

static int change_page(Matching *m)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        json_t *job;
        int status;
        size_t i;

        json_array_foreach(m->page, i, job) {
                change_write(m->ctl, m->change, get_string(job, "id"));
                call_end(m->ctl);
        }
        status = call_flush(m->ctl);
        json_array_foreach(m->page, i, job) {
                if (status == STATUS_DONE)
                        status = call_receive(m->ctl, USEC_INFINITY, &reply);
                if (status)
                        return status;
                count_reply(m, &reply);
                print_job(m, get_string(job, "id"), get_string(reply.parameters, "state"),
                          reply.error);
        }
        return m->refused ? STATUS_REFUSED : STATUS_DONE;
}

static int show_page(Matching *m)
{
        json_t *job;
        size_t i;

        json_array_foreach(m->page, i, job)
                print_job(m, get_string(job, "id"), get_string(job, "state"), NULL);
        m->changed += json_array_size(m->page);
        return STATUS_DONE;
}

/* Keeps what is to be changed of a page. */
static int take_page(Matching *m, const json_t *jobs)
{
        json_t *job;
        size_t i;

        (void)json_array_clear(m->page);
        json_array_foreach(jobs, i, job)
                if (change_applies(m->change, get_string(job, "state")) &&
                    json_array_append(m->page, job) < 0)
                        return ctl_no_memory();
        return STATUS_DONE;
}

static int work_page(Matching *m)
{
        int status = m->dry ? show_page(m) : change_page(m);

        if (m->out.failed && !status)
                status = ctl_no_memory();
        print_buffer(&m->out);
        print_flush();
        return status;
}

static int walk(Matching *m)
{
        AUTO(listing_fini) Listing listing = LISTING_INIT(m->ctl);
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status;
        size_t n;

        status = listing_next(&listing, LISTING_PAGE, &reply, &n);
        while (status == STATUS_DONE && n) {
                int ahead;

                status = take_page(m, json_object_get(reply.parameters, "jobs"));
                if (status)
                        return status;
                ahead = listing_next(&listing, LISTING_PAGE, &reply, &n);
                if (ahead == STATUS_UNREACHABLE)
                        return ahead;
                status = work_page(m);
                status = status ? status : ahead;
        }
        return status;
}

/* "cancelled 5 jobs, 1 had ended; 2 of them are being ended" */
static void say_sum(const Matching *m)
{
        Buffer b = BUFFER_INIT;

        buffer_printf(&b, "%s%s %llu job%s", m->dry ? "would " : "",
                      m->dry ? m->change->verb : m->change->past, m->changed,
                      PLURAL(m->changed));
        if (!m->dry)
                buffer_printf(&b, ", %llu %s", m->missed, m->change->missed);
        if (m->refused)
                buffer_printf(&b, ", %llu %s refused", m->refused,
                              m->refused == 1 ? "was" : "were");
        if (m->ending)
                buffer_printf(&b, "; %llu of them %s being ended", m->ending,
                              m->ending == 1 ? "is" : "are");
        say("%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}

int change_matching(Ctl *ctl, const Change *change)
{
        Matching m = { .ctl = ctl, .change = change, .out = BUFFER_INIT };
        int status;

        m.json = option_given(ctl->options, OPTION_JSON);
        m.dry = option_given(ctl->options, OPTION_DRY_RUN);
        m.page = json_array();
        if (!m.page)
                return ctl_no_memory();
        (void)signal(SIGPIPE, SIG_IGN); /* who reads the ids and leaves has not called it off */
        status = walk(&m);
        say_sum(&m);
        json_decref(m.page);
        buffer_fini(&m.out);
        return status;
}
