/* SPDX-License-Identifier: MIT */

/* The loop's side of the store, step by step as daemon/store/store.c does it; the thread commits
 * when chance lets it, or refuses a batch as a whole. */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "rows.h"
#include "store/schema.h"
#include "world.h"

enum { MAX_REMOVALS = 20 };

void storage_init(World *w)
{
        SimStore *s = &w->store;

        s->filling = &s->batches[0];
        s->writing = &s->batches[1];
        s->first = s->end = 1;
        list_init(&s->fetches);
        list_init(&s->fetching);
        list_init(&s->kept);
}

static void drop_fetches(List *list)
{
        SimFetch *f;

        while ((f = LIST_FIRST(list, SimFetch, link))) {
                list_remove(&f->link);
                free(f);
        }
}

void storage_fini(World *w)
{
        SimStore *s = &w->store;

        for (uint64_t i = s->first; i < s->end; i++)
                row_free(s->rows[i]);
        free(s->rows);
        free(s->digests);
        drop_fetches(&s->fetches);
        drop_fetches(&s->fetching);
        batch_fini(&s->batches[0]);
        batch_fini(&s->batches[1]);
}

SimRow *storage_row(const World *w, uint64_t seq)
{
        const SimStore *s = &w->store;

        return seq >= s->first && seq < s->end ? s->rows[seq] : NULL;
}

SimRow *storage_find(const World *w, const SimJob *m)
{
        SimRow *row = storage_row(w, m->seq);

        return row && row->uid == m->spec.uid && uuid_equal(&row->id, &m->id) ? row : NULL;
}

/* --- the thread --- */

/* What the thread reads of a history; a reason may be added while it does. */
static uint64_t history_digest(const JobHistory *h)
{
        uint64_t d = h->n_attempts;

        d = d * 31 + h->deaths;
        d = d * 31 + h->failures;
        d = d * 31 + h->untouched;
        d = d * 31 + h->started;
        d = d * 31 + h->result_len;
        for (uint32_t i = 0; i < h->n_attempts; i++)
                d = d * 31 + h->attempts[i].number + h->attempts[i].ended * 7 +
                    h->attempts[i].outcome;
        return d;
}

static uint64_t item_digest(const StoreItem *item)
{
        return item->request == REQUEST_SETTLE ? history_digest(item->history) : 0;
}

static void note_digests(World *w)
{
        SimStore *s = &w->store;

        if (s->cap_digests < s->writing->n) {
                s->cap_digests = s->writing->n * 2;
                s->digests = reallocarray(s->digests, s->cap_digests, sizeof(uint64_t));
                if (!s->digests)
                        abort();
        }
        for (unsigned i = 0; i < s->writing->n; i++)
                s->digests[i] = item_digest(&s->writing->items[i]);
}

/* An admission's row has a new number, any other one is there. */
static SimRow *row_for(World *w, const StoreItem *item)
{
        SimStore *s = &w->store;
        uint64_t seq = item->job->seq;

        if (item->request != REQUEST_ADMIT)
                return storage_row(w, seq);
        CHECK(w, NULL, !storage_row(w, seq) && "two rows of one number");
        while (seq >= s->capacity) {
                uint64_t more = s->capacity ? s->capacity * 2 : 1024;

                s->rows = reallocarray(s->rows, more, sizeof(SimRow *));
                if (!s->rows)
                        abort();
                memset(s->rows + s->capacity, 0, (more - s->capacity) * sizeof(SimRow *));
                s->capacity = more;
        }
        s->first = MIN(s->first, seq); /* numbers begin anew when the store was empty */
        s->end = MAX(s->end, seq + 1);
        s->rows[seq] = calloc(1, sizeof(SimRow));
        if (!s->rows[seq])
                abort();
        return s->rows[seq];
}

static void remove_row(SimStore *s, SimRow *row)
{
        s->rows[row->seq] = NULL;
        row_free(row);
        while (s->first < s->end && !s->rows[s->first])
                s->first++;
}

static void commit_item(World *w, unsigned i)
{
        SimStore *s = &w->store;
        StoreItem *item = &s->writing->items[i];
        SimJob *m = model_of(w, item->job);
        SimRow *row = row_for(w, item);

        CHECK(w, m, row && "a request for a row that is not there");
        CHECK(w, m, s->digests[i] == item_digest(item));
        if (item->request == REQUEST_FORGET) {
                remove_row(s, row);
                m->removed = true;
                world_note(w, SIM_ROW_GONE, m->index, 0, 0);
                return;
        }
        row_write(w, row, s->writing, item);
        oracle_committed(w, m, row);
}

static void commit_met(World *w)
{
        const StoreBatch *b = w->store.writing;

        for (unsigned i = 0; i < b->n_met; i++) {
                SimRow *row = storage_row(w, b->met[i].waiting);

                if (row)
                        row_met(row, &b->met[i].blocker, b->met[i].now);
        }
}

