/* SPDX-License-Identifier: MIT */

#include "store/loader.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "store/attempt_json.h"
#include "store/schema.h"

/* In the order of the query. */
enum {
        COL_SEQ, COL_ID, COL_UID, COL_GID, COL_HANDLER, COL_POOL, COL_STATE, COL_GIVEN,
        COL_PRIORITY, COL_ATTEMPT, COL_BUDGET, COL_SUBMITTED, COL_AGE, COL_READY, COL_ARGS,
        COL_LARGE, COL_MAX_ATTEMPTS, COL_RUN_AT, COL_DELAY, COL_TIMEOUT, COL_TTL, COL_KEEP,
        COL_KEY, COL_TAGS, COL_SEMAPHORES, COL_AFTER, COL_STARTED, COL_CLAIMED, COL_ENDED,
        COL_FAILURES, COL_DEATHS, COL_UNTOUCHED, COL_REASON, COL_RESULT, COL_ATTEMPTS,
};

static const char jobs_sql[] =
        "SELECT seq, id, uid, gid, handler, pool, state, given, priority, attempt, budget,"
        " submitted_usec, age_usec, ready_usec, args, large, max_attempts, run_at_usec,"
        " delay_usec, timeout_usec, ttl_usec, keep_usec, unique_key, tags, semaphores, after,"
        " started_usec, claimed_usec, ended_usec, failures, deaths, untouched, reason, result,"
        " attempts FROM job ORDER BY seq";

static const char edges_sql[] = "SELECT waiting, blocker FROM dependency ORDER BY waiting, rowid";

typedef struct Loader {
        sqlite3_stmt *row;
        Core *core;
        CoreHandler *handler; /* of the last row: most have the same */
        CorePool *pool;
        CoreSemaphore *units[CORE_MAX_UNITS];
} Loader;

static uint64_t number(const Loader *l, int column)
{
        return (uint64_t)sqlite3_column_int64(l->row, column);
}

/* Valid until the next row. */
static Slice text(const Loader *l, int column)
{
        const unsigned char *t = sqlite3_column_text(l->row, column);

        return (Slice){ (const char *)t, t ? (size_t)sqlite3_column_bytes(l->row, column) : 0 };
}

static bool find_names(Loader *l)
{
        const char *handler = (const char *)sqlite3_column_text(l->row, COL_HANDLER);
        const char *pool = (const char *)sqlite3_column_text(l->row, COL_POOL);

        if (!handler || !pool)
                return false;
        if (!l->handler || strcmp(l->handler->name, handler) != 0)
                l->handler = core_handler(l->core, handler);
        if (!l->pool || strcmp(l->pool->name, pool) != 0)
                l->pool = core_pool(l->core, pool);
        return l->handler && l->pool;
}

static bool known(const Loader *l, unsigned n, const CoreSemaphore *s)
{
        for (unsigned i = 0; i < n; i++)
                if (l->units[i] == s)
                        return true;
        return false;
}

static bool find_units(Loader *l, JobSpec *spec)
{
        json_t *names = json_loadb(spec->semaphores.data, spec->semaphores.len, 0, NULL), *name;
        bool good = json_is_array(names);
        size_t i;

        json_array_foreach(names, i, name) {
                const char *word = json_string_value(name);
                CoreSemaphore *s = word ? core_semaphore(l->core, word) : NULL;

                good = good && s;
                if (!good || known(l, spec->n_units, s))
                        continue;
                good = spec->n_units < CORE_MAX_UNITS;
                if (good)
                        l->units[spec->n_units++] = s;
        }
        json_decref(names);
        spec->units = l->units;
        return good;
}

static bool read_spec(Loader *l, JobSpec *spec)
{
        uint64_t given = number(l, COL_GIVEN);

        if (!find_names(l) || !uuid_parse(text(l, COL_ID), &spec->id))
                return false;
        spec->handler = l->handler;
        spec->has = (uint16_t)(given & (STORE_CANCEL_ASKED - 1));
        spec->priority = sqlite3_column_int(l->row, COL_PRIORITY);
        spec->max_attempts = (uint32_t)number(l, COL_MAX_ATTEMPTS);
        spec->run_at = number(l, COL_RUN_AT);
        spec->delay = number(l, COL_DELAY);
        spec->timeout = number(l, COL_TIMEOUT);
        spec->ttl = number(l, COL_TTL);
        spec->keep = number(l, COL_KEEP);
        spec->args = text(l, COL_ARGS);
        spec->unique_key = text(l, COL_KEY);
        spec->tags = text(l, COL_TAGS);
        spec->semaphores = text(l, COL_SEMAPHORES);
        spec->after = text(l, COL_AFTER);
        spec->uid = (uint32_t)number(l, COL_UID);
        spec->gid = (uint32_t)number(l, COL_GID);
        return !spec->semaphores.len || find_units(l, spec);
}

