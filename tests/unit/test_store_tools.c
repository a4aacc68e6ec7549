/* SPDX-License-Identifier: MIT */

/* Each test has a directory of its own with a store in it: a job of each state, and what belongs to
 * them. Jobs are called by number: 1 to 9 have the states 0 to 8, 10 waits for a semaphore. */

#include "store/tools.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/schema.h"
#include "unit.h"

#define ID "0192a000-0000-7000-8000-0000000000"
#define ID_OF_1 ID "01"
#define ID_OF_3 ID "03"
#define ATTEMPT(number, outcome)                                                                   \
        "{\"number\":" #number ",\"worker\":\"celsius.0\",\"pid\":4711,\"started_usec\":20,"       \
        "\"ended_usec\":30,\"outcome\":\"" #outcome "\"}"

enum { MOST_FAULTS = 8, NOBODY = 65534 };

typedef struct Fixture {
        char directory[64];
        char path[128], to[128]; /* the store; where a backup goes */
        sqlite3 *writer;         /* as the daemon has it; NULL: it has stopped */
        char faults[MOST_FAULTS][1200];
        int n_faults;
        StoreFigures figures;
        char error[256];
        bool wake; /* the next fault lets the daemon start */
} Fixture;

/* --- the store --- */

static const char jobs[] =
        "INSERT INTO job (seq, id, uid, gid, handler, pool, state, given, priority, attempt,"
        " budget, submitted_usec, ready_usec)"
        " SELECT value, format('" ID "%02d', value), 1000, 1000, 'celsius', 'images', value - 1,"
        " 1024, 0, 0, 3, 10, 10 FROM generate;"
        "UPDATE job SET ready_usec = 4000000000000000, delay_usec = 50, given = 2 WHERE seq = 1;"
        "UPDATE job SET after = '[\"0192A000-0000-7000-8000-000000000003\"]', given = 512"
        " WHERE seq = 2;"
        "INSERT INTO dependency VALUES (2, '" ID_OF_3 "');"
        "UPDATE job SET large = 1, unique_key = 'k', given = 192, tags = '[\"a\", \"b\\u00e9\"]'"
        " WHERE seq = 3;"
        "INSERT INTO large VALUES (6, '{\"a\": [1, 2.5, null]}');"
        "UPDATE job SET args = '{}', attempt = 2, started_usec = 20, claimed_usec = 40,"
        " attempts = '[" ATTEMPT(1, error) "]', failures = 1, deaths = 0 WHERE seq = 4;"
        "UPDATE job SET attempt = 1, started_usec = 20, claimed_usec = 20, ended_usec = 30,"
        " large = 2, unique_key = 'k', given = 64, attempts = '[" ATTEMPT(1, succeeded) "]'"
        " WHERE seq = 5;"
        "INSERT INTO large VALUES (11, '{}');"
        "UPDATE job SET attempt = 3, claimed_usec = 20, ended_usec = 30, result = '{\"line\": 3}',"
        " attempts = '[" ATTEMPT(1, error) "," ATTEMPT(3, timeout) "]' WHERE seq = 6;"
        "UPDATE job SET attempt = 1, claimed_usec = 20, ended_usec = 30, deaths = 3,"
        " reason = 'it killed 3 workers', attempts = '[" ATTEMPT(1, worker_died) "]' WHERE seq = 7;"
        "UPDATE job SET ended_usec = 30, given = 512, after = '[\"" ID_OF_3 "\"]' WHERE seq = 8;"
        "UPDATE job SET ended_usec = 30, ttl_usec = 5, given = 33800 WHERE seq = 9;" /* retried */
        "UPDATE job SET state = 1, semaphores = '[\"gpu\"]', given = 256 WHERE seq = 10;";

static void run_sql(sqlite3 *db, const char *sql)
{
        char *error = NULL;

        if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
                fail_msg("%s: %s", sql, error);
}

static void open_writer(Fixture *f)
{
        assert_int_equal(sqlite3_open(f->path, &f->writer), SQLITE_OK);
        run_sql(f->writer, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
                           "PRAGMA wal_autocheckpoint=0");
}

static void close_writer(Fixture *f)
{
        assert_int_equal(sqlite3_close(f->writer), SQLITE_OK);
        f->writer = NULL;
}

static void make_store(Fixture *f)
{
        char sql[128];

        open_writer(f);
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d",
                       STORE_APPLICATION_ID, STORE_SCHEMA_VERSION);
        run_sql(f->writer, sql);
        run_sql(f->writer, STORE_SCHEMA_1);
        run_sql(f->writer, "CREATE TEMP TABLE generate AS WITH RECURSIVE n(value) AS"
                           " (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 10)"
                           " SELECT value FROM n;");
        /* 10 has state 9 for a moment */
        run_sql(f->writer, "BEGIN");
        run_sql(f->writer, jobs);
        run_sql(f->writer, "COMMIT; DROP TABLE generate");
}

static int set_up(void **state)
{
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void)snprintf(f->directory, sizeof(f->directory), "/tmp/brood-store-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        (void)snprintf(f->path, sizeof(f->path), "%s/%s", f->directory, STORE_FILE);
        (void)snprintf(f->to, sizeof(f->to), "%s/copy.db", f->directory);
        make_store(f);
        *state = f;
        return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *where UNUSED)
{
        return remove(path);
}

