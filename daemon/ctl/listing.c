/* SPDX-License-Identifier: MIT */

#include "ctl/listing.h"

#include <errno.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/job.h"
#include "ctl/print.h"
#include "ctl/words.h"

static const struct {
        OptionId option;
        const char *name;
} filters[] = {
        { OPTION_STATE, "state" },
        { OPTION_POOL, "pool" },
        { OPTION_HANDLER, "handler" },
        { OPTION_TAG, "tag" },
};

void listing_fini(Listing *l)
{
        free(l->page);
}

bool listing_filtered(const Options *o)
{
        for (size_t i = 0; i < ELEMENTS(filters); i++)
                if (option_given(o, filters[i].option))
                        return true;
        return false;
}

int listing_check(const Ctl *ctl)
{
        if (ctl->options->values[OPTION_TAG].n_list > 1)
                return ctl_usage(ctl, "--tag may be given once: jobs are found by one tag");
        return STATUS_DONE;
}

static int ask(const Listing *l, int64_t limit, Reply *ret)
{
        Buffer *b = call_begin(l->ctl, "List", 0);
        int status;

        for (size_t i = 0; i < ELEMENTS(filters); i++)
                if (option_given(l->ctl->options, filters[i].option))
                        emit_string_member(
                                b, filters[i].name,
                                slice_of(l->ctl->options->values[filters[i].option].text));
        if (l->n_page) {
                emit_key(b, "before");
                emit_uuid(b, &l->page[l->n_page - 1]);
        }
        emit_int_member(b, "limit", MIN(limit, LISTING_PAGE));
        status = call_send(l->ctl);
        return status ? status : call_receive(l->ctl, USEC_INFINITY, ret);
}

/* Keeps the ids of the page. */
static int remember(Listing *l, const json_t *jobs)
{
        size_t n = json_array_size(jobs), i;
        Uuid *page;
        json_t *job;

        page = reallocarray(l->page, MAX(n, (size_t)1), sizeof(*page));
        if (!page)
                return ctl_no_memory();
        l->page = page;
        json_array_foreach(jobs, i, job)
                if (!uuid_parse(slice_of(get_string(job, "id")), &page[i]))
                        return connect_lost(l->ctl, -EBADMSG);
        l->n_page = n;
        return STATUS_DONE;
}

static bool is_gone(const Reply *r)
{
        return r->error && strcmp(r->error, "io.brood.NoSuchJob") == 0;
}

static int refused(const Listing *l, const Reply *r)
{
        if (is_gone(r))
                say("%s: jobs are forgotten faster than they can be listed (see KeepFinished=)",
                    l->ctl->verb->name);
        else
                words_say_error(l->ctl->verb->name, r->error, r->parameters);
        return STATUS_REFUSED;
}

/* The job that ended the last page may be forgotten by now. Then the one before it will do: what
 * stood between them is gone. */
int listing_next(Listing *l, int64_t limit, Reply *ret, size_t *ret_n)
{
        int status = ask(l, limit, ret);

        while (status == STATUS_DONE && is_gone(ret) && l->n_page > 1) {
                l->n_page--;
                status = ask(l, limit, ret);
        }
        if (status)
                return status;
        if (ret->error)
                return refused(l, ret);
        status = remember(l, json_object_get(ret->parameters, "jobs"));
        if (status == STATUS_DONE)
                *ret_n = l->n_page;
        return status;
}
