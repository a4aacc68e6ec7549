/* SPDX-License-Identifier: MIT */

#include "store/writer.h"

#include <stdlib.h>
#include <string.h>

#include "store/attempt_json.h"
#include "store/schema.h"
#include "varlink/json.h"

static const char *const texts[WRITE_N_STATEMENTS] = {
        [WRITE_BEGIN] = "BEGIN IMMEDIATE",
        [WRITE_COMMIT] = "COMMIT",
        [WRITE_ROLLBACK] = "ROLLBACK",
        [WRITE_INSERT] =
                "INSERT INTO job (seq, id, uid, gid, handler, pool, state, given, priority,"
                " attempt, budget, submitted_usec, age_usec, ready_usec, args, large,"
                " max_attempts, run_at_usec, delay_usec, timeout_usec, ttl_usec, keep_usec,"
                " unique_key, tags, semaphores, after, claimed_usec, reason)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
                " ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
        [WRITE_CLAIM] = "UPDATE job SET state = 3, attempt = ?2, claimed_usec = ?3, age_usec = ?4"
                        " WHERE seq = ?1",
        [WRITE_UNCLAIM] = "UPDATE job SET state = 2, attempt = ?2 WHERE seq = ?1",
        [WRITE_SETTLE] = "UPDATE job SET state = ?2, pool = ?3, given = ?4, attempt = ?5,"
                         " budget = ?6, age_usec = ?7, ready_usec = ?8, large = (large & 1) | ?9,"
                         " started_usec = ?10, ended_usec = ?11, failures = ?12, deaths = ?13,"
                         " untouched = ?14, reason = ?15, result = ?16, attempts = ?17"
                         " WHERE seq = ?1",
        [WRITE_MARK] = "UPDATE job SET given = given | 16384 WHERE seq = ?1",
        [WRITE_FORGET] = "DELETE FROM job WHERE seq = ?1",
        [WRITE_LARGE] = "INSERT OR REPLACE INTO large (key, data) VALUES (?1, ?2)",
        [WRITE_LARGE_GONE] = "DELETE FROM large WHERE key BETWEEN ?1 AND ?2",
        [WRITE_EDGE] = "INSERT OR IGNORE INTO dependency (waiting, blocker) VALUES (?1, ?2)",
        [WRITE_EDGE_MET] = "DELETE FROM dependency WHERE waiting = ?1 AND blocker = ?2",
        [WRITE_EDGES_GONE] = "DELETE FROM dependency WHERE waiting = ?1",
        [WRITE_RELEASED] = "UPDATE job SET state = iif(ready_usec > ?2, 0, 2),"
                           " age_usec = iif(ready_usec > ?2, NULL, ?2) WHERE seq = ?1 AND state = 1"
                           " AND NOT EXISTS (SELECT 1 FROM dependency WHERE waiting = ?1)",
        [WRITE_READ_LARGE] = "SELECT data FROM large WHERE key = ?1",
};

int writer_init(Writer *w, sqlite3 *db)
{
        *w = (Writer){ .db = db };
        for (int i = 0; i < WRITE_N_STATEMENTS; i++) {
                int r = sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                           &w->statements[i], NULL);

                if (r != SQLITE_OK) {
                        writer_fini(w);
                        return r;
                }
        }
        return SQLITE_OK;
}

void writer_fini(Writer *w)
{
        for (int i = 0; i < WRITE_N_STATEMENTS; i++)
                (void)sqlite3_finalize(w->statements[i]);
        buffer_fini(&w->attempts);
        *w = (Writer){ 0 };
}

/* --- statements --- */

static int run(sqlite3_stmt *s)
{
        int r = sqlite3_step(s);

        (void)sqlite3_reset(s);
        return r == SQLITE_DONE || r == SQLITE_ROW ? SQLITE_OK : r;
}

static void bind_int(sqlite3_stmt *s, int at, uint64_t number)
{
        (void)sqlite3_bind_int64(s, at, (sqlite3_int64)MIN(number, (uint64_t)INT64_MAX));
}