static int tear_down(void **state)
{
        Fixture *f = *state;
        int r;

        (void)sqlite3_close(f->writer);
        (void)chmod(f->directory, 0700);
        r = nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        free(f);
        return r;
}

static void make_again(Fixture *f)
{
        close_writer(f);
        assert_int_equal(unlink(f->path), 0);
        make_store(f);
}

/* --- what the tools say --- */

static void on_fault(const char *fault, void *context)
{
        Fixture *f = context;

        assert_true(f->n_faults < MOST_FAULTS);
        (void)snprintf(f->faults[f->n_faults++], sizeof(f->faults[0]), "%s", fault);
        if (f->wake)
                open_writer(f);
        f->wake = false;
}

static int check_path(Fixture *f, const char *path)
{
        int r;

        f->n_faults = 0;
        f->error[0] = '\0';
        r = store_check(path, MOST_FAULTS, on_fault, f, &f->figures, f->error, sizeof(f->error));
        assert_true(r >= 0 || f->error[0]);
        if (r >= 0)
                assert_int_equal(r, f->n_faults);
        return r;
}

static int check(Fixture *f)
{
        return check_path(f, f->path);
}

static int backup(Fixture *f)
{
        f->error[0] = '\0';
        return store_backup(f->path, f->to, f->error, sizeof(f->error));
}

static void assert_contains(const char *text, const char *part)
{
        if (!strstr(text, part))
                fail_msg("found:\n%s\nexpected in it:\n%s", text, part);
}

static void assert_sound(Fixture *f, const char *path)
{
        int r = check_path(f, path);

        if (r)
                fail_msg("%s: %s", path, r < 0 ? f->error : f->faults[0]);
}

/* How many files there are whose names contain this. */
static int count_files(const Fixture *f, const char *part)
{
        DIR *d = opendir(f->directory);
        struct dirent *e;
        int n = 0;

        assert_non_null(d);
        while ((e = readdir(d)))
                n += e->d_name[0] != '.' && strstr(e->d_name, part);
        assert_int_equal(closedir(d), 0);
        return n;
}

static void read_bytes(const char *path, Buffer *b)
{
        FILE *file = fopen(path, "r");
        char *to;

        assert_non_null(file);
        to = buffer_reserve(b, 1 << 20);
        assert_non_null(to);
        b->end += fread(to, 1, 1 << 20, file);
        assert_int_equal(fclose(file), 0);
}

static void write_bytes(const char *path, Slice bytes)
{
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
        assert_int_equal(fclose(file), 0);
}

/* --- rows --- */

static void a_store_with_a_job_of_each_state_is_sound(void **state)
{
        Fixture *f = *state;

        assert_sound(f, f->path);
        assert_int_equal(f->figures.jobs, 10);
        assert_int_equal(f->figures.open, 5);
        assert_int_equal(f->figures.ended, 5);
        assert_true(f->figures.bytes >= 4096);
}

typedef struct Case {
        const char *name;
        const char *sql;
        const char *fault;
} Case;

#define SET(what, seq) "UPDATE job SET " what " WHERE seq = " #seq
#define JOB(n) "job " ID #n ": "