static void commit(World *w)
{
        const StoreBatch *b = w->store.writing;

        for (unsigned i = 0; i < b->n; i++)
                commit_item(w, i);
        commit_met(w);
        world_note(w, SIM_COMMIT, SIM_NOBODY, b->n, b->n_met);
}

static bool has_writes(const StoreBatch *b)
{
        return b->n || b->n_met || b->probe;
}

void storage_thread(World *w)
{
        SimStore *s = &w->store;

        if (!s->working || s->done)
                return;
        s->done = true;
        s->good = true;
        if (!has_writes(s->writing))
                return;
        s->good = w->kind || !dice_permille(&w->dice, s->outage ? 900 : 5);
        if (s->good)
                commit(w);
        else
                world_note(w, SIM_COMMIT_FAILED, SIM_NOBODY, s->writing->n, s->writing->n_met);
}

/* --- taking back --- */

static bool must_be_kept(const Job *job)
{
        return job->request == REQUEST_SETTLE;
}

static void keep(World *w, Job *job)
{
        list_append(&w->store.kept, &job->link);
        world_note(w, SIM_KEPT, model_of(w, job)->index, job->request, 0);
}

/* Somebody has to have said that it failed before what it has not taken is looked at. */
static void complete(World *w, StoreItem *item, bool durable)
{
        SimJob *m = model_of(w, item->job);
        Job *job = item->job;

        if (item->request == REQUEST_MARK) {
                core_marked(&w->core, job, durable);
                return;
        }
        if (!durable && must_be_kept(job)) {
                keep(w, job);
                return;
        }
        if (durable && item->load_args && !w->kind && dice_permille(&w->dice, 30)) {
                world_note(w, SIM_NOT_LOADED, m->index, 0, 0);
                durable = false; /* no memory for them */
        } else if (durable && item->load_args) {
                SimText args = text_copy(storage_row(w, job->seq)->large_args);

                world_note(w, SIM_LOADED, m->index, 0, 0);
                core_unshed(&w->core, job, args.data, args.len, NULL, 0);
        }
        m->bad_once |= !durable && item->request == REQUEST_ADMIT;
        if (durable && item->request == REQUEST_FORGET)
                m->spec.memory = true; /* if somebody still looks at it, it is only there */
        core_complete(&w->core, job, durable, w->now);
        oracle_listen(w);
}

/* Payloads that somebody asked for; without memory, or after all, there are none. */
static void finish_fetches(World *w)
{
        SimFetch *f;

        while ((f = LIST_FIRST(&w->store.fetching, SimFetch, link))) {
                SimRow *row = storage_row(w, f->seq);
                SimText args = { 0 }, result = { 0 };

                CHECK(w, NULL, row || f->job->memory); /* it was forgotten meanwhile */
                if (row && f->want_args)
                        args = text_copy(row->large_args);
                if (row && f->want_result)
                        result = text_copy(row->large_result);
                core_fetched(&w->core, f->job, args.data, args.len, result.data, result.len);
                list_remove(&f->link);
                free(f);
        }
}

/* A met dependency is known only here once the edge is gone: a batch that failed does not lose it.
 */
static void save_met(SimStore *s)
{
        StoreBatch *from = s->writing, *to = s->filling;

        for (unsigned i = 0; i < from->n_met; i++) {
                if (to->n_met == to->cap_met) {
                        to->cap_met = to->cap_met ? to->cap_met * 2 : 64;
                        to->met = reallocarray(to->met, to->cap_met, sizeof(*to->met));
                        if (!to->met)
                                abort();
                }
                to->met[to->n_met++] = from->met[i];
        }
}

static bool take_back(World *w)
{
        SimStore *s = &w->store;

        if (!s->working || !s->done)
                return false;
        s->working = s->done = false;
        if (!s->good) {
                s->down = true;
                s->retry_due = false;
                core_set_store_down(&w->core, true);
                save_met(s);
        } else if (s->down && has_writes(s->writing)) {
                s->down = false;
                core_set_store_down(&w->core, false);
        }
        for (unsigned i = 0; i < s->writing->n; i++)
                complete(w, &s->writing->items[i], s->good);
        batch_clear(s->writing);
        finish_fetches(w);
        return true;
}

/* --- handing over --- */

/* Returns 0, or, as if memory had run out, an error with nothing added. */
static int add(World *w, Job *job)
{
        SimJob *m = model_of(w, job);
        StoreBatch *b = w->store.filling;
        int r;

        if (!w->kind && dice_permille(&w->dice, 1)) {
                world_note(w, SIM_NO_ROW_MEMORY, m->index, job->request, 0);
                return -1;
        }
        r = batch_add(b, job, w->now);
        if (r == 0)
                oracle_handed_over(w, m, &b->items[b->n - 1]);
        return r;
}