/* 0 stands for "none". */
static void bind_time(sqlite3_stmt *s, int at, usec_t time)
{
        if (time)
                bind_int(s, at, time);
        else
                (void)sqlite3_bind_null(s, at);
}

/* The bytes stay where they are until the statement has run. An empty one is none. */
static void bind_text(sqlite3_stmt *s, int at, Slice text)
{
        if (text.len)
                (void)sqlite3_bind_text64(s, at, text.data, text.len, SQLITE_STATIC, SQLITE_UTF8);
        else
                (void)sqlite3_bind_null(s, at);
}

static void bind_given_text(sqlite3_stmt *s, int at, const Job *job, uint16_t which)
{
        Slice text = job_text(job, which);

        if (job->has & which) /* a key may be empty */
                (void)sqlite3_bind_text64(s, at, text.data, text.len, SQLITE_STATIC, SQLITE_UTF8);
        else
                (void)sqlite3_bind_null(s, at);
}

static void bind_words(sqlite3_stmt *s, int at, const char *words)
{
        bind_text(s, at, words ? slice_of(words) : (Slice){ NULL, 0 });
}

static void bind_number(sqlite3_stmt *s, int at, const Job *job, uint16_t which)
{
        if (job->has & which)
                bind_int(s, at, job_number(job, which, 0));
        else
                (void)sqlite3_bind_null(s, at);
}

static uint64_t large_key(uint64_t seq, bool result)
{
        return 2 * seq + result;
}

static int write_large(Writer *w, uint64_t seq, bool result, Slice data)
{
        sqlite3_stmt *s = w->statements[WRITE_LARGE];

        bind_int(s, 1, large_key(seq, result));
        bind_text(s, 2, data);
        return run(s);
}

static int run_on(Writer *w, int which, uint64_t number)
{
        bind_int(w->statements[which], 1, number);
        return run(w->statements[which]);
}

static int remove_large(Writer *w, uint64_t first, uint64_t last)
{
        sqlite3_stmt *s = w->statements[WRITE_LARGE_GONE];

        bind_int(s, 1, first);
        bind_int(s, 2, last);
        return run(s);
}

/* --- requests --- */

static void bind_spec(sqlite3_stmt *s, const Job *job)
{
        static const uint16_t numbers[] = { JOB_HAS_MAX_ATTEMPTS, JOB_HAS_RUN_AT, JOB_HAS_DELAY,
                                            JOB_HAS_TIMEOUT, JOB_HAS_TTL, JOB_HAS_KEEP };
        static const uint16_t given[] = { JOB_HAS_UNIQUE_KEY, JOB_HAS_TAGS, JOB_HAS_SEMAPHORES,
                                          JOB_HAS_AFTER };

        for (int i = 0; i < (int)ELEMENTS(numbers); i++)
                bind_number(s, 17 + i, job, numbers[i]);
        for (int i = 0; i < (int)ELEMENTS(given); i++)
                bind_given_text(s, 23 + i, job, given[i]);
}

static int write_edges(Writer *w, const StoreBatch *b, const StoreItem *item)
{
        sqlite3_stmt *s = w->statements[WRITE_EDGE];
        int r = SQLITE_OK;

        for (unsigned i = 0; i < item->n_edges && r == SQLITE_OK; i++) {
                const StoreEdge *e = &b->edges[item->first_edge + i];
                UuidText blocker = uuid_text(&e->blocker);

                bind_int(s, 1, e->waiting);
                bind_text(s, 2, slice_of(blocker.text));
                r = run(s);
        }
        return r;
}

