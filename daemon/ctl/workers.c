/* SPDX-License-Identifier: MIT */

/* workers: from the scoreboard, so that it answers when the daemon does not; where that is not to
 * be had, the daemon is asked. Both give the same object. */

#include <jansson.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/uuid.h"
#include "ctl/board.h"
#include "ctl/cells.h"
#include "ctl/connect.h"
#include "ctl/job.h"
#include "ctl/pager.h"
#include "ctl/print.h"
#include "ctl/verbs.h"
#include "ctl/words.h"

DEFINE_CLEANUP(json_t, json_decref);

/* --- what is shown --- */

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

static int print_workers(const Ctl *ctl, const json_t *reply, usec_t now)
{
        static const char *const headers[] = { "WORKER", "PID",    "STATE", "GEN",  "DONE",
                                               "AGE",    "MEMORY", "CPU",   "JOBS", NULL };
        AUTO(table_fini) Table table;
        json_t *worker;
        size_t i;

        table_init(&table, headers, "lrlrrrrrl");
        json_array_foreach(json_object_get(reply, "workers"), i, worker)
                worker_row(&table, worker, now);
        pager_open(ctl->options);
        table_print(&table, 0);
        return STATUS_DONE;
}

/* --- from the scoreboard --- */

static json_t *job_ids(const BoardWorker *w)
{
        json_t *list = json_array();

        for (uint32_t i = 0; list && i < w->n_jobs; i++) {
                Uuid id;

                memcpy(id.bytes, w->jobs[i].job, sizeof(id.bytes));
                (void)json_array_append_new(list, json_string(uuid_text(&id).text));
        }
        return list;
}

/* As the interface has it: type Worker. */
static json_t *worker_object(const BoardWorker *w)
{
        const BoardSlot *s = &w->first;

        return json_pack("{s:s, s:s, s:i, s:i, s:s, s:o, s:I, s:I, s:I, s:I}", "name", w->name,
                         "pool", w->pool, "pid", s->pid, "generation", (int)s->generation, "state",
                         board_worker_state(w), "jobs", job_ids(w), "jobs_done",
                         (json_int_t)s->done, "started_usec", (json_int_t)s->started,
                         "memory_bytes", (json_int_t)w->figures.memory_bytes, "cpu_usec",
                         (json_int_t)w->figures.cpu_usec);
}

static json_t *reply_from_board(const BoardAt *b, const char *pool)
{
        AUTO(board_workers_fini) BoardWorkers workers;
        json_t *list = json_array();

        if (board_workers(b, pool, &workers) < 0 || !list) {
                json_decref(list);
                return NULL;
        }
        for (uint32_t i = 0; i < workers.n; i++)
                (void)json_array_append_new(list, worker_object(&workers.list[i]));
        return json_pack("{s:o}", "workers", list);
}

static int no_such_pool(const Ctl *ctl, const char *pool)
{
        AUTO(json_decref) json_t *parameters = json_pack("{s:s}", "pool", pool);

        words_say_error(ctl->verb->name, "io.brood.NoSuchPool", parameters);
        return STATUS_REFUSED;
}

static int show_board(const Ctl *ctl, const BoardAt *b)
{
        const char *pool = ctl_word(ctl, 0);
        AUTO(json_decref) json_t *reply = NULL;
        char words[256];

        if (board_ailment(b, words, sizeof(words)))
                say("broodd (pid %u) %s", b->head.pid, words);
        if (pool && !board_has_pool(b, pool))
                return no_such_pool(ctl, pool);
        reply = reply_from_board(b, pool);
        if (!reply)
                return ctl_no_memory();
        if (!option_given(ctl->options, OPTION_JSON))
                return print_workers(ctl, reply, b->now);
        return call_print(reply);
}

/* --- from the daemon --- */

static int ask_daemon(Ctl *ctl)
{
        AUTO(reply_fini) Reply reply = REPLY_INIT;
        int status = connect_daemon(ctl);

        if (status == STATUS_DONE)
                status = call_simple(ctl, "ListWorkers", "pool", ctl_word(ctl, 0), &reply);
        if (status || option_given(ctl->options, OPTION_JSON))
                return status;
        return print_workers(ctl, reply.parameters, clock_read(CLOCK_REALTIME));
}

int verb_workers(Ctl *ctl)
{
        int status = connect_find(ctl);
        BoardAt board;

        if (status)
                return status;
        if (board_find(ctl, &board) < 0)
                return ask_daemon(ctl);
        status = show_board(ctl, &board);
        board_forget(&board);
        return status;
}
