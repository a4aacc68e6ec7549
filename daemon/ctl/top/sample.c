/* SPDX-License-Identifier: MIT */

#include "ctl/top/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- one --- */

static int copy_pools(const BoardAt *b, TopSample *s)
{
        uint32_t n = board_pools(&b->view);

        s->pools = calloc(n ? n : 1, sizeof(*s->pools));
        if (!s->pools)
                return -ENOMEM;
        for (; s->n_pools < n; s->n_pools++)
                if (!board_read_pool(&b->view, s->n_pools, &s->pools[s->n_pools]))
                        s->pools[s->n_pools].name[0] = '\0';
        return 0;
}

static int copy_handlers(const BoardAt *b, TopSample *s)
{
        uint32_t n = board_handlers(&b->view);

        s->handlers = calloc(n ? n : 1, sizeof(*s->handlers));
        if (!s->handlers)
                return -ENOMEM;
        for (; s->n_handlers < n; s->n_handlers++)
                if (!board_read_handler(&b->view, s->n_handlers, &s->handlers[s->n_handlers]))
                        s->handlers[s->n_handlers].name[0] = '\0';
        return 0;
}

int top_sample_take(const BoardAt *b, TopSample **ret)
{
        TopSample *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->at = b->now;
        s->head = b->head;
        r = copy_pools(b, s);
        if (r == 0)
                r = copy_handlers(b, s);
        if (r == 0)
                r = board_workers(b, NULL, &s->workers);
        if (r < 0)
                s = top_sample_free(s);
        else
                *ret = s;
        return r;
}

TopSample *top_sample_free(TopSample *s)
{
        if (!s)
                return NULL;
        free(s->pools);
        free(s->handlers);
        board_workers_fini(&s->workers);
        free(s);
        return NULL;
}

/* --- those of the last seconds --- */

static bool same_daemon(const TopSample *a, const TopSample *b)
{
        return a->head.pid == b->head.pid && a->head.started == b->head.started;
}

static void drop_oldest(TopHistory *h)
{
        top_sample_free(h->older[0]);
        memmove(h->older, h->older + 1, --h->n_older * sizeof(*h->older));
}

/* What is taken often is kept only a few times in the window. */
static void keep(TopHistory *h, TopSample *s)
{
        if (h->n_older && s->at < h->older[h->n_older - 1]->at + TOP_WINDOW / 10) {
                top_sample_free(s);
                return;
        }
        if (h->n_older == TOP_KEPT)
                drop_oldest(h);
        h->older[h->n_older++] = s;
}

void top_history_add(TopHistory *h, TopSample *s)
{
        if (h->newest && !same_daemon(h->newest, s))
                top_history_fini(h);
        if (h->newest)
                keep(h, h->newest);
        h->newest = s;
        while (h->n_older > 1 && h->older[1]->at + TOP_WINDOW <= s->at)
                drop_oldest(h);
}

void top_history_fini(TopHistory *h)
{
        h->newest = top_sample_free(h->newest);
        while (h->n_older)
                drop_oldest(h);
}