static const Case cases[] = {
        { "state is too large", SET("state = 9", 1), JOB(01) "state is 9; expected 0 to 8" },
        { "state is negative", SET("state = -1", 1), JOB(01) "state is -1; expected 0 to 8" },
        { "state is text", SET("state = 'x'", 1), JOB(01) "state is 'x'; expected 0 to 8" },
        { "succeeded without end", SET("ended_usec = NULL", 5),
          JOB(05) "state is 4, which is an end, and ended_usec is not set; expected a time" },
        { "expired without end", SET("ended_usec = NULL", 9),
          JOB(09) "state is 8, which is an end, and ended_usec is not set" },
        { "scheduled with end", SET("ended_usec = 5", 1),
          JOB(01) "state is 0, which is no end, and ended_usec is 5; expected nothing" },
        { "running with end", SET("ended_usec = 5", 4),
          JOB(04) "state is 3, which is no end, and ended_usec is 5" },
        { "attempt over budget", SET("budget = 2", 6),
          JOB(06) "attempt is 3, budget is 2; expected an attempt within the budget" },
        { "running, none claimed", SET("attempt = 0, attempts = NULL", 4),
          JOB(04) "state is 3, running, and attempt is 0; expected 1 or more" },
        { "running, never claimed", SET("claimed_usec = NULL", 4),
          JOB(04) "state is 3, attempt is 2, and claimed_usec is not set" },
        { "attempted, never claimed", SET("claimed_usec = NULL", 6),
          JOB(06) "state is 5, attempt is 3, and claimed_usec is not set" },
        { "priority too high", SET("priority = 1001", 3),
          JOB(03) "priority is 1001; expected -1000 to 1000" },
        { "priority too low", SET("priority = -1001", 3), JOB(03) "priority is -1001; expected" },
        { "priority no integer", SET("priority = 1.5", 3), JOB(03) "priority is 1.5; expected" },

        { "id in upper case", SET("id = upper(id)", 1),
          "job number 1: id is '0192A000-0000-7000-8000-000000000001'; expected a UUID" },
        { "id too short", SET("id = 'x'", 1), "job number 1: id is 'x'; expected a UUID" },
        { "id a blob", SET("id = CAST(id AS BLOB)", 1), "job number 1: id is a blob; expected" },
        { "id twice", SET("id = '" ID_OF_3 "'", 9),
          JOB(03) "is there 2 times for user 1000; expected once" },
        { "key twice", SET("unique_key = 'k', given = 66", 1),
          JOB(01) "unique_key 'k' stands in 2 jobs of its user and handler that have not ended" },

        { "blocked by nothing", "DELETE FROM dependency", JOB(02) "state is 1, blocked, without" },
        { "blocked by no semaphore", SET("semaphores = '[ ]'", 10),
          JOB(10) "state is 1, blocked, without semaphores and without a row in dependency" },
        { "dependency without job", "INSERT INTO dependency VALUES (77, '" ID_OF_3 "')",
          "job number 77: is not there, but waits for job '" ID_OF_3 "'; expected no row without" },
        { "dependency of an ended job", "INSERT INTO dependency VALUES (8, '" ID_OF_3 "')",
          JOB(08) "state is 7, which is an end, but it waits for job '" ID_OF_3 "'" },
        { "dependency not asked for", "INSERT INTO dependency VALUES (2, '" ID_OF_1 "')",
          JOB(02) "waits for job '" ID_OF_1 "'; expected one that is named in its column after" },
        { "dependency of a job without after", "INSERT INTO dependency VALUES (3, '" ID_OF_1 "')",
          JOB(03) "waits for job '" ID_OF_1 "'; expected one that is named in its column after" },
        { "dependency on no id", "INSERT INTO dependency VALUES (2, 'x')",
          JOB(02) "waits for job 'x'; expected" },

        { "tags no JSON", SET("tags = 'a'", 3),
          JOB(03) "tags is 'a'; expected a JSON array of strings, or nothing" },
        { "tags an object", SET("tags = '{}'", 3), JOB(03) "tags is '{}'; expected a JSON array" },
        { "tags with a number", SET("tags = '[\"a\", 1]'", 3), JOB(03) "tags is '[\"a\", 1]'" },
        { "semaphores no JSON", SET("semaphores = '[gpu]', given = given | 256", 3),
          JOB(03) "semaphores is '[gpu]'; expected a JSON array of strings" },
        { "after with null", SET("after = '[null]', given = given | 512", 3),
          JOB(03) "after is '[null]'; expected" },
        { "args an array", SET("args = '[]'", 4),
          JOB(04) "args is '[]'; expected a JSON object, or nothing" },
        { "args cut off", SET("args = '{\"a\": 1'", 4), JOB(04) "args is '{\"a\": 1'; expected" },
        { "args twice the same key", SET("args = '{\"a\":1,\"a\":1}'", 4), JOB(04) "args is" },
        { "args a blob", SET("args = CAST('{}' AS BLOB)", 4), JOB(04) "args is a blob; expected" },
        { "result text", SET("result = '\"x\"'", 6), JOB(06) "result is '\"x\"'; expected a JSON" },

        { "large args not there", "DELETE FROM large WHERE key = 6",
          JOB(03) "has bit 1 in its column large, and no args in table large; expected both" },
        { "large result not there", "DELETE FROM large WHERE key = 11",
          JOB(05) "has bit 2 in its column large, and no result in table large; expected both" },
        { "large args not told of", SET("large = 0", 3),
          JOB(03) "has args in table large, and column large is 0; expected its bit there" },
        { "large result not told of", "INSERT INTO large VALUES (7, '{}')",
          JOB(03) "has result in table large, and column large is 1; expected its bit there" },
        { "args in both places", SET("args = '{}'", 3),
          JOB(03) "has args in its row, and bit 1 in its column large; expected one of the two" },
        { "result in both places", SET("result = '{}'", 5),
          JOB(05) "has result in its row, and bit 2 in its column large; expected one of the two" },
        { "large args no object", "UPDATE large SET data = '[1]' WHERE key = 6",
          JOB(03) "args in table large is '[1]'; expected a JSON object" },
        { "large result no JSON", "UPDATE large SET data = '' WHERE key = 11",
          JOB(05) "result in table large is ''; expected a JSON object" },
        { "large without job", "INSERT INTO large VALUES (2001, '{}')",
          "job number 1000: is not there, but has result in table large; expected no row" },
        { "large bits unknown", SET("large = 5", 3), JOB(03) "large is 5; expected 0 to 3" },

        { "attempts no JSON", SET("attempts = '['", 6), JOB(06) "attempts are no JSON array" },
        { "attempts an object", SET("attempts = '{}'", 6), JOB(06) "attempts are no JSON array" },
        { "attempts of numbers", SET("attempts = '[1]'", 6), JOB(06) "attempts are no JSON array" },
        { "attempt without number",
          SET("attempts = '[{\"started_usec\":1,\"outcome\":\"error\"}]'", 6),
          JOB(06) "attempts are no JSON array of attempts as the interface has them, see their "
                  "number" },
        { "attempts without end",
          SET("attempts = '[{\"number\":1,\"started_usec\":1}]'", 6),
          JOB(06) "attempt 1 has no outcome; expected one" },
        { "outcome unknown", SET("attempts = '[" ATTEMPT(1, lost) "]'", 6),
          JOB(06) "attempts are no JSON array of attempts as the interface has them, see their "
                  "outcome" },
        { "attempts do not grow",
          SET("attempts = '[" ATTEMPT(2, error) "," ATTEMPT(2, error) "]'", 6),
          JOB(06) "attempts have number 2 after 2; expected them to grow" },
        { "attempts begin with 0", SET("attempts = '[" ATTEMPT(0, error) "]'", 6),
          JOB(06) "attempts have number 0 after 0; expected them to grow from 1" },
        { "attempt after the last", SET("attempts = '[" ATTEMPT(4, error) "]'", 6),
          JOB(06) "attempts have number 4; expected 3 at the most" },
        { "running attempt has ended", SET("attempts = '[" ATTEMPT(2, error) "]'", 4),
          JOB(04) "attempts have number 2; expected 1 at the most" },
        { "too many attempts",
          SET("attempt = 101, budget = 101, attempts ="
              " (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 101)"
              " SELECT '[' || group_concat(format('{\"number\":%d,\"started_usec\":1,"
              "\"outcome\":\"error\"}', i)) || ']' FROM n)",
              6),
          JOB(06) "has 101 attempts; expected 100 at the most" },
        { "succeeded after an error", SET("attempts = '[" ATTEMPT(1, error) "]'", 5),
          JOB(05) "has succeeded, but its last attempt is not there or has not" },
        { "succeeded without attempts", SET("attempts = NULL", 5),
          JOB(05) "has succeeded, but its last attempt is not there or has not" },
        { "succeeded with empty attempts", SET("attempts = '[]'", 5),
          JOB(05) "has succeeded, but its last attempt is not there or has not" },

        { "handler empty", SET("handler = ''", 3),
          JOB(03) "handler is ''; expected a name of 1 to 65535 bytes" },
        { "handler too long", SET("handler = printf('%.*c', 65536, 'h')", 3),
          JOB(03) "handler is 'hhhhhhhhhhhhhhhh" },
        { "pool empty", SET("pool = ''", 3),
          JOB(03) "pool is ''; expected a name of 1 to 64 bytes" },
        { "pool too long", SET("pool = printf('%.*c', 65, 'p')", 3), JOB(03) "pool is 'pppppppp" },
        { "key a number", SET("unique_key = CAST('k' AS BLOB)", 3),
          JOB(03) "unique_key is a blob; expected text or nothing" },
        { "reason a blob", SET("reason = x'00'", 3), JOB(03) "reason is a blob; expected text" },
        { "given too large", SET("given = 65728", 3), JOB(03) "given is 65728; expected 0 to" },
        { "given without key", SET("unique_key = NULL", 3),
          JOB(03) "bit 64 of given is set, and unique_key is not set; expected both or none" },
        { "tags not given", SET("given = 64", 3),
          JOB(03) "bit 128 of given is not set, and tags is '[\"a\", \"b\\u00e9\"]'; exp" },
        { "delay not given", SET("given = 0", 1),
          JOB(01) "bit 2 of given is not set, and delay_usec is 50; expected both or none" },
        { "uid negative", SET("uid = -1", 3), JOB(03) "uid is -1; expected 0 to 4294967295" },
        { "gid too large", SET("gid = 4294967296", 3), JOB(03) "gid is 4294967296; expected" },
        { "attempt negative", SET("attempt = -1", 3), JOB(03) "attempt is -1; expected 0 to" },
        { "budget too large", SET("budget = 4294967296", 3), JOB(03) "budget is 4294967296;" },
        { "max_attempts 0", SET("max_attempts = 0, given = given | 32", 3),
          JOB(03) "max_attempts is 0; expected 1 to 1000000, or nothing" },
        { "failures negative", SET("failures = -1", 3), JOB(03) "failures is -1; expected 0 to" },
        { "deaths text", SET("deaths = 'x'", 3), JOB(03) "deaths is 'x'; expected 0 to" },
        { "untouched negative", SET("untouched = -1", 3), JOB(03) "untouched is -1; expected 0" },
        { "submitted negative", SET("submitted_usec = -1", 3),
          JOB(03) "submitted_usec is -1; expected microseconds, not negative" },
        { "ready text", SET("ready_usec = 'soon'", 3), JOB(03) "ready_usec is 'soon'; expected" },
        { "age negative", SET("age_usec = -1", 3),
          JOB(03) "age_usec is -1; expected microseconds, not negative, or nothing" },
        { "run_at text", SET("run_at_usec = 'x', given = given | 1", 3),
          JOB(03) "run_at_usec is 'x'; expected" },
        { "delay negative", SET("delay_usec = -1, given = given | 2", 3),
          JOB(03) "delay_usec is -1; expected" },
        { "timeout negative", SET("timeout_usec = -1, given = given | 4", 3),
          JOB(03) "timeout_usec is -1; exp" },
        { "ttl negative", SET("ttl_usec = -1, given = given | 8", 3),
          JOB(03) "ttl_usec is -1; expected" },
        { "keep negative", SET("keep_usec = -1, given = given | 16", 3),
          JOB(03) "keep_usec is -1; expected" },
        { "started negative", SET("started_usec = -1", 4), JOB(04) "started_usec is -1; exp" },
        { "claimed negative", SET("claimed_usec = -1", 4), JOB(04) "claimed_usec is -1; exp" },
        { "ended negative", SET("ended_usec = -1", 5), JOB(05) "ended_usec is -1; expected" },
};