static bool complete_instant(World *w)
{
        bool any = false;
        Job *job;

        while ((job = core_next_instant(&w->core))) {
                any = true;
                if (job->request == REQUEST_SETTLE)
                        oracle_settlement(w, model_of(w, job), job);
                if (job->request == REQUEST_SETTLE && job->next_state == JOB_SUCCEEDED &&
                    batch_add_met(w->store.filling, job, w->now) < 0)
                        abort();
                core_complete(&w->core, job, true, w->now);
                oracle_listen(w);
        }
        return any;
}

static void gather_kept(World *w)
{
        SimStore *s = &w->store;
        Job *job;

        while ((job = LIST_FIRST(&s->kept, Job, link)) && add(w, job) == 0)
                list_remove(&job->link);
}

static void fail(World *w, Job *job)
{
        if (job->request == REQUEST_ADMIT)
                model_of(w, job)->bad_once = true; /* for those that wait for it */
        core_complete(&w->core, job, false, w->now);
        oracle_listen(w);
}

static bool gather_from(World *w, Job *(*next)(Core *core), unsigned limit)
{
        SimStore *s = &w->store;
        bool any = false;
        Job *job;

        while (limit-- && (job = next(&w->core))) {
                any = true;
                if (!s->down && add(w, job) == 0)
                        continue;
                if (must_be_kept(job)) {
                        keep(w, job);
                } else {
                        fail(w, job);
                }
        }
        return any;
}

static void gather_marks(World *w)
{
        SimStore *s = &w->store;
        Job *job;

        while (!s->down && (job = core_next_mark(&w->core))) {
                if (!w->kind && dice_permille(&w->dice, 5)) {
                        world_note(w, SIM_NO_ROW_MEMORY, model_of(w, job)->index, REQUEST_MARK, 0);
                        core_marked(&w->core, job, false);
                        return;
                }
                if (batch_add_mark(s->filling, job) < 0)
                        abort();
        }
}

static void hand_over(World *w)
{
        SimStore *s = &w->store;
        StoreBatch *batch = s->filling;

        batch->large = w->core.limits.large;
        if (s->down && s->retry_due)
                batch->probe = batch->n == 0;
        if ((s->down && !s->retry_due) || (!has_writes(batch) && list_empty(&s->fetches)))
                return;
        if (batch->probe)
                world_note(w, SIM_PROBE, SIM_NOBODY, 0, 0);
        s->retry_due = false;
        list_splice(&s->fetching, &s->fetches);
        s->filling = s->writing;
        s->writing = batch;
        s->working = true;
        note_digests(w);
}

bool storage_work(World *w)
{
        SimStore *s = &w->store;
        bool any = take_back(w);

        any |= complete_instant(w);
        if (s->down)
                any |= gather_from(w, core_next_request, UINT_MAX);
        if (s->working)
                return any;
        if (!s->down || s->retry_due)
                gather_kept(w);
        any |= gather_from(w, core_next_request, UINT_MAX);
        any |= gather_from(w, core_next_removal, MAX_REMOVALS);
        gather_marks(w);
        hand_over(w);
        return any;
}

bool storage_is_idle(const World *w)
{
        const SimStore *s = &w->store;

        return !s->working && list_empty(&s->kept) && list_empty(&w->core.requests) &&
               list_empty(&s->fetches);
}

void storage_fetch(World *w, Job *job)
{
        SimFetch *f;

        if (job->fetching)
                return;
        f = calloc(1, sizeof(*f));
        if (!f)
                abort();
        *f = (SimFetch){ .job = job, .seq = job->seq, .want_args = job->args_shed,
                         .want_result = job->result_shed };
        job->fetching = true;
        list_append(&w->store.fetches, &f->link);
        world_note(w, SIM_FETCH, model_of(w, job)->index, f->want_args, f->want_result);
}

/* --- the end of a supervisor, and the next one --- */

void storage_crash(World *w)
{
        SimStore *s = &w->store;

        if (s->working && !s->done && has_writes(s->writing)) {
                bool committed = dice_permille(&w->dice, 500);

                if (committed)
                        commit(w);
                world_note(w, committed ? SIM_CRASH_COMMITTED : SIM_CRASH_LOST, SIM_NOBODY,
                           s->writing->n, 0);
        }
        s->working = s->done = s->down = s->retry_due = false;
        batch_clear(&s->batches[0]);
        batch_clear(&s->batches[1]);
        drop_fetches(&s->fetches);
        drop_fetches(&s->fetching);
}

void storage_load(World *w)
{
        const SimStore *s = &w->store;

        for (uint64_t i = s->first; i < s->end; i++)
                if (s->rows[i])
                        row_load(w, s->rows[i]);
        for (uint64_t i = s->first; i < s->end; i++)
                if (s->rows[i])
                        row_load_edges(w, s->rows[i]);
}
