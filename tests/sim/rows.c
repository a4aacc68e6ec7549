/* SPDX-License-Identifier: MIT */

#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "store/schema.h"

/* --- texts --- */

static SimText text_of(Slice from)
{
        SimText t = { NULL, from.len };

        if (!from.len)
                return t;
        t.data = malloc(from.len);
        if (!t.data)
                abort();
        memcpy(t.data, from.data, from.len);
        return t;
}

static Slice slice(SimText t)
{
        return (Slice){ t.data, t.len };
}

SimText text_copy(SimText from)
{
        return text_of(slice(from));
}

static void set_text(SimText *to, Slice from)
{
        free(to->data);
        *to = text_of(from);
}

void row_free(SimRow *row)
{
        if (!row)
                return;
        for (unsigned i = 0; i < ELEMENTS(row->texts); i++)
                free(row->texts[i].data);
        free(row->args.data);
        free(row->large_args.data);
        free(row->result.data);
        free(row->large_result.data);
        free(row->reason.data);
        free(row->attempts);
        free(row);
}

/* --- writing --- */

static unsigned handler_index(const World *w, const CoreHandler *handler)
{
        for (unsigned i = 0; i < SIM_HANDLERS; i++)
                if (w->handlers[i] == handler)
                        return i;
        abort();
}

static void write_edges(SimRow *row, const StoreBatch *b, const StoreItem *item)
{
        for (unsigned i = 0; i < item->n_edges; i++) {
                const Uuid *blocker = &b->edges[item->first_edge + i].blocker;
                bool known = false;

                for (unsigned k = 0; k < row->n_edges; k++)
                        known |= uuid_equal(&row->edges[k], blocker);
                if (!known)
                        row->edges[row->n_edges++] = *blocker;
        }
}

static void write_admission(const World *w, SimRow *row, const StoreBatch *b,
                            const StoreItem *item)
{
        const Job *job = item->job;

        *row = (SimRow){ .seq = job->seq, .id = job->id, .uid = job->uid, .gid = job->gid,
                         .handler = handler_index(w, job->handler),
                         .pool = pool_index(w, item->pool), .state = item->state,
                         .given = item->given, .priority = job->priority,
                         .attempt = item->attempt, .budget = item->budget,
                         .submitted = job->submitted, .order = item->order,
                         .ready_at = item->ready_at, .large = job->args_elsewhere,
                         .claimed = item->claim ? item->now : 0 };
        for (unsigned i = 0; i < ELEMENTS(row->numbers); i++)
                row->numbers[i] = job_number(job, (uint16_t)(1u << i), 0);
        for (unsigned i = 0; i < ELEMENTS(row->texts); i++)
                row->texts[i] = text_of(job_text(job, (uint16_t)(JOB_HAS_UNIQUE_KEY << i)));
        set_text(job->args_elsewhere ? &row->large_args : &row->args, job_args(job));
        set_text(&row->reason, slice_of(item->reason));
        write_edges(row, b, item);
}

static void write_attempts(const World *w, SimRow *row, const JobHistory *h)
{
        free(row->attempts);
        row->attempts = calloc(MAX(h->n_attempts, 1u), sizeof(*row->attempts));
        if (!row->attempts)
                abort();
        row->n_attempts = h->n_attempts;
        for (uint32_t i = 0; i < h->n_attempts; i++) {
                row->attempts[i].attempt = h->attempts[i];
                row->attempts[i].pool = pool_index(w, h->attempts[i].pool);
                row->attempts[i].attempt.certificate = NULL;
        }
}

static void write_settlement(const World *w, SimRow *row, const StoreBatch *b,
                             const StoreItem *item)
{
        const JobHistory *h = item->history;
        bool large = b->large && h->result_len > b->large, ended = job_state_ended(item->state);
        const Slice result = { h->result, h->result_len }, none = { NULL, 0 };

        row->state = item->state;
        row->pool = pool_index(w, item->pool);
        row->given = item->given;
        row->attempt = item->attempt;
        row->budget = item->budget;
        row->order = item->order;
        row->ready_at = item->ready_at;
        row->large = (row->large & 1) | (large || item->result_shed ? 2 : 0);
        row->started = h->started;
        row->ended = ended ? item->ended : 0;
        row->failures = h->failures;
        row->deaths = h->deaths;
        row->untouched = h->untouched;
        set_text(&row->reason, slice_of(item->reason));
        set_text(&row->result, large ? none : result);
        if (large || (!item->first_end && !item->result_shed && h->n_attempts))
                set_text(&row->large_result, large ? result : none);
        write_attempts(w, row, h);
        if (ended)
                row->n_edges = 0;
}