static bool read_record(Loader *l, JobRecord *r)
{
        if (!read_spec(l, &r->spec) || number(l, COL_STATE) >= JOB_N_STATES)
                return false;
        r->pool = l->pool;
        r->seq = number(l, COL_SEQ);
        r->state = (JobState)number(l, COL_STATE);
        r->attempt = (uint32_t)number(l, COL_ATTEMPT);
        r->budget = (uint32_t)number(l, COL_BUDGET);
        r->failures = (uint32_t)number(l, COL_FAILURES);
        r->deaths = (uint32_t)number(l, COL_DEATHS);
        r->untouched = (uint32_t)number(l, COL_UNTOUCHED);
        r->submitted = number(l, COL_SUBMITTED);
        r->order = number(l, COL_AGE);
        r->ready_at = number(l, COL_READY);
        r->started = number(l, COL_STARTED);
        r->claimed = number(l, COL_CLAIMED);
        r->ended = number(l, COL_ENDED);
        r->reason = text(l, COL_REASON);
        r->result = text(l, COL_RESULT);
        r->args_shed = number(l, COL_LARGE) & 1;
        r->result_shed = number(l, COL_LARGE) & 2;
        return (r->state != JOB_RUNNING || r->attempt) &&
               (!job_state_ended(r->state) || r->ended);
}

/* Returns 0, -1 if the row makes no sense, or -ENOMEM. */
static int load_row(Loader *l)
{
        JobRecord record = { 0 };
        Slice attempts = text(l, COL_ATTEMPTS);
        Job *job;
        int r;

        if (!read_record(l, &record))
                return -1;
        r = core_restore(l->core, &record, &job);
        if (r < 0)
                return r;
        job->no_ttl = number(l, COL_GIVEN) & STORE_NO_TTL;
        if (number(l, COL_GIVEN) & STORE_CANCEL_ASKED)
                job->cancel_asked = !job_state_ended(job->state);
        return !attempts.len || attempts_read(l->core, job, attempts) ? 0 : -1;
}

static int load_jobs(Loader *l, char *error, size_t size)
{
        int r;

        while ((r = sqlite3_step(l->row)) == SQLITE_ROW) {
                r = load_row(l);
                if (r < 0) {
                        (void)snprintf(error, size, r == -1 ? "job %s: its row makes no sense: "
                                                              "broodctl check-store tells more"
                                                            : "job %s: no memory for it",
                                       text(l, COL_ID).data ? text(l, COL_ID).data : "?");
                        return -1;
                }
        }
        return r == SQLITE_DONE ? 0 : -1;
}

/* Both come in the order of seq. */
static int load_edges(Loader *l, char *error, size_t size)
{
        Job *job = LIST_FIRST(&l->core->all, Job, all);
        int r;

        while ((r = sqlite3_step(l->row)) == SQLITE_ROW) {
                uint64_t waiting = number(l, 0);
                Uuid blocker;

                while (job && job->seq < waiting)
                        job = job->all.next == &l->core->all
                                      ? NULL
                                      : CONTAINER_OF(job->all.next, Job, all);
                if (!job || job->seq != waiting || !uuid_parse(text(l, 1), &blocker)) {
                        (void)snprintf(error, size, "a dependency of no job");
                        return -1;
                }
                if (!job_state_ended(job->state) &&
                    core_restore_blocker(l->core, job, &blocker) < 0)
                        return -1;
        }
        return r == SQLITE_DONE ? 0 : -1;
}

static int run(sqlite3 *db, Core *core, const char *sql,
               int (*load)(Loader *, char *, size_t), char *error, size_t size)
{
        Loader l = { .core = core };
        int r = -1;

        if (sqlite3_prepare_v2(db, sql, -1, &l.row, NULL) == SQLITE_OK)
                r = load(&l, error, size);
        if (r < 0 && !error[0])
                database_words(db, error, size);
        (void)sqlite3_finalize(l.row);
        return r;
}

int loader_run(sqlite3 *db, Core *core, char *error, size_t error_size)
{
        error[0] = '\0';
        if (run(db, core, jobs_sql, load_jobs, error, error_size) < 0)
                return -1;
        return run(db, core, edges_sql, load_edges, error, error_size);
}