static int write_admission(Writer *w, const StoreBatch *b, const StoreItem *item)
{
        sqlite3_stmt *s = w->statements[WRITE_INSERT];
        const Job *job = item->job;
        UuidText id = uuid_text(&job->id);
        int r;

        bind_int(s, 1, job->seq);
        bind_text(s, 2, slice_of(id.text));
        bind_int(s, 3, job->uid);
        bind_int(s, 4, job->gid);
        bind_words(s, 5, job->handler->name);
        bind_words(s, 6, item->pool->name);
        bind_int(s, 7, item->state);
        bind_int(s, 8, item->given);
        (void)sqlite3_bind_int(s, 9, job->priority);
        bind_int(s, 10, item->attempt);
        bind_int(s, 11, item->budget);
        bind_int(s, 12, job->submitted);
        bind_time(s, 13, item->order);
        bind_int(s, 14, item->ready_at);
        bind_text(s, 15, job->args_elsewhere ? (Slice){ NULL, 0 } : job_args(job));
        bind_int(s, 16, job->args_elsewhere);
        bind_spec(s, job);
        bind_time(s, 27, item->claim ? item->now : 0);
        bind_words(s, 28, item->reason);
        r = run(s);
        if (r == SQLITE_OK && job->args_elsewhere)
                r = write_large(w, job->seq, false, job_args(job));
        return r == SQLITE_OK ? write_edges(w, b, item) : r;
}

static int write_claim(Writer *w, StoreItem *item)
{
        sqlite3_stmt *s = w->statements[WRITE_CLAIM];
        int r = SQLITE_OK;

        bind_int(s, 1, item->job->seq);
        bind_int(s, 2, item->attempt);
        bind_int(s, 3, item->now);
        bind_time(s, 4, item->order);
        if (item->load_args)
                r = writer_read_large(w, item->job->seq, false, &item->args, &item->args_len);
        return r == SQLITE_OK ? run(s) : r;
}

static int write_unclaim(Writer *w, const StoreItem *item)
{
        sqlite3_stmt *s = w->statements[WRITE_UNCLAIM];

        bind_int(s, 1, item->job->seq);
        bind_int(s, 2, item->attempt);
        return run(s);
}

/* The attempts, as JSON; empty: none. */
static Slice attempts_of(Writer *w, const JobHistory *h)
{
        buffer_clear(&w->attempts, 4096);
        if (!h->n_attempts)
                return (Slice){ NULL, 0 };
        emit_open(&w->attempts, '[');
        for (uint32_t i = 0; i < h->n_attempts; i++)
                attempt_write(&w->attempts, &h->attempts[i]);
        emit_close(&w->attempts, ']');
        return (Slice){ w->attempts.data + w->attempts.start, buffer_len(&w->attempts) };
}

static int write_result(Writer *w, const StoreItem *item, bool large)
{
        const JobHistory *h = item->history;
        uint64_t seq = item->job->seq;

        if (large)
                return write_large(w, seq, true, (Slice){ h->result, h->result_len });
        if (item->first_end || item->result_shed || !h->n_attempts)
                return SQLITE_OK;
        return remove_large(w, large_key(seq, true), large_key(seq, true));
}

static int write_settlement(Writer *w, const StoreBatch *b, const StoreItem *item)
{
        sqlite3_stmt *s = w->statements[WRITE_SETTLE];
        const JobHistory *h = item->history;
        bool large = b->large && h->result_len > b->large;
        Slice attempts = attempts_of(w, h);
        int r;

        if (w->attempts.failed)
                return SQLITE_NOMEM;
        bind_int(s, 1, item->job->seq);
        bind_int(s, 2, item->state);
        bind_words(s, 3, item->pool->name);
        bind_int(s, 4, item->given);
        bind_int(s, 5, item->attempt);
        bind_int(s, 6, item->budget);
        bind_time(s, 7, item->order);
        bind_int(s, 8, item->ready_at);
        bind_int(s, 9, large || item->result_shed ? 2 : 0);
        bind_time(s, 10, h->started);
        bind_time(s, 11, job_state_ended(item->state) ? item->ended : 0);
        bind_time(s, 12, h->failures);
        bind_time(s, 13, h->deaths);
        bind_time(s, 14, h->untouched);
        bind_words(s, 15, item->reason);
        bind_text(s, 16, large ? (Slice){ NULL, 0 } : (Slice){ h->result, h->result_len });
        bind_text(s, 17, attempts);
        r = run(s);
        if (r == SQLITE_OK)
                r = write_result(w, item, large);
        if (r == SQLITE_OK && item->job->has & JOB_HAS_AFTER && job_state_ended(item->state))
                r = run_on(w, WRITE_EDGES_GONE, item->job->seq);
        return r;
}

