/* SPDX-License-Identifier: MIT */

#include "store/check_sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/macros.h"
#include "base/utf8.h"
#include "base/uuid.h"
#include "core/job.h"
#include "io.brood.h"

enum { SHOWN = 60 };

static CheckSql *get(sqlite3_context *context)
{
        return sqlite3_user_data(context);
}

static bool is_text(sqlite3_value *v)
{
        return sqlite3_value_type(v) == SQLITE_TEXT;
}

static Slice text_of(sqlite3_value *v)
{
        const char *text = (const char *)sqlite3_value_text(v);

        return (Slice){ text, (size_t)sqlite3_value_bytes(v) };
}

/* --- shown --- */

/* The length of the character at p, which is below end; 0: it may not be printed. */
static size_t printable(const unsigned char *p, const unsigned char *end)
{
        if (*p < 0x80)
                return *p >= ' ' && *p != 0x7f;
        if (*p == 0xc2 && p + 1 < end && p[1] < 0xa0)
                return 0; /* control characters too */
        return (size_t)utf8_length(p, end);
}

static void show_text(sqlite3_context *context, Slice text)
{
        const unsigned char *p = (const unsigned char *)text.data, *end = p + text.len;
        char to[SHOWN + sizeof("'…'")];
        size_t at = 0;

        to[at++] = '\'';
        while (p < end && at < SHOWN) {
                size_t n = printable(p, end);

                if (at + n > SHOWN)
                        break;
                memcpy(to + at, n ? (const char *)p : "?", MAX(n, 1u));
                at += MAX(n, 1u);
                p += MAX(n, 1u);
        }
        (void)snprintf(to + at, sizeof(to) - at, "%s", p < end ? "…'" : "'");
        sqlite3_result_text(context, to, -1, SQLITE_TRANSIENT);
}

static void sql_shown(sqlite3_context *context, int n UNUSED, sqlite3_value **v)
{
        switch (sqlite3_value_type(v[0])) {
        case SQLITE_NULL:
                sqlite3_result_text(context, "not set", -1, SQLITE_STATIC);
                break;
        case SQLITE_BLOB:
                sqlite3_result_text(context, "a blob", -1, SQLITE_STATIC);
                break;
        case SQLITE_TEXT:
                show_text(context, text_of(v[0]));
                break;
        default:
                sqlite3_result_value(context, v[0]);
        }
}

/* --- ids and JSON --- */

static bool is_lower_uuid(Slice text)
{
        Uuid u;

        return uuid_parse(text, &u) && slice_is(text, uuid_text(&u).text);
}

static void sql_is_uuid(sqlite3_context *context, int n UNUSED, sqlite3_value **v)
{
        sqlite3_result_int(context, is_text(v[0]) && is_lower_uuid(text_of(v[0])));
}

static void sql_is_object(sqlite3_context *context, int n UNUSED, sqlite3_value **v)
{
        int r = is_text(v[0]) ? varlink_scan_object(&get(context)->scan, text_of(v[0])) : -EINVAL;

        if (r == -ENOMEM)
                sqlite3_result_error_nomem(context);
        else
                sqlite3_result_int(context, r == 0);
}

/* The node of an array of this type; NULL: it is none, or memory ran out, which SQLite is told. */
static const VarlinkNode *scan_array(sqlite3_context *context, sqlite3_value *v,
                                     const VarlinkType *type)
{
        VarlinkScan *scan = &get(context)->scan;
        uint32_t node;
        int r = is_text(v) ? varlink_scan(scan, text_of(v), type, &node) : VARLINK_E_SYNTAX;

        if (r == -ENOMEM)
                sqlite3_result_error_nomem(context);
        return r ? NULL : varlink_node(scan, node);
}

/* The element after `at` (NULL: the first); NULL: there is none. */
static const VarlinkNode *next_element(const VarlinkScan *scan, const VarlinkNode *array,
                                       const VarlinkNode *at)
{
        uint32_t next = at ? at->next : array->child;

        return next ? varlink_node(scan, next) : NULL;
}

static int count(const VarlinkScan *scan, const VarlinkNode *array)
{
        const VarlinkNode *e = NULL;
        int n = 0;

        while ((e = next_element(scan, array, e)))
                n++;
        return n;
}

static void sql_n_strings(sqlite3_context *context, int n UNUSED, sqlite3_value **v)
{
        const VarlinkNode *list = scan_array(context, v[0], &get(context)->strings);

        if (list)
                sqlite3_result_int(context, count(&get(context)->scan, list));
}

static void sql_names(sqlite3_context *context, int n UNUSED, sqlite3_value **v)
{
        const VarlinkScan *scan = &get(context)->scan;
        const VarlinkNode *list = scan_array(context, v[0], &get(context)->strings), *e = NULL;
        bool found = false;
        Uuid u;

        if (!list)
                return;
        while (is_text(v[1]) && !found && (e = next_element(scan, list, e)))
                found = uuid_parse(varlink_slice(scan, e), &u) &&
                        slice_equal(text_of(v[1]), slice_of(uuid_text(&u).text));
        sqlite3_result_int(context, found);
}

