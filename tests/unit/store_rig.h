/* SPDX-License-Identifier: MIT */
#pragma once

/* A core with a real store in a directory of its own, and a loop; what the store has is looked at
 * through a connection of the test's. */

#include <dirent.h>
#include <event2/event.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/schema.h"
#include "store/store.h"

#include "core_rig.h"

enum { WORLD_PATIENCE = 30 }; /* seconds, for what takes milliseconds */

typedef struct World {
        Rig *r;
        Store *store;
        struct event_base *base;
        struct event *guard;
        char directory[64], path[96];
        char error[512];
        unsigned woken;
} World;

static inline void world_wake(void *context)
{
        ((World *)context)->woken++;
}

static inline void world_give_up(evutil_socket_t fd UNUSED, short what UNUSED, void *context UNUSED)
{
        fail_msg("nothing has happened for %d seconds", WORLD_PATIENCE);
}

/* Opens the store; 0 or -errno with w->error. */
static inline int world_try_open(World *w)
{
        const StoreHooks hooks = { .wake = world_wake, .context = w };

        return store_open(&w->store, w->directory, &w->r->core, w->base, &hooks, w->error,
                          sizeof(w->error));
}

static inline void world_open(World *w)
{
        if (world_try_open(w) < 0)
                fail_msg("%s", w->error);
        core_resume(&w->r->core, w->r->now);
        rig_sound(w->r);
}

static inline World *world_new(CoreLimits limits)
{
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        (void)snprintf(w->directory, sizeof(w->directory), "/tmp/brood-unit-XXXXXX");
        assert_non_null(mkdtemp(w->directory));
        (void)snprintf(w->path, sizeof(w->path), "%s/%s", w->directory, STORE_FILE);
        w->base = event_base_new();
        assert_non_null(w->base);
        w->guard = evtimer_new(w->base, world_give_up, w);
        w->r = rig_new(limits);
        return w;
}

static inline void world_close(World *w)
{
        store_close(MOVE_PTR(w->store));
}

static inline void world_empty_directory(const World *w)
{
        DIR *d = opendir(w->directory);
        struct dirent *e;
        char path[400];

        while (d && (e = readdir(d))) {
                (void)snprintf(path, sizeof(path), "%s/%s", w->directory, e->d_name);
                (void)unlink(path); /* . and .. stay */
        }
        (void)closedir(d);
}

static inline void world_free(World *w)
{
        world_close(w); /* in the order of the daemon: the thread reads jobs */
        rig_free(w->r);
        event_free(w->guard);
        event_base_free(w->base);
        world_empty_directory(w);
        assert_int_equal(rmdir(w->directory), 0);
        free(w);
}

DEFINE_CLEANUP(World, world_free);

/* One turn of the loop: something has to happen in it. */
static inline void world_turn(World *w)
{
        const struct timeval patience = { WORLD_PATIENCE, 0 };

        (void)evtimer_add(w->guard, &patience);
        assert_int_equal(event_base_loop(w->base, EVLOOP_ONCE), 0);
        (void)evtimer_del(w->guard);
}

static inline bool world_work(World *w)
{
        bool any = store_work(w->store, w->r->now);

        rig_sound(w->r);
        rig_listen(w->r);
        return any;
}

/* Until the store has nothing to do. */
static inline void world_rest(World *w)
{
        const Core *core = &w->r->core;

        for (;;) {
                while (world_work(w))
                        ;
                w->r->n_notes = 0;
                if (store_is_idle(w->store) && list_empty(&core->removals) &&
                    list_empty(&core->marks) && list_empty(&core->instant))
                        return;
                world_turn(w);
        }
}

/* A new daemon, with what the store has. */
static inline void world_restart(World *w)
{
        CoreLimits limits = w->r->core.limits;

        world_close(w);
        core_fini(&w->r->core);
        rig_init(w->r, &limits);
        world_open(w);
}

static inline Job *world_submit(World *w, const JobSpec *spec)
{
        Job *job = rig_submit(w->r, spec);

        world_rest(w);
        assert_true(job->listed);
        return job;
}

static inline Job *world_job(World *w)
{
        JobSpec spec = rig_spec(w->r);

        return world_submit(w, &spec);
}

static inline void world_claim(World *w, Job *job)
{
        assert_ptr_equal(core_claim(&w->r->core, job->pool, RIG_ROOM, w->r->now), job);
        world_rest(w);
        assert_ptr_equal(job->slot, w->r);
}

static inline void world_run(World *w, Job *job)
{
        world_claim(w, job);
        rig_begin(w->r, job);
}

static inline void world_settle(World *w, Job *job, AttemptEnd *end)
{
        assert_int_equal(core_settle(&w->r->core, job, job->attempt, end, w->r->now, 0), 0);
        rig_sound(w->r);
}

static inline void world_end(World *w, Job *job, Outcome outcome)
{
        AttemptEnd end = { .outcome = outcome, .may_retry = true };

        world_settle(w, job, &end);
        world_rest(w);
}

static inline void world_wait(World *w, usec_t usec)
{
        w->r->now += usec;
        core_tick(&w->r->core, w->r->now);
        world_rest(w);
}

/* The job of this number, after a restart. */
static inline Job *world_find(World *w, uint64_t number)
{
        Uuid id = uuid_of(number);

        return core_find(&w->r->core, &id, 1000, false);
}

/* --- beside the store --- */

static inline sqlite3 *world_connect(const World *w)
{
        sqlite3 *db;

        assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
        (void)sqlite3_busy_timeout(db, 10000);
        assert_int_equal(sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL),
                         SQLITE_OK);
        return db;
}

static inline void world_sql(const World *w, const char *sql)
{
        sqlite3 *db = world_connect(w);
        char *error = NULL;

        if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
                fail_msg("%s: %s", sql, error);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline int64_t world_number(const World *w, const char *sql)
{
        sqlite3 *db = world_connect(w);
        sqlite3_stmt *s;
        int64_t n;

        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        n = sqlite3_column_int64(s, 0);
        (void)sqlite3_finalize(s);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        return n;
}

/* From now on no write succeeds, as on a disk that is full; and again. */
static inline void world_break(const World *w)
{
        world_sql(w, "CREATE TRIGGER no_1 BEFORE INSERT ON job BEGIN"
                     " SELECT RAISE(ABORT, 'out of order'); END;"
                     "CREATE TRIGGER no_2 BEFORE UPDATE ON job BEGIN"
                     " SELECT RAISE(ABORT, 'out of order'); END;"
                     "CREATE TRIGGER no_3 BEFORE DELETE ON job BEGIN"
                     " SELECT RAISE(ABORT, 'out of order'); END;"
                     "CREATE TRIGGER no_4 BEFORE INSERT ON large BEGIN"
                     " SELECT RAISE(ABORT, 'out of order'); END;"
                     "CREATE TRIGGER no_5 BEFORE DELETE ON dependency BEGIN"
                     " SELECT RAISE(ABORT, 'out of order'); END;");
}

static inline void world_mend(const World *w)
{
        world_sql(w, "DROP TRIGGER no_1; DROP TRIGGER no_2; DROP TRIGGER no_3; DROP TRIGGER no_4;"
                     "DROP TRIGGER no_5");
}