static void each_rule_that_a_row_breaks_is_told_of_with_its_job(void **state)
{
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const Case *c = &cases[i];
                int r;

                run_sql(f->writer, c->sql);
                if (sqlite3_changes(f->writer) != 1)
                        fail_msg("%s: changed %d rows", c->name, sqlite3_changes(f->writer));
                r = check(f);
                if (r != 1 || !strstr(f->faults[0], c->fault))
                        fail_msg("%s: %d faults\n%s\n%s\nexpected:\n%s", c->name, r,
                                 r < 0 ? f->error : f->faults[0], r > 1 ? f->faults[1] : "",
                                 c->fault);
                make_again(f);
        }
}

static void what_the_interface_allows_is_no_fault(void **state)
{
        static const char *const allowed[] = {
                SET("tags = '[]', after = '[]', semaphores = '[]', unique_key = '', given = 962",
                    1),
                /* of another user, of another handler */
                SET("uid = 1001, id = '" ID_OF_3 "', unique_key = 'k', given = 66", 1),
                SET("handler = 'other', unique_key = 'k', given = 66", 1),
                SET("priority = -1000, max_attempts = 1000000, run_at_usec = 9223372036854775807,"
                    " given = 35",
                    1),
                SET("state = 2", 2),                                /* a dependency, not blocked */
                SET("attempts = '[" ATTEMPT(3, supervisor_died) "]'", 6), /* the first ones went */
                SET("attempts = NULL", 6),
                SET("result = '{}'", 4), /* details of its last error */
                /* 2045 levels are what fits into a message; SQLite's own functions refuse them */
                SET("args = printf('{\"a\":%s%s}', replace(printf('%.*c', 2044, 'x'), 'x', '['),"
                    " replace(printf('%.*c', 2044, 'x'), 'x', ']'))",
                    4),
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTS(allowed); i++) {
                run_sql(f->writer, allowed[i]);
                CHECK(check(f) == 0, allowed[i]);
                make_again(f);
        }
}

