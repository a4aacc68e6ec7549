/* SPDX-License-Identifier: MIT */

/* First the file (SQLite's own check), then the tables, then the rows. What a legal row is stands
 * in tables of rules: an SQL expression that is true for a row that breaks the rule, what to show
 * of it, and what was expected. All rules of a table are asked in one pass over it; three more
 * questions (what is there twice, and how much there is) take a pass each. */

#include "store/tools.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "core/job.h"
#include "store/check_sql.h"
#include "store/schema.h"
#include "store/tools_file.h"

typedef struct Check {
        const char *path;
        StoreFile file;
        CheckSql sql;
        StoreFigures figures;
        int found, most; /* faults */
        StoreFault fault;
        void *context;
        char *error;
        size_t error_size;
} Check;

typedef struct Rule {
        const char *broken;   /* SQL: true, if it is */
        const char *found;    /* SQL: words for what stands there, never NULL for such a row */
        const char *expected; /* words; NULL: `found` says it all */
} Rule;

/* --- rules for a job --- */

#define NUMBER(column, least, most)                                                                \
        { "typeof(" #column ") <> 'integer' OR " #column " NOT BETWEEN " #least " AND " #most,     \
          "'" #column " is ' || shown(" #column ")", #least " to " #most }
#define OPTIONAL_NUMBER(column, least, most)                                                       \
        { #column " IS NOT NULL AND"                                                               \
          " (typeof(" #column ") <> 'integer' OR " #column " NOT BETWEEN " #least " AND " #most    \
          ")", "'" #column " is ' || shown(" #column ")", #least " to " #most ", or nothing" }
#define TIME(column)                                                                               \
        { "typeof(" #column ") <> 'integer' OR " #column " < 0",                                   \
          "'" #column " is ' || shown(" #column ")", "microseconds, not negative" }
#define OPTIONAL_TIME(column)                                                                      \
        { "typeof(" #column ") NOT IN ('integer', 'null') OR " #column " < 0",                     \
          "'" #column " is ' || shown(" #column ")", "microseconds, not negative, or nothing" }
#define NAME(column, most)                                                                         \
        { "typeof(" #column ") <> 'text' OR"                                                       \
          " length(CAST(" #column " AS BLOB)) NOT BETWEEN 1 AND " #most,                           \
          "'" #column " is ' || shown(" #column ")", "a name of 1 to " #most " bytes" }
#define OPTIONAL_TEXT(column)                                                                      \
        { "typeof(" #column ") NOT IN ('text', 'null')",                                           \
          "'" #column " is ' || shown(" #column ")", "text or nothing" }
#define LIST(column)                                                                               \
        { #column " IS NOT NULL AND n_strings(" #column ") IS NULL",                               \
          "'" #column " is ' || shown(" #column ")", "a JSON array of strings, or nothing" }
#define OBJECT(column)                                                                             \
        { #column " IS NOT NULL AND NOT is_object(" #column ")",                                   \
          "'" #column " is ' || shown(" #column ")", "a JSON object, or nothing" }
#define GIVEN(column, bit)                                                                         \
        { "(given & " #bit " <> 0) <> (" #column " IS NOT NULL)",                                  \
          "format('bit %d of given is %s, and " #column " is ', " #bit ","                         \
          " iif(given & " #bit ", 'set', 'not set')) || shown(" #column ")", "both or none" }
#define LARGE(column, bit, key)                                                                    \
        { "large & " #bit " AND " #column " IS NOT NULL",                                          \
          "'has " #column " in its row, and bit " #bit " in its column large'",                    \
          "one of the two" },                                                                      \
        { "large & " #bit " AND NOT EXISTS (SELECT 1 FROM large AS l WHERE l.key = " key ")",      \
          "'has bit " #bit " in its column large, and no " #column " in table large'",             \
          "both or none" }

static const Rule job_rules[] = {
        { "NOT is_uuid(id)", "'id is ' || shown(id)", "a UUID in lower case" },
        NUMBER(uid, 0, 4294967295),
        NUMBER(gid, 0, 4294967295),
        NAME(handler, 65535), /* what a fork server can tell of */
        NAME(pool, 64),
        NUMBER(state, 0, 8),
        NUMBER(given, 0, 65535),
        NUMBER(priority, -1000, 1000),
        NUMBER(attempt, 0, 4294967295),
        NUMBER(budget, 0, 4294967295),
        { "attempt > budget", "format('attempt is %d, budget is %d', attempt, budget)",
          "an attempt within the budget" },

        TIME(submitted_usec),
        TIME(ready_usec),
        OPTIONAL_TIME(age_usec),
        OPTIONAL_TIME(run_at_usec),
        OPTIONAL_TIME(delay_usec),
        OPTIONAL_TIME(timeout_usec),
        OPTIONAL_TIME(ttl_usec),
        OPTIONAL_TIME(keep_usec),
        OPTIONAL_TIME(started_usec),
        OPTIONAL_TIME(claimed_usec),
        OPTIONAL_TIME(ended_usec),
        { "state BETWEEN 4 AND 8 AND ended_usec IS NULL",
          "format('state is %d, which is an end, and ended_usec is not set', state)", "a time" },
        { "state BETWEEN 0 AND 3 AND ended_usec IS NOT NULL",
          "format('state is %d, which is no end, and ended_usec is ', state) || shown(ended_usec)",
          "nothing" },
        { "state = 3 AND attempt < 1", "'state is 3, running, and attempt is ' || shown(attempt)",
          "1 or more" },
        { "(state = 3 OR attempt >= 1) AND claimed_usec IS NULL",
          "format('state is %d, attempt is %d, and claimed_usec is not set', state, attempt)",
          "the time of its last attempt" },

        OPTIONAL_NUMBER(max_attempts, 1, 1000000),
        OPTIONAL_NUMBER(failures, 0, 4294967295),
        OPTIONAL_NUMBER(deaths, 0, 4294967295),
        OPTIONAL_NUMBER(untouched, 0, 4294967295),
        OPTIONAL_TEXT(unique_key),
        OPTIONAL_TEXT(reason),
        LIST(tags),
        LIST(semaphores),
        LIST(after),
        GIVEN(run_at_usec, 1),
        GIVEN(delay_usec, 2),
        GIVEN(timeout_usec, 4),
        GIVEN(ttl_usec, 8),
        GIVEN(keep_usec, 16),
        GIVEN(max_attempts, 32),
        GIVEN(unique_key, 64),
        GIVEN(tags, 128),
        GIVEN(semaphores, 256),
        GIVEN(after, 512),
        { "state = 1 AND ifnull(n_strings(semaphores), 0) = 0"
          " AND NOT EXISTS (SELECT 1 FROM dependency WHERE waiting = seq)",
          "'state is 1, blocked, without semaphores and without a row in dependency'",
          "one of the two" },

        NUMBER(large, 0, 3),
        OBJECT(args),
        OBJECT(result),
        LARGE(args, 1, "2 * seq"),
        LARGE(result, 2, "2 * seq + 1"),
        { "attempts_fault(attempts, attempt, state) IS NOT NULL",
          "attempts_fault(attempts, attempt, state)", NULL },
};

_Static_assert(JOB_HAS_RUN_AT == 1 && JOB_HAS_DELAY == 2 && JOB_HAS_TIMEOUT == 4 &&
                       JOB_HAS_TTL == 8 && JOB_HAS_KEEP == 16 && JOB_HAS_MAX_ATTEMPTS == 32 &&
                       JOB_HAS_UNIQUE_KEY == 64 && JOB_HAS_TAGS == 128 &&
                       JOB_HAS_SEMAPHORES == 256 && JOB_HAS_AFTER == 512,
               "as in the rules above, and in every database");

/* --- rules for what belongs to a job --- */

#define LARGE_WHAT "iif(key & 1, 'result', 'args')"

static const Rule large_rules[] = {
        { "seq IS NULL", "'is not there, but has ' || " LARGE_WHAT " || ' in table large'",
          "no row without its job" },
        { "NOT large & (1 << (key & 1))",
          "'has ' || " LARGE_WHAT " || ' in table large, and column large is ' || shown(large)",
          "its bit there" },
        { "NOT is_object(data)", LARGE_WHAT " || ' in table large is ' || shown(data)",
          "a JSON object" },
};

static const Rule dependency_rules[] = {
        { "seq IS NULL", "'is not there, but waits for job ' || shown(blocker)",
          "no row without its job" },
        { "state BETWEEN 4 AND 8",
          "format('state is %d, which is an end, but it waits for job ', state) || shown(blocker)",
          "a job that has not ended" },
        { "seq IS NOT NULL AND names(after, blocker) IS NOT 1",
          "'waits for job ' || shown(blocker)", "one that is named in its column after" },
};

typedef struct Table {
        const char *from; /* table, and the job that a row belongs to */
        const char *seq;  /* of that job, if it is there or not */
        const Rule *rules;
        size_t n_rules;
} Table;

static const Table tables[] = {
        { "job", "seq", job_rules, ELEMENTS(job_rules) },
        { "large AS l LEFT JOIN job ON seq = key >> 1", "key >> 1", large_rules,
          ELEMENTS(large_rules) },
        { "dependency LEFT JOIN job ON seq = waiting", "waiting", dependency_rules,
          ELEMENTS(dependency_rules) },
};

/* --- faults --- */

static bool is_full(const Check *c)
{
        return c->found >= c->most;
}

static void PRINTF(2, 3) tell(Check *c, const char *format, ...)
{
        char text[1024];
        va_list args;

        if (is_full(c))
                return;
        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < ' ')
                        *p = '?'; /* SQLite quotes names out of a damaged file */
        c->found++;
        c->fault(text, c->context);
}

static int no_memory(const Check *c)
{
        return store_file_error(c->error, c->error_size, "no memory");
}

/* What SQLite says is a fault of the file, or ends the check. Returns 0 or -1. */
static int judge(Check *c, int r, const char *what)
{
        sqlite3 *db = c->file.db;

        if (r == SQLITE_OK || r == SQLITE_DONE || r == SQLITE_ROW)
                return 0;
        if (r != SQLITE_CORRUPT && r != SQLITE_ERROR)
                return store_file_error(c->error, c->error_size, "%s: %s, %s", c->path,
                                        sqlite3_errmsg(db), what);
        tell(c, "file: %s, %s", sqlite3_errmsg(db), what);
        return 0;
}

/* Calls `row` for each row of a query, while there is room for faults. Returns 0 or -1. */
static int each_row(Check *c, const char *sql, const char *what, const void *context,
                    void (*row)(Check *c, sqlite3_stmt *s, const void *context))
{
        sqlite3_stmt *s;
        int r = sqlite3_prepare_v2(c->file.db, sql, -1, &s, NULL);

        if (r != SQLITE_OK)
                return judge(c, r, what);
        while (!is_full(c) && (r = sqlite3_step(s)) == SQLITE_ROW)
                row(c, s, context);
        r = judge(c, r, what);
        (void)sqlite3_finalize(s);
        return r;
}

static const char *text_at(sqlite3_stmt *s, int column)
{
        return (const char *)sqlite3_column_text(s, column);
}

/* --- the file, and the tables --- */

/* A row may hold many lines. */
static void tell_lines(Check *c, sqlite3_stmt *s, const void *context UNUSED)
{
        const char *text = text_at(s, 0);

        while (text && *text) {
                size_t n = strcspn(text, "\n");

                if (n && strcmp(text, "ok") != 0 && strncmp(text, "***", 3) != 0)
                        tell(c, "file: %.*s", (int)MIN(n, 500u), text);
                text += n;
                text += *text == '\n';
        }
}

static int check_pages(Check *c)
{
        char sql[64];

        (void)snprintf(sql, sizeof(sql), "PRAGMA integrity_check(%d)", c->most);
        return each_row(c, sql, "while its pages were checked", NULL, tell_lines);
}

/* Is it in the file as it is in a new one? */
static bool has_object(const Check *c, sqlite3_stmt *model)
{
        static const char sql[] = "SELECT 1 FROM sqlite_schema"
                                  " WHERE type = ?1 AND name = ?2 AND sql = ?3";
        sqlite3_stmt *s;
        int r = sqlite3_prepare_v2(c->file.db, sql, -1, &s, NULL);

        for (int i = 0; r == SQLITE_OK && i < 3; i++)
                r = sqlite3_bind_value(s, i + 1, sqlite3_column_value(model, i));
        if (r == SQLITE_OK)
                r = sqlite3_step(s);
        (void)sqlite3_finalize(s);
        return r == SQLITE_ROW;
}

static int compare_schema(Check *c, sqlite3 *model)
{
        static const char *const steps[] = { STORE_SCHEMA_1 };
        _Static_assert(ELEMENTS(steps) == STORE_SCHEMA_VERSION, "a step for each version");
        sqlite3_stmt *s = NULL;
        int r = SQLITE_OK;

        for (size_t i = 0; r == SQLITE_OK && i < ELEMENTS(steps); i++)
                r = sqlite3_exec(model, steps[i], NULL, NULL, NULL);
        if (r == SQLITE_OK)
                r = sqlite3_prepare_v2(model, "SELECT type, name, sql FROM sqlite_schema", -1, &s,
                                       NULL);
        while (r == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
                if (!has_object(c, s))
                        tell(c, "file: its %s %s is not as version %d of the schema has it",
                             text_at(s, 0), text_at(s, 1), STORE_SCHEMA_VERSION);
        (void)sqlite3_finalize(s);
        return r == SQLITE_OK ? 0 : no_memory(c);
}

static int check_schema(Check *c)
{
        sqlite3 *model = NULL;
        int r = sqlite3_open_v2(":memory:", &model, SQLITE_OPEN_READWRITE, NULL);

        r = r == SQLITE_OK ? compare_schema(c, model) : no_memory(c);
        (void)sqlite3_close(model);
        return r;
}

/* --- the rows --- */

/* SELECT who, what was found of rule 0 if it is broken, of rule 1 … FROM … WHERE any is broken */
static void write_query(Buffer *b, const Table *t)
{
        buffer_printf(b, "SELECT iif(is_uuid(id), id, 'number ' || shown(%s))", t->seq);
        for (size_t i = 0; i < t->n_rules; i++)
                buffer_printf(b, ", CASE WHEN %s THEN %s END", t->rules[i].broken,
                              t->rules[i].found);
        buffer_printf(b, " FROM %s WHERE 0", t->from);
        for (size_t i = 0; i < t->n_rules; i++)
                buffer_printf(b, " OR (%s)", t->rules[i].broken);
        buffer_append_char(b, '\0');
}

static void tell_broken(Check *c, sqlite3_stmt *s, const void *context)
{
        const Table *t = context;

        for (size_t i = 0; i < t->n_rules; i++) {
                const char *found = text_at(s, (int)i + 1), *expected = t->rules[i].expected;

                if (found)
                        tell(c, "job %s: %s%s%s", text_at(s, 0), found,
                             expected ? "; expected " : "", expected ? expected : "");
        }
}

static int check_table(Check *c, const Table *t)
{
        AUTO(buffer_fini) Buffer sql = BUFFER_INIT;

        write_query(&sql, t);
        if (sql.failed)
                return no_memory(c);
        return each_row(c, buffer_bytes(&sql), "while rows were checked", t, tell_broken);
}

static void tell_same_id(Check *c, sqlite3_stmt *s, const void *context UNUSED)
{
        tell(c, "job %s: is there %s times for user %s; expected once", text_at(s, 0),
             text_at(s, 1), text_at(s, 2));
}

static void tell_same_key(Check *c, sqlite3_stmt *s, const void *context UNUSED)
{
        tell(c,
             "job %s: unique_key %s stands in %s jobs of its user and handler that have not ended; "
             "expected one",
             text_at(s, 0), text_at(s, 2), text_at(s, 1));
}

static int check_unique(Check *c)
{
        int r = each_row(c,
                         "SELECT iif(is_uuid(id), id, shown(id)), count(*), shown(uid) FROM job"
                         " GROUP BY uid, id HAVING count(*) > 1",
                         "while ids were compared", NULL, tell_same_id);

        if (r < 0)
                return r;
        return each_row(c,
                        "SELECT iif(is_uuid(min(id)), min(id), shown(min(id))), count(*),"
                        " shown(unique_key) FROM job"
                        " WHERE unique_key IS NOT NULL AND state BETWEEN 0 AND 3"
                        " GROUP BY uid, handler, unique_key HAVING count(*) > 1",
                        "while unique keys were compared", NULL, tell_same_key);
}

static void read_figures(Check *c, sqlite3_stmt *s, const void *context UNUSED)
{
        c->figures.jobs = sqlite3_column_int64(s, 0);
        c->figures.open = sqlite3_column_int64(s, 1);
        c->figures.ended = c->figures.jobs - c->figures.open;
        c->figures.bytes = sqlite3_column_int64(s, 2);
}

static int count(Check *c)
{
        return each_row(c,
                        "SELECT count(*), count(*) FILTER (WHERE state < 4),"
                        " (SELECT page_count * page_size"
                        "  FROM pragma_page_count, pragma_page_size)"
                        " FROM job",
                        "while jobs were counted", NULL, read_figures);
}

/* --- */

static int check_rows(Check *c)
{
        int r = count(c);

        for (size_t i = 0; r == 0 && i < ELEMENTS(tables); i++)
                r = check_table(c, &tables[i]);
        return r < 0 ? r : check_unique(c);
}

static int check_all(Check *c)
{
        int r = check_pages(c), before = c->found;

        if (r == 0)
                r = check_schema(c);
        if (r < 0 || c->found > before)
                return r; /* the rules are for this schema */
        return check_rows(c);
}

static int check_opened(Check *c)
{
        int r;

        if (c->file.version > STORE_SCHEMA_VERSION)
                return store_file_error(c->error, c->error_size,
                                        "%s: version %d of the schema; this program knows %d",
                                        c->path, c->file.version, STORE_SCHEMA_VERSION);
        r = check_sql_init(&c->sql, c->file.db) == 0 ? check_all(c) : no_memory(c);
        return r == 0 ? store_file_confirm(&c->file, c->error, c->error_size) : r;
}

static void check_fini(Check *c)
{
        store_file_fini(&c->file);
        check_sql_fini(&c->sql); /* its functions were the database's */
}
DEFINE_FINI(Check, check_fini);

int store_check(const char *path, int max_faults, StoreFault fault, void *context,
                StoreFigures *ret, char *error, size_t error_size)
{
        AUTO(check_fini) Check c = { .path = path, .most = max_faults, .fault = fault,
                                     .context = context, .error = error,
                                     .error_size = error_size };
        int r = store_file_init(&c.file, path, error, error_size);

        if (r == STORE_FILE_E_DAMAGED)
                tell(&c, "file: %s", sqlite3_errmsg(c.file.db));
        else if (r < 0 || check_opened(&c) < 0)
                return -1;
        *ret = c.figures;
        return c.found;
}
