/* SPDX-License-Identifier: MIT */

/* pools and workers. */

#include "ctl/pools.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/job.h"
#include "ctl/pager.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

enum { BAR = 8 };

/* Appends the strings of an array with blanks between them. */
static void append_words(Buffer *b, const json_t *list)
{
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                buffer_printf(b, "%s%s", i ? " " : "",
                              json_string_value(item) ? json_string_value(item) : "?");
}

static void words_cell(Table *t, const json_t *list)
{
        Buffer b = BUFFER_INIT;

        append_words(&b, list);
        table_cell(t, PLAIN, "%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}

/* How many of the workers are busy, as a bar and in numbers. */
static void busy_cell(Table *t, int64_t busy, int64_t workers)
{
        int64_t full = workers > 0 ? (busy * BAR + workers / 2) / workers : 0;
        Buffer b = BUFFER_INIT;

        if (busy > 0 && full == 0)
                full = 1;
        for (int64_t i = 0; i < BAR; i++)
                buffer_append_string(&b, i < full ? (print_utf8() ? "█" : "#")
                                                  : (print_utf8() ? "░" : "-"));
        table_cell(t, busy ? GREEN : PLAIN, "%.*s %lld/%lld", (int)buffer_len(&b),
                   b.data ? buffer_bytes(&b) : "", (long long)busy, (long long)workers);
        buffer_fini(&b);
}

static void int_cell(Table *t, const json_t *object, const char *name)
{
        table_cell(t, PLAIN, "%lld", (long long)get_int(object, name));
}

static void pool_row(Table *t, const json_t *pool)
{
        const char *state = get_string(pool, "state");
        int64_t deaths = get_int(pool, "deaths");

        table_cell(t, PLAIN, "%s", get_string(pool, "name"));
        table_cell(t, colour_of_state(state), "%s", state);
        busy_cell(t, get_int(pool, "busy"), get_int(pool, "workers") - get_int(pool, "spare"));
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

int verb_pools(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = call_simple(ctl, "Status", NULL, NULL, &reply);

        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        pager_open(ctl->options);
        pools_print(json_object_get(reply.parameters, "pools"), 0);
        return STATUS_DONE;
}

static void worker_row(Table *t, const json_t *worker, usec_t now)
{
        const char *state = get_string(worker, "state");

        table_cell(t, PLAIN, "%s", get_string(worker, "name"));
        int_cell(t, worker, "pid");
        table_cell(t, colour_of_state(state), "%s", state);
        int_cell(t, worker, "generation");
        int_cell(t, worker, "jobs_done");
        table_cell(t, PLAIN, "%s", age_text(get_usec(worker, "started_usec"), now).text);
        table_cell(t, PLAIN, "%s", size_text((uint64_t)get_int(worker, "memory_bytes")).text);
        table_cell(t, PLAIN, "%s", span_text(get_usec(worker, "cpu_usec")).text);
        words_cell(t, json_object_get(worker, "jobs"));
}

int verb_workers(Ctl *ctl)
{
        static const char *const headers[] = { "WORKER", "PID",    "STATE", "GEN",  "DONE",
                                               "AGE",    "MEMORY", "CPU",   "JOBS", NULL };
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        AUTO(table_fini) Table table;
        json_t *worker;
        size_t i;
        int status;

        table_init(&table, headers, "lrlrrrrrl");
        status = call_simple(ctl, "ListWorkers", "pool", ctl_word(ctl, 0), &reply);
        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        json_array_foreach(json_object_get(reply.parameters, "workers"), i, worker)
                worker_row(&table, worker, clock_read(CLOCK_REALTIME));
        pager_open(ctl->options);
        table_print(&table, 0);
        return STATUS_DONE;
}