static void no_more_faults_are_told_of_than_asked_for(void **state)
{
        Fixture *f = *state;

        run_sql(f->writer, "UPDATE job SET priority = 2000, given = -1");
        for (int most = 1; most <= MOST_FAULTS; most++) {
                f->n_faults = 0;
                assert_int_equal(store_check(f->path, most, on_fault, f, &f->figures, f->error,
                                             sizeof(f->error)),
                                 most);
                assert_int_equal(f->n_faults, most);
        }
}

static void a_row_that_breaks_two_rules_is_told_of_twice(void **state)
{
        Fixture *f = *state;

        run_sql(f->writer, SET("priority = 2000, pool = ''", 3));
        assert_int_equal(check(f), 2);
        assert_contains(f->faults[0], JOB(03) "pool is ''");
        assert_contains(f->faults[1], JOB(03) "priority is 2000");
}

static void what_a_fault_shows_is_short_and_printable(void **state)
{
        static const struct {
                const char *tags, *shown;
        } texts[] = {
                { "char(27, 10, 127, 155) || '[2J'", "tags is '?????[2J'; expected" },
                { "char(233, 8364, 128578)", "tags is 'é€🙂'; expected" },
                { "CAST(x'61ff62c3' AS TEXT)", "tags is 'a?b?'; expected" },
                { "printf('%.*c', 59, 'x')", "xxxx'; expected" },
                { "printf('%.*c', 60, 'x')", "xxxx…'; expected" },
                { "printf('%.*c', 58, 'x') || char(233)", "xxxx…'; expected" },
                { "printf('%.*c', 100000, 'x')", "xxxx…'; expected" },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTS(texts); i++) {
                char sql[256];

                (void)snprintf(sql, sizeof(sql), SET("tags = %s", 3), texts[i].tags);
                run_sql(f->writer, sql);
                assert_int_equal(check(f), 1);
                assert_contains(f->faults[0], texts[i].shown);
                assert_true(strlen(f->faults[0]) < 200);
        }
}

/* --- files --- */

static void a_changed_schema_is_a_fault(void **state)
{
        static const Case changes[] = {
                { "no view", "DROP VIEW jobs", "file: its view jobs is not as version 1" },
                { "no index", "DROP INDEX dependency_edge",
                  "file: its index dependency_edge is not as" },
                { "a column more", "ALTER TABLE large ADD COLUMN x", "file: its table large is" },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTS(changes); i++) {
                run_sql(f->writer, changes[i].sql);
                assert_int_equal(check(f), 1);
                assert_contains(f->faults[0], changes[i].fault);
                make_again(f);
        }
}

static void an_index_of_the_operator_is_no_fault(void **state)
{
        Fixture *f = *state;

        run_sql(f->writer, "CREATE INDEX by_end ON job (ended_usec); ANALYZE");
        assert_sound(f, f->path);
}

