/* SPDX-License-Identifier: MIT */

#include "ctl/top/print.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/call.h"
#include "ctl/table.h"
#include "ctl/top/table.h"

/* --- as text --- */

static char align_of(TopKind kind)
{
        return kind == TOP_TEXT || kind == TOP_STATE || kind == TOP_BUSY ? 'l' : 'r';
}

static void print_rows(Table *t, const TopModel *m, TopView v)
{
        unsigned n_columns;
        const TopColumn *columns = top_columns(v, &n_columns);
        TopCell cell;

        for (uint32_t i = 0; i < top_n_rows(m, v); i++)
                for (unsigned c = 0; c < n_columns; c++) {
                        if (!columns[c].header)
                                continue;
                        top_cell(&columns[c], top_row(m, v, i), &cell);
                        table_cell(t, cell.colour, "%s", cell.text);
                }
}

static void print_view(const TopModel *m, TopView v)
{
        const char *headers[TOP_MAX_COLUMNS] = { NULL };
        char align[TOP_MAX_COLUMNS] = { 0 };
        AUTO(table_fini) Table table;
        unsigned n_columns, n = 0;
        const TopColumn *columns = top_columns(v, &n_columns);

        for (unsigned c = 0; c < n_columns; c++)
                if (columns[c].header) {
                        headers[n] = columns[c].header;
                        align[n++] = align_of(columns[c].kind);
                }
        table_init(&table, headers, align);
        print_rows(&table, m, v);
        putchar('\n');
        table_print(&table, 0);
}

void top_print_text(const TopModel *m)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        top_append_head(&b, m);
        print_buffer(&b);
        for (TopView v = 0; v < TOP_N_VIEWS; v++)
                if (top_n_rows(m, v))
                        print_view(m, v);
        print_flush();
}

/* --- as JSON --- */

/* Whatever bytes stand there. */
static json_t *text_json(const char *text)
{
        TopColumn c = { .kind = TOP_TEXT };
        TopCell cell;
        json_t *s = json_string(text);

        if (s)
                return s;
        top_cell(&c, text, &cell);
        return json_string(cell.text);
}

static json_t *time_json(usec_t t)
{
        return t == TOP_NO_TIME ? json_null() : json_integer((json_int_t)t);
}

static json_t *value_json(const TopColumn *c, const void *row)
{
        const char *at = (const char *)row + c->at;

        switch (c->kind) {
        case TOP_TEXT:
        case TOP_STATE:
                return text_json(at);
        case TOP_RATE:
                return json_real(*(const double *)at);
        case TOP_SPAN:
                return time_json(*(const usec_t *)at);
        default:
                return json_integer((json_int_t) * (const uint64_t *)at);
        }
}

static json_t *view_json(const TopModel *m, TopView v)
{
        unsigned n_columns;
        const TopColumn *columns = top_columns(v, &n_columns);
        json_t *list = json_array();

        for (uint32_t i = 0; i < top_n_rows(m, v); i++) {
                json_t *object = json_object();

                for (unsigned c = 0; c < n_columns; c++)
                        if (columns[c].key)
                                (void)json_object_set_new(object, columns[c].key,
                                                          value_json(&columns[c],
                                                                     top_row(m, v, i)));
                (void)json_array_append_new(list, object);
        }
        return list;
}

static json_t *jobs_json(const BoardHead *h)
{
        json_t *o = json_object();

        for (unsigned i = 0; i < BOARD_STATES; i++)
                (void)json_object_set_new(o, top_job_state(i),
                                          json_integer((json_int_t)h->jobs[i]));
        return o;
}

static void add_times(json_t *o, const char *name, const TopTimes *t)
{
        const usec_t values[] = { t->p50, t->p95, t->p99 };
        static const unsigned shares[] = { 50, 95, 99 };
        char key[32];

        for (size_t i = 0; i < ELEMENTS(shares); i++) {
                (void)snprintf(key, sizeof(key), "%s_p%u_usec", name, shares[i]);
                (void)json_object_set_new(o, key, time_json(values[i]));
        }
}

static json_t *daemon_json(const TopModel *m)
{
        const BoardHead *h = &m->now->head;
        const char *ailment = m->now->ailment;
        json_t *o = json_pack("{s:i, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:I, s:o}", "pid",
                              (int)h->pid, "version", text_json(h->program), "socket",
                              text_json(h->socket), "state", text_json(h->state), "ailment",
                              *ailment ? text_json(ailment) : json_null(), "started_usec",
                              (json_int_t)h->started, "clients", (json_int_t)h->clients,
                              "store_bytes", (json_int_t)h->store_bytes, "store_failing",
                              h->store_failing != 0, "slots_left_out", (json_int_t)h->n_left_out,
                              "jobs", jobs_json(h));

        (void)json_object_set_new(o, "submit_rate", json_real(m->submit_rate));
        (void)json_object_set_new(o, "done_rate", json_real(m->done_rate));
        (void)json_object_set_new(o, "fail_rate", json_real(m->fail_rate));
        add_times(o, "turn", &m->turn);
        add_times(o, "commit", &m->commit);
        return o;
}

int top_print_json(const TopModel *m)
{
        json_t *o = json_pack("{s:I, s:b, s:I, s:o}", "at_usec", (json_int_t)m->now->at,
                              "since_start", m->since_start, "window_usec", (json_int_t)m->span,
                              "daemon", daemon_json(m));
        int status;

        for (TopView v = 0; v < TOP_N_VIEWS; v++)
                (void)json_object_set_new(o, top_view_name(v), view_json(m, v));
        status = o ? call_print(o) : ctl_no_memory();
        json_decref(o);
        return status;
}