static int write_removal(Writer *w, const StoreItem *item)
{
        uint64_t seq = item->job->seq;
        int r = run_on(w, WRITE_FORGET, seq);

        return r == SQLITE_OK ? remove_large(w, large_key(seq, false), large_key(seq, true)) : r;
}

static int write_item(Writer *w, const StoreBatch *b, StoreItem *item)
{
        switch (item->request) {
        case REQUEST_ADMIT:
                return write_admission(w, b, item);
        case REQUEST_CLAIM:
                return write_claim(w, item);
        case REQUEST_SETTLE:
                return write_settlement(w, b, item);
        case REQUEST_MARK:
                return item->state == JOB_RUNNING ? run_on(w, WRITE_MARK, item->job->seq)
                                                  : write_unclaim(w, item);
        default:
                return write_removal(w, item);
        }
}

/* Jobs that waited for one that has succeeded; last, as their rows may be of this batch. */
static int write_met(Writer *w, const StoreBatch *b)
{
        int r = SQLITE_OK;

        for (unsigned i = 0; i < b->n_met && r == SQLITE_OK; i++) {
                sqlite3_stmt *met = w->statements[WRITE_EDGE_MET];
                sqlite3_stmt *released = w->statements[WRITE_RELEASED];
                UuidText blocker = uuid_text(&b->met[i].blocker);

                bind_int(met, 1, b->met[i].waiting);
                bind_text(met, 2, slice_of(blocker.text));
                bind_int(released, 1, b->met[i].waiting);
                bind_int(released, 2, b->met[i].now);
                r = run(met);
                if (r == SQLITE_OK)
                        r = run(released);
        }
        return r;
}

/* Takes and gives back a page's worth of room. */
static int write_probe(Writer *w)
{
        int r = database_exec(w->db, "INSERT INTO large (key, data) VALUES (-1, zeroblob(8192))");

        return r == SQLITE_OK ? database_exec(w->db, "DELETE FROM large WHERE key = -1") : r;
}

int writer_commit(Writer *w, StoreBatch *b)
{
        int r = run(w->statements[WRITE_BEGIN]);

        for (unsigned i = 0; i < b->n && r == SQLITE_OK; i++)
                r = write_item(w, b, &b->items[i]);
        if (r == SQLITE_OK)
                r = write_met(w, b);
        if (r == SQLITE_OK && b->probe)
                r = write_probe(w);
        if (r == SQLITE_OK)
                r = run(w->statements[WRITE_COMMIT]);
        return r;
}

void writer_roll_back(Writer *w)
{
        if (!sqlite3_get_autocommit(w->db))
                (void)run(w->statements[WRITE_ROLLBACK]); /* a failed commit may have done it */
}

int writer_read_large(Writer *w, uint64_t seq, bool result, char **ret, size_t *ret_len)
{
        sqlite3_stmt *s = w->statements[WRITE_READ_LARGE];
        int r;

        *ret = NULL;
        *ret_len = 0;
        bind_int(s, 1, large_key(seq, result));
        r = sqlite3_step(s);
        if (r == SQLITE_ROW) {
                size_t n = (size_t)sqlite3_column_bytes(s, 0);

                *ret = malloc(n + 1);
                if (*ret) {
                        memcpy(*ret, sqlite3_column_text(s, 0), n);
                        *ret_len = n;
                }
                r = *ret ? SQLITE_OK : SQLITE_NOMEM;
        } else if (r == SQLITE_DONE) {
                r = SQLITE_OK;
        }
        (void)sqlite3_reset(s);
        return r;
}