static void what_is_no_store_is_refused_with_the_reason(void **state)
{
        Fixture *f = *state;
        char path[160], log[168], sql[64];

        (void)snprintf(path, sizeof(path), "%s/none", f->directory);
        assert_int_equal(check_path(f, path), -1);
        assert_contains(f->error, "/none: No such file or directory");
        assert_int_equal(check_path(f, f->directory), -1);
        assert_contains(f->error, "is a directory; the store is brood.db in it");
        assert_int_equal(check_path(f, "/dev/null"), -1);
        assert_string_equal(f->error, "/dev/null: is not a file");
        write_bytes(path, SLICE(""));
        (void)snprintf(log, sizeof(log), "%s-wal", path);
        write_bytes(log, SLICE("all that is left"));
        assert_int_equal(check_path(f, path), -1);
        assert_contains(f->error, "is empty, not a store of brood");
        assert_int_equal(unlink(log), 0);
        write_bytes(path, SLICE("It was a dark and stormy night, and this is no database."));
        assert_int_equal(check_path(f, path), -1);
        assert_contains(f->error, "not a database");
        run_sql(f->writer, "PRAGMA user_version=0");
        assert_int_equal(check(f), -1);
        assert_contains(f->error, "is not a store of brood");
        (void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d; PRAGMA application_id=7",
                       STORE_SCHEMA_VERSION);
        run_sql(f->writer, sql);
        assert_int_equal(check(f), -1);
        assert_contains(f->error, "is not a store of brood");
        assert_int_equal(backup(f), -1);
        assert_contains(f->error, "is not a store of brood");
        assert_int_equal(count_files(f, "copy"), 0);
}

static void a_newer_schema_is_refused_with_both_versions(void **state)
{
        Fixture *f = *state;
        char text[64];

        (void)snprintf(text, sizeof(text), "PRAGMA user_version=%d", STORE_SCHEMA_VERSION + 1);
        run_sql(f->writer, text);
        assert_int_equal(check(f), -1);
        (void)snprintf(text, sizeof(text), "version %d of the schema; this program knows %d",
                       STORE_SCHEMA_VERSION + 1, STORE_SCHEMA_VERSION);
        assert_contains(f->error, text);
}

static void a_file_that_was_cut_is_a_fault(void **state)
{
        Fixture *f = *state;
        struct stat st;

        close_writer(f);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(truncate(f->path, st.st_size / 2 / 4096 * 4096), 0);
        assert_int_equal(check(f), 1);
        assert_contains(f->faults[0], "file: database disk image is malformed");
}

static void each_page_that_is_garbled_is_a_fault(void **state)
{
        Fixture *f = *state;
        AUTO(buffer_fini) Buffer sound = BUFFER_INIT;

        run_sql(f->writer, "WITH RECURSIVE n(i) AS (SELECT 12 UNION ALL SELECT i + 1 FROM n WHERE"
                           " i < 200) INSERT INTO job (id, uid, gid, handler, pool, state, given,"
                           " priority, attempt, budget, submitted_usec, ready_usec) SELECT"
                           " format('" ID_OF_1 "%03d', i), 1, 1, 'a', 'a', 2, 0, 0, 0, 1, 1, 1"
                           " FROM n; UPDATE job SET id = replace(id, '-8000-000', '-8000-')"
                           " WHERE length(id) > 36");
        close_writer(f);
        assert_sound(f, f->path);
        read_bytes(f->path, &sound);
        for (size_t page = 0; page < buffer_len(&sound) / 4096; page++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                int r;

                buffer_append_slice(&b, buffer_slice(&sound));
                memset(b.data + page * 4096, 0x5a, 4096);
                write_bytes(f->path, buffer_slice(&b));
                r = check(f);
                assert_true(page == 0 ? r == -1 : r > 0);
        }
}

/* Nothing is claimed of what is found, but that it ends well. */
static void bytes_that_were_flipped_do_no_harm(void **state)
{
        Fixture *f = *state;
        AUTO(buffer_fini) Buffer sound = BUFFER_INIT;
        uint32_t random = 1;

        close_writer(f);
        read_bytes(f->path, &sound);
        for (int i = 0; i < 300; i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;

                buffer_append_slice(&b, buffer_slice(&sound));
                for (int k = 0; k < 4; k++) {
                        random = random * 1664525 + 1013904223;
                        b.data[random % buffer_len(&b)] ^= (char)(1 << (random >> 29));
                }
                write_bytes(f->path, buffer_slice(&b));
                (void)check(f);
                (void)backup(f);
                (void)unlink(f->to); /* there was something to copy, or not */
                assert_int_equal(count_files(f, ".part"), 0);
        }
}

/* --- beside a daemon, and without one --- */

static void a_store_is_read_beside_an_open_transaction(void **state)
{
        Fixture *f = *state;

        run_sql(f->writer, "BEGIN IMMEDIATE; UPDATE job SET priority = 5000");
        assert_sound(f, f->path);
        run_sql(f->writer, "COMMIT");
        assert_int_equal(check(f), MOST_FAULTS);
}

static void nothing_is_left_beside_a_store_that_nobody_uses(void **state)
{
        Fixture *f = *state;

        close_writer(f);
        assert_int_equal(count_files(f, ""), 1);
        assert_sound(f, f->path);
        assert_int_equal(count_files(f, ""), 1);
        assert_int_equal(backup(f), 0);
        assert_int_equal(count_files(f, ""), 2);
}

/* What a daemon leaves that is killed: the file as it was when it started, and its log. */
static void kill_writer(Fixture *f, bool shm)
{
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        char saved[160], path[160];

        for (size_t i = 0; i < 2u + shm; i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;

                (void)snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
                (void)snprintf(saved, sizeof(saved), "%s/saved%s", f->directory, suffixes[i]);
                read_bytes(path, &b);
                write_bytes(saved, buffer_slice(&b));
        }
        close_writer(f);
        for (size_t i = 0; i < 2u + shm; i++) {
                (void)snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
                (void)snprintf(saved, sizeof(saved), "%s/saved%s", f->directory, suffixes[i]);
                assert_int_equal(rename(saved, path), 0);
        }
}

