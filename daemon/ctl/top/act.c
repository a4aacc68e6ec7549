/* SPDX-License-Identifier: MIT */

#include "ctl/top/act.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/get.h"
#include "ctl/inspect.h"
#include "ctl/job.h"
#include "ctl/top/page.h"

static void say_buffer(TopUi *ui, bool bad, const Buffer *words)
{
        AUTO(buffer_fini) Buffer shown = BUFFER_INIT;

        append_shown(&shown, buffer_slice(words), false);
        top_ui_say(ui, bad, "%.*s", (int)buffer_len(&shown),
                   buffer_len(&shown) ? buffer_bytes(&shown) : "");
}

static void ask(TopAct *a, TopUi *ui, const char *verb, const char *method, const char *name,
                const char *value)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;

        if (top_ask_begin(&a->ask, a->socket, verb, method, name, value, &words))
                top_ui_say(ui, false, "asking broodd…");
        else
                say_buffer(ui, true, &words);
}

/* --- wishes --- */

static void look(TopAct *a, TopUi *ui, const TopModel *m)
{
        const void *row = top_ui_row(ui, m);
        const char *name = row;
        static const char *const kinds[] = { "Pool", "Worker", "Handler", "Job" };

        if (!row)
                return;
        top_page_append(top_ui_open_page(ui, "%s %s", kinds[ui->view], name), m, ui->view, row);
        a->page = true;
        (void)snprintf(a->pool, sizeof(a->pool), "%s", ui->view == TOP_POOLS ? name : "");
        if (ui->view == TOP_POOLS)
                ask(a, ui, "status", "Status", NULL, NULL);
        else if (ui->view == TOP_JOBS)
                ask(a, ui, "get", "Get", "id", name);
        else if (ui->view == TOP_WORKERS)
                ask(a, ui, "inspect", "Inspect", "worker", name);
}

static const char *pool_of(TopView v, const void *row)
{
        switch (v) {
        case TOP_POOLS:
                return ((const TopPool *)row)->name;
        case TOP_WORKERS:
                return ((const TopWorker *)row)->pool;
        case TOP_HANDLERS:
                return ((const TopHandler *)row)->pool;
        default:
                return ((const TopJob *)row)->pool;
        }
}

static bool is_paused(const TopModel *m, const char *pool)
{
        for (uint32_t i = 0; i < m->n_pools; i++)
                if (strcmp(m->pools[i].name, pool) == 0)
                        return strcmp(m->pools[i].state, "paused") == 0;
        return false;
}

static void pause_pool(TopAct *a, TopUi *ui, const TopModel *m)
{
        const void *row = top_ui_row(ui, m);
        const char *pool = row ? pool_of(ui->view, row) : "";
        bool paused = is_paused(m, pool);

        if (!*pool) {
                top_ui_say(ui, true, "there is no pool here");
                return;
        }
        a->page = false;
        (void)snprintf(a->done, sizeof(a->done), "pool %s %s", pool,
                       paused ? "goes on" : "is paused: z resumes it");
        ask(a, ui, paused ? "resume" : "pause", paused ? "ResumePool" : "PausePool", "pool", pool);
}

static void cancel(TopAct *a, TopUi *ui)
{
        a->page = false;
        (void)snprintf(a->done, sizeof(a->done), "job %s is being cancelled", ui->job);
        ask(a, ui, "cancel", "Cancel", "id", ui->job);
}

void top_act(TopAct *a, TopUi *ui, const TopModel *m, TopWish wish)
{
        switch (wish) {
        case TOP_WISH_LOOK:
                look(a, ui, m);
                break;
        case TOP_WISH_PAUSE:
                pause_pool(a, ui, m);
                break;
        case TOP_WISH_CANCEL:
                cancel(a, ui);
                break;
        case TOP_WISH_CLOSE:
                if (a->page)
                        top_ask_end(&a->ask);
                break;
        default:
                break;
        }
}

/* --- answers --- */

/* Workers have the name of their pool, a dot and the seat. */
static bool is_of_pool(const char *worker, const char *pool)
{
        size_t n = strlen(pool);

        return strncmp(worker, pool, n) == 0 && worker[n] == '.' && !strchr(worker + n + 1, '.');
}

static void show_deaths(Buffer *b, const json_t *deaths, const char *pool)
{
        const char *heading = "\nThe last that died:\n";
        json_t *one;
        size_t i;

        json_array_foreach(deaths, i, one) {
                if (!is_of_pool(get_string(one, "worker"), pool))
                        continue;
                buffer_printf(b, "%s  %s: ", heading, time_text(get_usec(one, "time_usec")).text);
                append_shown(b, slice_of(get_string(one, "message")), false);
                buffer_append_char(b, '\n');
                heading = "";
        }
}

static void show_reply(const TopAct *a, TopUi *ui, const Reply *reply)
{
        const json_t *report = json_object_get(reply->parameters, "report");

        if (a->pool[0]) {
                show_deaths(&ui->page, json_object_get(reply->parameters, "deaths"), a->pool);
                return;
        }
        buffer_clear(&ui->page, 65536);
        if (report)
                inspect_append(&ui->page, report);
        else
                get_append(&ui->page, reply);
}

bool top_act_step(TopAct *a, TopUi *ui, usec_t now)
{
        AUTO(buffer_fini) Buffer words = BUFFER_INIT;
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        TopAnswer answer = top_ask_step(&a->ask, now, &reply, &words);

        if (answer == TOP_ASK_NOTHING)
                return false;
        ui->words[0] = '\0';
        if (answer == TOP_ASK_FAILED)
                say_buffer(ui, true, &words);
        else if (!a->page)
                top_ui_say(ui, false, "%s", a->done);
        else if (ui->mode == TOP_PAGE)
                show_reply(a, ui, &reply);
        return true;
}
