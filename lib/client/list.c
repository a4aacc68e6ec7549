/* SPDX-License-Identifier: MIT */

/* Lists, a page at a time. A page is taken apart before any of its jobs is told of, so that who is
 * told can use the client. */

#include <errno.h>
#include <string.h>

#include "client/inside.h"
#include "io.brood.h"
#include "varlink/json.h"

enum { PAGE = 500 };

typedef struct Page {
        BroodRecord *records[PAGE];
        size_t n;
} Page;

static void page_clear(Page *page)
{
        for (size_t i = 0; i < page->n; i++)
                brood_record_free(page->records[i]);
        page->n = 0;
}

static int read_page(const BroodReply *reply, void *to)
{
        const VarlinkScan *scan = &reply->client->scan;
        const VarlinkNode *root, *jobs, *job;
        Page *page = to;
        int r = client_scan(reply, SHAPE_LIST, &root);

        if (r < 0)
                return client_fail_errno(reply->client, r);
        jobs = client_field(scan, root, IO_BROOD_LIST_OUT_JOBS);
        if (!jobs)
                return client_fail_errno(reply->client, -EBADMSG);
        for (uint32_t at = jobs->child; at; at = job->next) {
                job = varlink_node(scan, at);
                r = page->n < PAGE ? client_record(scan, job, &page->records[page->n]) : -EBADMSG;
                if (r < 0) {
                        page_clear(page);
                        return client_fail_errno(reply->client, r);
                }
                page->n++;
        }
        return 0;
}

static int write_filter(BroodClient *c, Buffer *b, const BroodFilter *f, const char *before,
                        size_t limit)
{
        const char *state = f->state ? brood_state_name(f->state) : NULL;
        int r = client_write_text(c, b, "pool", f->pool);

        for (size_t i = 0; i < ELEMENTS(f->reserved); i++)
                if (f->reserved[i])
                        return client_fail(c, -EINVAL, "reserved: not zero");
        if (f->state && !strcmp(state, brood_state_name(BROOD_UNKNOWN)))
                return client_fail(c, -EINVAL, "state: there is no %d", f->state);
        if (r == 0)
                r = client_write_text(c, b, "state", state);
        if (r == 0)
                r = client_write_text(c, b, "handler", f->handler);
        if (r == 0)
                r = client_write_text(c, b, "tag", f->tag);
        if (r == 0)
                r = client_write_text(c, b, "before", before);
        emit_int_member(b, "limit", (int64_t)limit);
        return r;
}

static int ask_page(BroodClient *c, const BroodFilter *f, const char *before, size_t limit,
                    Page *page)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        ClientAsk ask = { .method = "io.brood.List", .parameters = &b, .read = read_page,
                          .to = page };
        int r = write_filter(c, &b, f, before, limit);

        return r < 0 ? r : client_ask(c, &ask);
}

/* The records go to who is told, one by one. */
static int tell_page(Page *page, size_t from, BroodVisit visit, void *context)
{
        int r = 0;

        for (size_t i = 0; i < page->n && r == 0; i++)
                r = visit(MOVE_PTR(page->records[i]), from + i, context);
        page_clear(page);
        return r;
}

int brood_client_list(BroodClient *client, const BroodFilter *filter, BroodVisit visit,
                      void *context)
{
        static const BroodFilter all = { 0 };
        const BroodFilter *f = filter ? filter : &all;
        const char *before = f->before;
        size_t told = 0, wanted, got;
        AUTO(free) Page *page = calloc(1, sizeof(*page));
        BroodId last;
        int r = client_usable(client, true);

        if (r == 0 && !page)
                r = client_fail_errno(client, -ENOMEM);
        if (r < 0)
                return r;
        do {
                wanted = f->limit ? MIN((size_t)PAGE, f->limit - told) : PAGE;
                r = ask_page(client, f, before, wanted, page);
                got = page->n;
                if (r < 0 || !got)
                        return r;
                (void)snprintf(last.text, sizeof(last.text), "%s", page->records[got - 1]->id);
                before = last.text;
                r = tell_page(page, told, visit, context);
                told += got;
        } while (r == 0 && got == wanted && told != f->limit);
        return r;
}