static void the_log_of_a_killed_daemon_is_read_and_stays_as_it_is(void **state)
{
        Fixture *f = *state;

        for (int shm = 0; shm < 2; shm++) {
                AUTO(buffer_fini) Buffer before = BUFFER_INIT;
                AUTO(buffer_fini) Buffer after = BUFFER_INIT;
                char log[160];

                run_sql(f->writer, "INSERT INTO large VALUES (2, '{}')");
                kill_writer(f, shm);
                (void)snprintf(log, sizeof(log), "%s-wal", f->path);
                read_bytes(f->path, &before);
                read_bytes(log, &before);
                assert_int_equal(check(f), 1); /* the row that only the log has */
                assert_int_equal(backup(f), 0);
                read_bytes(f->path, &after);
                read_bytes(log, &after);
                assert_true(slice_equal(buffer_slice(&before), buffer_slice(&after)));
                assert_int_equal(count_files(f, ""), 3 + shm);
                assert_int_equal(check_path(f, f->to), 1);
                assert_int_equal(unlink(f->to), 0);
                open_writer(f); /* takes the log */
                run_sql(f->writer, "DELETE FROM large WHERE key = 2");
        }
}

static void a_daemon_that_starts_meanwhile_is_noticed(void **state)
{
        Fixture *f = *state;

        run_sql(f->writer, SET("priority = 5000", 1));
        close_writer(f);
        f->wake = true;
        assert_int_equal(check(f), -1);
        assert_contains(f->error, "somebody began to use it meanwhile; try again");
        assert_int_equal(check(f), 1);
}

