/* SPDX-License-Identifier: MIT */

/* pools: what they are and what they serve. */

#include "ctl/pools.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/cells.h"
#include "ctl/job.h"
#include "ctl/pager.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

enum { BAR = 8 };

/* How many of the workers are busy, as a bar and in numbers; and how many there may be, where that
 * changes. */
static void busy_cell(Table *t, const json_t *pool)
{
        int64_t busy = get_int(pool, "busy");
        int64_t workers = get_int(pool, "workers") - get_int(pool, "spare");
        int64_t most = get_int(pool, "max_workers");
        bool elastic = most > get_int(pool, "min_workers");
        int64_t full = workers > 0 ? (busy * BAR + workers / 2) / workers : 0;
        Buffer b = BUFFER_INIT;

        if (busy > 0 && full == 0)
                full = 1;
        for (int64_t i = 0; i < BAR; i++)
                buffer_append_string(&b, i < full ? (print_utf8() ? "█" : "#")
                                                  : (print_utf8() ? "░" : "-"));
        buffer_printf(&b, " %lld/%lld", (long long)busy, (long long)workers);
        if (elastic)
                buffer_printf(&b, " of %lld", (long long)most);
        table_cell(t, busy ? GREEN : PLAIN, "%.*s", (int)buffer_len(&b),
                   b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}

static void pool_row(Table *t, const json_t *pool)
{
        const char *state = get_string(pool, "state");
        int64_t deaths = get_int(pool, "deaths");

        table_cell(t, PLAIN, "%s", get_string(pool, "name"));
        table_cell(t, colour_of_state(state), "%s", state);
        busy_cell(t, pool);
        int_cell(t, pool, "starting");
        int_cell(t, pool, "spare");
        int_cell(t, pool, "queued");
        table_cell(t, PLAIN, "%lld",
                   (long long)(get_int(pool, "scheduled") + get_int(pool, "blocked")));
        int_cell(t, pool, "done");
        table_cell(t, deaths ? RED : PLAIN, "%lld", (long long)deaths);
        words_cell(t, json_object_get(pool, "handlers"));
}

void pools_print(const json_t *pools, unsigned indent)
{
        static const char *const headers[] = { "POOL",  "STATE",  "BUSY",    "STARTING",
                                               "SPARE", "QUEUED", "WAITING", "DONE",
                                               "DEATHS", "HANDLERS", NULL };
        AUTO(table_fini) Table table;
        json_t *pool;
        size_t i;

        table_init(&table, headers, "lllrrrrrrl");
        json_array_foreach(pools, i, pool)
                pool_row(&table, pool);
        table_print(&table, indent);
}

/* What their modules say of themselves. */
static void print_abouts(const json_t *pools)
{
        json_t *pool;
        size_t i;

        json_array_foreach(pools, i, pool)
                if (json_object_get(pool, "about"))
                        printf("%s: Concurrency=%s, %s\n", get_string(pool, "name"),
                               get_string(pool, "concurrency"), get_string(pool, "about"));
}

int verb_pools(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = call_simple(ctl, "Status", NULL, NULL, &reply);

        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        pager_open(ctl->options);
        pools_print(json_object_get(reply.parameters, "pools"), 0);
        print_abouts(json_object_get(reply.parameters, "pools"));
        return STATUS_DONE;
}