/* --- attempts --- */

static void PRINTF(2, 3) complain(sqlite3_context *context, const char *format, ...)
{
        char text[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

/* One ended attempt. False: something was wrong with it, and has been told. */
static bool check_attempt(sqlite3_context *context, const VarlinkNode *attempt, int64_t before,
                          int64_t most, int64_t *ret)
{
        const VarlinkScan *scan = &get(context)->scan;
        int64_t number = varlink_int(scan, varlink_field(scan, attempt, IO_BROOD_ATTEMPT_NUMBER));

        *ret = number;
        if (number <= before)
                complain(context,
                         "attempts have number %lld after %lld; expected them to grow from 1",
                         (long long)number, (long long)before);
        else if (number > most)
                complain(context, "attempts have number %lld; expected %lld at the most",
                         (long long)number, (long long)most);
        else if (!varlink_field(scan, attempt, IO_BROOD_ATTEMPT_OUTCOME)->present)
                complain(context, "attempt %lld has no outcome; expected one, as it has ended",
                         (long long)number);
        else
                return true;
        return false;
}

/* A job that succeeded did so in the last one. */
static void check_success(sqlite3_context *context, const VarlinkNode *last)
{
        const VarlinkScan *scan = &get(context)->scan;

        if (!last || varlink_field(scan, last, IO_BROOD_ATTEMPT_OUTCOME)->child !=
                             IO_BROOD_ATTEMPT_OUTCOME_SUCCEEDED)
                complain(context, "has succeeded, but its last attempt is not there or has not; "
                                  "expected one with outcome succeeded");
}

static void check_attempts(sqlite3_context *context, const VarlinkNode *list, int64_t most,
                           bool succeeded)
{
        const VarlinkScan *scan = &get(context)->scan;
        const VarlinkNode *last = NULL, *e;
        int64_t number = 0;
        int n = count(scan, list);

        if (n > JOB_KEEP_ATTEMPTS) {
                complain(context, "has %d attempts; expected %d at the most", n,
                         (int)JOB_KEEP_ATTEMPTS);
                return;
        }
        for (; (e = next_element(scan, list, last)); last = e)
                if (!check_attempt(context, e, number, most, &number))
                        return;
        if (succeeded)
                check_success(context, last);
}

static void sql_attempts_fault(sqlite3_context *context, int n UNUSED, sqlite3_value **v)
{
        int64_t state = sqlite3_value_int64(v[2]);
        int64_t most = sqlite3_value_int64(v[1]) - (state == JOB_RUNNING); /* that one still runs */
        const VarlinkNode *list;
        CheckSql *c = get(context);

        if (sqlite3_value_type(v[0]) == SQLITE_NULL) {
                if (state == JOB_SUCCEEDED)
                        check_success(context, NULL);
                return;
        }
        c->scan.fault[0] = '\0';
        list = scan_array(context, v[0], &c->attempts);
        if (list)
                check_attempts(context, list, most, state == JOB_SUCCEEDED);
        else
                complain(context,
                         "attempts are no JSON array of attempts as the interface has them%s%s",
                         c->scan.fault[0] ? ", see their " : "", c->scan.fault);
}

/* --- */

static int add_functions(CheckSql *c, sqlite3 *db)
{
        const struct {
                const char *name;
                int n;
                void (*call)(sqlite3_context *, int, sqlite3_value **);
        } functions[] = {
                { "shown", 1, sql_shown },
                { "is_uuid", 1, sql_is_uuid },
                { "is_object", 1, sql_is_object },
                { "n_strings", 1, sql_n_strings },
                { "names", 2, sql_names },
                { "attempts_fault", 3, sql_attempts_fault },
        };

        for (size_t i = 0; i < ELEMENTS(functions); i++)
                if (sqlite3_create_function(db, functions[i].name, functions[i].n,
                                            SQLITE_UTF8 | SQLITE_DETERMINISTIC, c,
                                            functions[i].call, NULL, NULL) != SQLITE_OK)
                        return -ENOMEM;
        return 0;
}

int check_sql_init(CheckSql *c, sqlite3 *db)
{
        static const VarlinkType string = { .kind = VARLINK_STRING };
        const VarlinkMember *attempt;
        char error[128];
        int r;

        *c = (CheckSql){ .strings = { .kind = VARLINK_ARRAY, .element = { &string, false } } };
        r = varlink_interface_new(&c->interface, SLICE(IO_BROOD_TEXT), error, sizeof(error));
        if (r < 0)
                return r;
        attempt = varlink_find(c->interface->types, c->interface->n_types, SLICE("Attempt"));
        ASSERT(attempt);
        c->attempts = (VarlinkType){ .kind = VARLINK_ARRAY, .element = { attempt->in, false } };
        return add_functions(c, db);
}

void check_sql_fini(CheckSql *c)
{
        varlink_scan_fini(&c->scan);
        varlink_interface_free(c->interface);
}