/* Runs it in a process of its own. Returns its status, or 99 if it was killed. */
static int in_child(Fixture *f, int (*run)(Fixture *f))
{
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(run(f));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static int read_as_nobody(Fixture *f)
{
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
                return 2;
        (void)snprintf(f->to, sizeof(f->to), "%s/out/copy.db", f->directory);
        if (check(f) != 1 || backup(f) < 0 || check_path(f, f->to) != 1) {
                fprintf(stderr, "%s%s\n", f->error, f->n_faults ? f->faults[0] : "");
                return 1;
        }
        return 0;
}

static void a_store_in_a_directory_that_may_not_be_written_is_read(void **state)
{
        Fixture *f = *state;
        char out[160];

        (void)snprintf(out, sizeof(out), "%s/out", f->directory);
        for (int log = 0; log < 3; log++) { /* no log, one, one and its index */
                run_sql(f->writer, SET("priority = 5000", 1));
                if (log)
                        kill_writer(f, log == 2);
                else
                        close_writer(f);
                assert_int_equal(mkdir(out, 0777), 0);
                assert_int_equal(chmod(out, 0777), 0);
                assert_int_equal(chmod(f->directory, 0555), 0);
                assert_int_equal(in_child(f, read_as_nobody), 0);
                assert_int_equal(chmod(f->directory, 0700), 0);
                assert_int_equal(nftw(out, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
                open_writer(f);
        }
}

/* --- backup --- */

static Slice column(sqlite3_stmt *s, int i)
{
        const char *bytes = sqlite3_column_blob(s, i);

        return (Slice){ bytes, (size_t)sqlite3_column_bytes(s, i) };
}

/* Both databases give the same rows. Returns how many. */
static int compare_rows(sqlite3 *one, sqlite3 *other, const char *sql)
{
        sqlite3_stmt *a, *b;
        int n = 0;

        assert_int_equal(sqlite3_prepare_v2(one, sql, -1, &a, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(other, sql, -1, &b, NULL), SQLITE_OK);
        for (; sqlite3_step(a) == SQLITE_ROW; n++) {
                assert_int_equal(sqlite3_step(b), SQLITE_ROW);
                assert_int_equal(sqlite3_column_count(a), sqlite3_column_count(b));
                for (int i = 0; i < sqlite3_column_count(a); i++) {
                        assert_int_equal(sqlite3_column_type(a, i), sqlite3_column_type(b, i));
                        assert_true(slice_equal(column(a, i), column(b, i)));
                }
        }
        assert_int_equal(sqlite3_step(b), SQLITE_DONE);
        assert_int_equal(sqlite3_finalize(a) | sqlite3_finalize(b), SQLITE_OK);
        return n;
}

static void a_backup_is_what_was_committed_when_it_began(void **state)
{
        Fixture *f = *state;
        sqlite3 *copy, *reader;

        run_sql(f->writer, "BEGIN IMMEDIATE; DELETE FROM large; UPDATE job SET priority = 7;"
                           "INSERT INTO dependency VALUES (1, 'x')");
        assert_int_equal(backup(f), 0);
        assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
        assert_int_equal(sqlite3_open_v2(f->to, &copy, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
        assert_int_equal(compare_rows(reader, copy, "SELECT * FROM job ORDER BY seq"), 10);
        assert_int_equal(compare_rows(reader, copy, "SELECT * FROM large ORDER BY key"), 2);
        assert_int_equal(compare_rows(reader, copy, "SELECT * FROM dependency"), 1);
        assert_int_equal(compare_rows(reader, copy, "SELECT * FROM sqlite_schema"), 5);
        assert_int_equal(compare_rows(reader, copy, "PRAGMA application_id"), 1);
        assert_int_equal(compare_rows(reader, copy, "PRAGMA user_version"), 1);
        assert_int_equal(sqlite3_close(copy) | sqlite3_close(reader), SQLITE_OK);
        run_sql(f->writer, "ROLLBACK");
        assert_sound(f, f->to);
}

static void a_backup_is_one_file_that_only_its_owner_may_read(void **state)
{
        Fixture *f = *state;
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        struct stat st;

        assert_int_equal(backup(f), 0);
        assert_int_equal(count_files(f, "copy"), 1);
        assert_int_equal(stat(f->to, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        read_bytes(f->to, &b);
        assert_int_equal(buffer_bytes(&b)[18], 1); /* not in WAL mode: sqlite.org/fileformat.html */
        assert_int_equal(buffer_bytes(&b)[19], 1);
        assert_sound(f, f->to);
        assert_int_equal(count_files(f, "copy"), 1);
}

static void a_backup_replaces_nothing(void **state)
{
        Fixture *f = *state;
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;

        write_bytes(f->to, SLICE("mine"));
        assert_int_equal(backup(f), -1);
        assert_contains(f->error, "/copy.db: File exists");
        read_bytes(f->to, &b);
        assert_text(&b, "mine");
        assert_int_equal(unlink(f->to), 0);
        assert_int_equal(symlink("nowhere", f->to), 0);
        assert_int_equal(backup(f), -1);
        assert_contains(f->error, "/copy.db: File exists");
        assert_int_equal(count_files(f, "nowhere"), 0);
        assert_int_equal(count_files(f, "copy"), 1);
}

static void a_backup_to_nowhere_says_so(void **state)
{
        Fixture *f = *state;

        (void)snprintf(f->to, sizeof(f->to), "%s/none/copy.db", f->directory);
        assert_int_equal(backup(f), -1);
        assert_contains(f->error, "/none/copy.db: No such file or directory");
        f->to[0] = '\0';
        assert_int_equal(backup(f), -1);
        assert_int_equal(count_files(f, "part"), 0);
}

static int backup_here(Fixture *f)
{
        static const char *const names[] = { "file:x?mode=memory", ":memory:", "a b%20#.db" };

        if (chdir(f->directory) < 0)
                return 2;
        for (size_t i = 0; i < ELEMENTS(names); i++) {
                (void)snprintf(f->to, sizeof(f->to), "%s", names[i]);
                if (backup(f) < 0 || access(names[i], F_OK) < 0 || check_path(f, names[i]) != 0)
                        return 1;
        }
        return 0;
}

static void a_path_is_a_path_whatever_its_name(void **state)
{
        Fixture *f = *state;

        close_writer(f); /* a child must not use a parent's connection */
        assert_int_equal(in_child(f, backup_here), 0);
        assert_int_equal(count_files(f, ""), 4);
}

/* In a mount namespace of its own: what it mounts goes with it. 77: it may not mount. */
static int backup_to_full_disk(Fixture *f)
{
        (void)strncat(f->directory, "/small", sizeof(f->directory) - strlen(f->directory) - 1);
        (void)snprintf(f->to, sizeof(f->to), "%s/copy.db", f->directory);
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", f->directory, "tmpfs", 0, "size=16k") < 0)
                return 77;
        if (backup(f) != -1 || !strstr(f->error, "/small/copy.db: No space left on device"))
                return 1;
        return count_files(f, "") ? 2 : 0;
}

static void a_full_disk_is_told_of_and_nothing_is_left(void **state)
{
        Fixture *f = *state;
        char place[128];
        int r;

        close_writer(f); /* a child must not use a parent's connection */
        (void)snprintf(place, sizeof(place), "%s/small", f->directory);
        assert_int_equal(mkdir(place, 0700), 0);
        r = in_child(f, backup_to_full_disk);
        if (r == 77)
                skip();
        assert_int_equal(r, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(a_store_with_a_job_of_each_state_is_sound),
                TEST(each_rule_that_a_row_breaks_is_told_of_with_its_job),
                TEST(what_the_interface_allows_is_no_fault),
                TEST(no_more_faults_are_told_of_than_asked_for),
                TEST(a_row_that_breaks_two_rules_is_told_of_twice),
                TEST(what_a_fault_shows_is_short_and_printable),
                TEST(a_changed_schema_is_a_fault),
                TEST(an_index_of_the_operator_is_no_fault),
                TEST(what_is_no_store_is_refused_with_the_reason),
                TEST(a_newer_schema_is_refused_with_both_versions),
                TEST(a_file_that_was_cut_is_a_fault),
                TEST(each_page_that_is_garbled_is_a_fault),
                TEST(bytes_that_were_flipped_do_no_harm),
                TEST(a_store_is_read_beside_an_open_transaction),
                TEST(nothing_is_left_beside_a_store_that_nobody_uses),
                TEST(the_log_of_a_killed_daemon_is_read_and_stays_as_it_is),
                TEST(a_daemon_that_starts_meanwhile_is_noticed),
                TEST(a_store_in_a_directory_that_may_not_be_written_is_read),
                TEST(a_backup_is_what_was_committed_when_it_began),
                TEST(a_backup_is_one_file_that_only_its_owner_may_read),
                TEST(a_backup_replaces_nothing),
                TEST(a_backup_to_nowhere_says_so),
                TEST(a_path_is_a_path_whatever_its_name),
                TEST(a_full_disk_is_told_of_and_nothing_is_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
