/* SPDX-License-Identifier: MIT */
#pragma once

/* What is in the database; every write goes by this. An operator reads it with sqlite3, best
 * through the view `jobs`.
 *
 *     job         one row per durable job, from its admission until it is forgotten
 *     large       arguments (key 2·seq) and results (key 2·seq + 1) that are too large for the row
 *     dependency  waiting (seq) may not begin before blocker (id, of the same user) has succeeded;
 *                 the row goes when it has
 *
 * job.state is that of the last write: time moves a job from scheduled to queued without one.
 * Column `given` holds the JOB_HAS_… bits of the spec, `attempts` the ended attempts as the
 * interface spells them. Times are microseconds since the epoch. */

/* Beside the JOB_HAS_… bits in `given`: its end was asked for; a new budget has no ttl. */
enum { STORE_CANCEL_ASKED = 0x4000, STORE_NO_TTL = 0x8000 };

enum { STORE_SCHEMA_VERSION = 1, STORE_APPLICATION_ID = 0x62726f64 /* "brod" */ };

#define STORE_FILE "brood.db"

/* From an empty database to version 1. A later version appends its own step; none is ever
 * changed. */
#define STORE_SCHEMA_1                                                                             \
        "CREATE TABLE job ("                                                                       \
        " seq INTEGER PRIMARY KEY,"           /* order of admission */                             \
        " id TEXT NOT NULL,"                                                                       \
        " uid INTEGER NOT NULL,"                                                                   \
        " gid INTEGER NOT NULL,"                                                                   \
        " handler TEXT NOT NULL,"                                                                  \
        " pool TEXT NOT NULL,"                                                                     \
        " state INTEGER NOT NULL,"            /* 0 scheduled … 8 expired, as in the interface */   \
        " given INTEGER NOT NULL,"                                                                 \
        " priority INTEGER NOT NULL,"                                                              \
        " attempt INTEGER NOT NULL,"          /* number of the last one claimed */                 \
        " budget INTEGER NOT NULL,"           /* number of the last one allowed */                 \
        " submitted_usec INTEGER NOT NULL,"                                                        \
        " age_usec INTEGER,"                  /* when it was first ready; NULL: not yet */         \
        " ready_usec INTEGER NOT NULL,"       /* not to begin before */                            \
        " args TEXT,"                         /* NULL: none, or in `large` */                      \
        " large INTEGER NOT NULL DEFAULT 0,"  /* 1: its arguments, 2: its result are there */      \
        " max_attempts INTEGER,"                                                                   \
        " run_at_usec INTEGER, delay_usec INTEGER, timeout_usec INTEGER, ttl_usec INTEGER,"        \
        " keep_usec INTEGER,"                                                                      \
        " unique_key TEXT, tags TEXT, semaphores TEXT, after TEXT,"                                \
        " started_usec INTEGER,"              /* of its first attempt */                           \
        " claimed_usec INTEGER,"              /* of its last attempt */                            \
        " ended_usec INTEGER,"                                                                     \
        " failures INTEGER, deaths INTEGER, untouched INTEGER,"                                    \
        " reason TEXT,"                                                                            \
        " result TEXT,"                       /* NULL: none, or in `large` */                      \
        " attempts TEXT);"                                                                         \
        "CREATE TABLE large (key INTEGER PRIMARY KEY, data TEXT NOT NULL);"                        \
        "CREATE TABLE dependency (waiting INTEGER NOT NULL, blocker TEXT NOT NULL);"               \
        "CREATE UNIQUE INDEX dependency_edge ON dependency (waiting, blocker);"                    \
        "CREATE VIEW jobs AS SELECT id, handler, pool,"                                            \
        " CASE state WHEN 0 THEN 'scheduled' WHEN 1 THEN 'blocked' WHEN 2 THEN 'queued'"           \
        " WHEN 3 THEN 'running' WHEN 4 THEN 'succeeded' WHEN 5 THEN 'failed'"                      \
        " WHEN 6 THEN 'quarantined' WHEN 7 THEN 'cancelled' WHEN 8 THEN 'expired' END AS state,"   \
        " priority, attempt, budget, uid,"                                                         \
        " datetime(submitted_usec / 1000000, 'unixepoch') AS submitted,"                           \
        " datetime(ended_usec / 1000000, 'unixepoch') AS ended,"                                   \
        " reason,"                                                                                 \
        " CASE WHEN large & 1 THEN (SELECT data FROM large WHERE key = 2 * seq) ELSE args END"     \
        " AS args,"                                                                                \
        " CASE WHEN large & 2 THEN (SELECT data FROM large WHERE key = 2 * seq + 1)"               \
        " ELSE result END AS result,"                                                              \
        " tags, attempts FROM job;"
