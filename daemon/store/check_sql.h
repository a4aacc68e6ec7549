/* SPDX-License-Identifier: MIT */
#pragma once

/* SQL functions for what SQL itself can not see in a row:
 *
 *     shown(value)       as it may stand in a message: short, printable, never NULL
 *     is_uuid(text)      1: the usual form, in lower case
 *     is_object(text)    1: JSON text of an object
 *     n_strings(text)    how many strings there are in a JSON array of strings; NULL: it is none
 *     names(text, id)    1: the array of strings contains this id, however that is spelled
 *     attempts_fault(attempts, attempt, state)
 *                        what is wrong with the ended attempts of a job; NULL: nothing
 *
 * JSON is read by the scanner that let it in, not by SQLite, whose idea of it differs (it allows
 * 2000 levels, we 2048). */

#include <sqlite3.h>

#include "varlink/scan.h"

typedef struct CheckSql {
        VarlinkInterface *interface;
        VarlinkType strings, attempts; /* []string, []Attempt */
        VarlinkScan scan;
} CheckSql;

/* Adds the functions to `db`, which must not outlive the CheckSql. Returns 0 or -ENOMEM. */
int check_sql_init(CheckSql *c, sqlite3 *db);
void check_sql_fini(CheckSql *c);