/* Its end was asked for, or it has not begun after all. */
static void write_mark(World *w, SimRow *row, const StoreItem *item)
{
        SimEvent event = item->state == JOB_RUNNING ? SIM_ROW_MARKED : SIM_ROW_WAITS;

        if (item->state == JOB_RUNNING) {
                row->given |= STORE_CANCEL_ASKED;
        } else {
                row->state = JOB_QUEUED;
                row->attempt = item->attempt;
        }
        world_note(w, event, model_of(w, item->job)->index, item->attempt, 0);
}

void row_write(World *w, SimRow *row, const StoreBatch *b, const StoreItem *item)
{
        switch (item->request) {
        case REQUEST_ADMIT:
                write_admission(w, row, b, item);
                break;
        case REQUEST_CLAIM:
                row->state = JOB_RUNNING;
                row->attempt = item->attempt;
                row->claimed = item->now;
                row->order = item->order;
                break;
        case REQUEST_MARK:
                write_mark(w, row, item);
                break;
        default:
                write_settlement(w, row, b, item);
        }
        if (item->state == JOB_RUNNING && item->request != REQUEST_MARK)
                world_note(w, SIM_ROW_RUNS, model_of(w, item->job)->index, row->attempt, 0);
}

void row_met(SimRow *row, const Uuid *blocker, usec_t now)
{
        for (unsigned i = 0; i < row->n_edges; i++)
                if (uuid_equal(&row->edges[i], blocker))
                        row->edges[i--] = row->edges[--row->n_edges];
        if (row->n_edges || row->state != JOB_BLOCKED)
                return;
        row->state = JOB_QUEUED;
        row->order = now;
}

/* --- reading --- */

/* The names are s0, s1, … */
static unsigned find_units(World *w, SimText list, CoreSemaphore **units)
{
        unsigned n = 0;

        for (size_t i = 0; i + 1 < list.len; i++)
                if (list.data[i] == 's')
                        units[n++] = w->semaphores[list.data[i + 1] - '0'];
        return n;
}

static JobSpec spec_of(World *w, const SimRow *row, CoreSemaphore **units)
{
        return (JobSpec){ .handler = w->handlers[row->handler],
                          .id = row->id,
                          .has = (uint16_t)(row->given & (STORE_CANCEL_ASKED - 1u)),
                          .priority = row->priority,
                          .run_at = row->numbers[0],
                          .delay = row->numbers[1],
                          .timeout = row->numbers[2],
                          .ttl = row->numbers[3],
                          .keep = row->numbers[4],
                          .max_attempts = (uint32_t)row->numbers[5],
                          .args = slice(row->args),
                          .unique_key = slice(row->texts[0]),
                          .tags = slice(row->texts[1]),
                          .semaphores = slice(row->texts[2]),
                          .after = slice(row->texts[3]),
                          .units = units,
                          .n_units = find_units(w, row->texts[2], units),
                          .uid = row->uid,
                          .gid = row->gid };
}

static void load_attempts(World *w, Job *job, const SimRow *row)
{
        for (uint32_t i = 0; i < row->n_attempts; i++) {
                Attempt *a = job_add_attempt(job);

                if (!a)
                        abort();
                *a = row->attempts[i].attempt;
                a->pool = w->pools[row->attempts[i].pool].core;
        }
}

void row_load(World *w, const SimRow *row)
{
        CoreSemaphore *units[SIM_SEMAPHORES];
        JobRecord record = { .spec = spec_of(w, row, units), .pool = w->pools[row->pool].core,
                             .seq = row->seq, .state = row->state, .attempt = row->attempt,
                             .budget = row->budget, .failures = row->failures,
                             .deaths = row->deaths, .untouched = row->untouched,
                             .submitted = row->submitted, .order = row->order,
                             .ready_at = row->ready_at, .started = row->started,
                             .claimed = row->claimed, .ended = row->ended,
                             .reason = slice(row->reason), .result = slice(row->result),
                             .args_shed = row->large & 1, .result_shed = row->large & 2 };
        Job *job;

        CHECK(w, NULL, core_restore(&w->core, &record, &job) == 0);
        job->no_ttl = row->given & STORE_NO_TTL;
        if (row->given & STORE_CANCEL_ASKED)
                job->cancel_asked = !job_state_ended(job->state);
        load_attempts(w, job, row);
}

void row_load_edges(World *w, const SimRow *row)
{
        Job *job = table_find(&w->core, &row->id, row->uid);

        for (unsigned i = 0; i < row->n_edges; i++)
                if (!job_state_ended(job->state) &&
                    core_restore_blocker(&w->core, job, &row->edges[i]) < 0)
                        abort();
}
