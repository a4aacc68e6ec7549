/* SPDX-License-Identifier: MIT */

/* The loop fills one batch while the thread writes the other; then they change. What the two share
 * belongs to one of them at a time: to the thread from the moment that the loop has written to
 * go_fd, until the thread has written to done_fd. */

#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/macros.h"
#include "core/ties.h"
#include "ops/log.h"
#include "ops/message_ids.h"
#include "store/loader.h"
#include "store/schema.h"
#include "store/writer.h"

enum {
        CHECKPOINT_PAGES = DATABASE_LOG_SIZE / 4096, /* of the log; then it is moved over */
        MAX_REMOVALS = 200,      /* old jobs that one batch deletes */
        RETRY_MS = 250,          /* until a store that failed is tried again */
        PROGRESS_STEPS = 1000,   /* of SQLite's machine: some rows */
};

/* Somebody wants the large payloads of a job. */
typedef struct Fetch {
        List link;
        Job *job;
        uint64_t seq;
        bool want_args, want_result;
        char *args, *result;
        size_t args_len, result_len;
} Fetch;

struct Store {
        Core *core;
        Writer writer;
        sqlite3 *db;
        char *path, *log_path;

        pthread_t thread;
        bool has_thread;
        int go_fd;      /* the loop hands over */
        bool over;      /* written before the last time that it does */
        int done_fd;    /* the thread has handed back */
        struct event *done, *retry;
        StoreHooks hooks;

        /* In turns. */
        StoreBatch *writing;
        List fetching;     /* Fetch: with the batch */
        int result;        /* an SQLite code */
        char words[256];   /* what went wrong */
        usec_t took;
        int log_pages;

        /* The loop's. */
        StoreBatch batches[2], *filling;
        bool working;      /* the thread has the batch */
        bool heard;        /* it has handed it back */
        usec_t since;      /* it has been working */
        bool down;         /* the last batch failed */
        bool retry_due;
        char error[320];
        List fetches;      /* Fetch: to be handed over */
        List kept;         /* Job.link: has happened, and could not be written */
        StoreStatus status;
};

/* --- the thread --- */

static uint64_t size_of(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void read_payloads(Store *s)
{
        Fetch *f;

        LIST_FOREACH(&s->fetching, f, link) {
                if (f->want_args)
                        (void)writer_read_large(&s->writer, f->seq, false, &f->args, &f->args_len);
                if (f->want_result)
                        (void)writer_read_large(&s->writer, f->seq, true, &f->result,
                                                &f->result_len);
        }
}

static void commit(Store *s)
{
        usec_t began = clock_monotonic();

        s->result = writer_commit(&s->writer, s->writing);
        if (s->result != SQLITE_OK) {
                database_words(s->db, s->words, sizeof(s->words));
                writer_roll_back(&s->writer);
        }
        s->took = clock_monotonic() - began;
}

static bool has_writes(const StoreBatch *b)
{
        return b->n || b->n_met || b->probe;
}

/* One side tells the other that it is its turn. */
static void give(int fd)
{
        const uint64_t one = 1;

        (void)!write(fd, &one, sizeof(one)); /* a counter that is read each time: there is room */
}

static bool await_turn(Store *s)
{
        uint64_t count;

        while (read(s->go_fd, &count, sizeof(count)) != sizeof(count))
                ASSERT(errno == EINTR);
        return !s->over;
}

static int note_log(void *context, sqlite3 *db, const char *name, int pages)
{
        ((Store *)context)->log_pages = pages;
        return SQLITE_OK;
}

/* After the batch was handed back: nobody waits for it. A reader may keep it from being
 * complete. */
static void checkpoint(Store *s)
{
        if (s->log_pages < CHECKPOINT_PAGES)
                return;
        s->log_pages = 0;
        (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *thread_main(void *context)
{
        Store *s = context;

        while (await_turn(s)) {
                s->result = SQLITE_OK;
                if (has_writes(s->writing))
                        commit(s);
                read_payloads(s);
                give(s->done_fd);
                checkpoint(s);
        }
        return NULL;
}

/* Signals are for the loop. */
static int start_thread(Store *s)
{
        sigset_t all, before;
        int r;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&s->thread, NULL, thread_main, s);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        s->has_thread = r == 0;
        return -r;
}

/* --- taking back --- */

static void fail(Store *s)
{
        const struct timeval delay = { 0, RETRY_MS * 1000 };

        s->status.failures++;
        (void)snprintf(s->error, sizeof(s->error), "%s: %s", s->path, s->words);
        if (!s->down)
                log_event(LOG_FIELDS(.id = MESSAGE_STORE_FAILS), LEVEL_ERROR,
                          "the store fails: %s; durable jobs are refused until it works again",
                          s->error);
        s->down = true;
        s->retry_due = false;
        core_set_store_down(s->core, true);
        (void)evtimer_add(s->retry, &delay);
}

static void recover(Store *s)
{
        if (!s->down)
                return;
        s->down = false;
        core_set_store_down(s->core, false);
        log_event(LOG_FIELDS(.id = MESSAGE_STORE_WORKS), LEVEL_NOTICE, "the store works again");
}

/* What has happened stays as it is, and is written when that works again. */
static bool must_be_kept(const Job *job)
{
        return job->request == REQUEST_SETTLE;
}

static void complete(Store *s, StoreItem *item, bool durable, usec_t now)
{
        Job *job = item->job;

        if (item->request == REQUEST_MARK) {
                core_marked(s->core, job, durable);
                return;
        }
        if (!durable && must_be_kept(job)) {
                list_append(&s->kept, &job->link);
                return;
        }
        if (durable && item->load_args && !item->args)
                core_cancel(s->core, job, "its arguments are not in the store any more", now);
        if (item->args)
                core_unshed(s->core, job, MOVE_PTR(item->args), item->args_len, NULL, 0);
        core_complete(s->core, job, durable, now);
}

static void finish_fetches(Store *s)
{
        Fetch *f;

        while ((f = LIST_FIRST(&s->fetching, Fetch, link))) {
                list_remove(&f->link);
                core_fetched(s->core, f->job, f->args, f->args_len, f->result, f->result_len);
                free(f);
        }
}

static void note_status(Store *s)
{
        StoreStatus *t = &s->status;

        t->commits++;
        t->writes += s->writing->n;
        t->last_commit = s->took;
        t->worst_commit = MAX(t->worst_commit, s->took);
        histogram_add(&t->commit_times, s->took);
}

/* Has the thread handed back? */
static bool hear(Store *s)
{
        uint64_t count;

        if (!s->heard)
                s->heard = read(s->done_fd, &count, sizeof(count)) == sizeof(count);
        return s->heard;
}

/* Returns true if there was something. */
static bool take_back(Store *s, usec_t now)
{
        bool good, wrote;

        if (!s->working || !hear(s))
                return false;
        s->working = s->heard = false;
        good = s->result == SQLITE_OK;
        wrote = has_writes(s->writing);
        if (good && wrote) {
                note_status(s);
                recover(s);
        } else if (!good) {
                fail(s);
                if (batch_keep_met(s->filling, s->writing) < 0)
                        log_warning("no memory to note what jobs have succeeded");
        }
        for (unsigned i = 0; i < s->writing->n; i++)
                complete(s, &s->writing->items[i], good, now);
        batch_clear(s->writing);
        finish_fetches(s);
        return true;
}

/* --- handing over --- */

/* Of these the store knows nothing; but it may know jobs that wait for one of them. */
static bool complete_instant(Store *s, usec_t now)
{
        bool any = false;
        Job *job;

        while ((job = core_next_instant(s->core))) {
                any = true;
                if (job->request == REQUEST_SETTLE && job->next_state == JOB_SUCCEEDED &&
                    batch_add_met(s->filling, job, now) < 0)
                        log_event(LOG_FIELDS(.job = &job->id, .user = &job->uid), LEVEL_WARNING,
                                  "job=%s: no memory to note that it has succeeded",
                                  uuid_text(&job->id).text);
                core_complete(s->core, job, true, now);
        }
        return any;
}

static void gather_kept(Store *s, usec_t now)
{
        Job *job;

        while ((job = LIST_FIRST(&s->kept, Job, link)) && batch_add(s->filling, job, now) == 0)
                list_remove(&job->link);
}

static bool gather_from(Store *s, Job *(*next)(Core *core), unsigned limit, usec_t now)
{
        bool any = false;
        Job *job;

        while (limit-- && (job = next(s->core))) {
                any = true;
                if (!s->down && batch_add(s->filling, job, now) == 0)
                        continue;
                if (must_be_kept(job))
                        list_append(&s->kept, &job->link);
                else
                        core_complete(s->core, job, false, now);
        }
        return any;
}

static void gather_marks(Store *s)
{
        Job *job;

        while (!s->down && (job = core_next_mark(s->core)))
                if (batch_add_mark(s->filling, job) < 0) {
                        core_marked(s->core, job, false);
                        return;
                }
}

static void hand_over(Store *s, usec_t now)
{
        StoreBatch *batch = s->filling;

        batch->large = s->core->limits.large;
        if (s->down && s->retry_due)
                batch->probe = batch->n == 0;
        if (list_empty(&s->fetches) && (!has_writes(batch) || (s->down && !s->retry_due)))
                return; /* reading may work while writing does not */
        s->retry_due = false;
        list_splice(&s->fetching, &s->fetches);
        s->filling = s->writing;
        s->writing = batch;
        s->working = true;
        s->since = now;
        give(s->go_fd);
}

bool store_work(Store *s, usec_t now)
{
        bool any = take_back(s, now);

        any |= complete_instant(s, now);
        if (s->down)
                any |= gather_from(s, core_next_request, UINT_MAX, now); /* refused, or kept */
        if (s->working)
                return any;
        if (!s->down || s->retry_due)
                gather_kept(s, now);
        any |= gather_from(s, core_next_request, UINT_MAX, now);
        any |= gather_from(s, core_next_removal, MAX_REMOVALS, now);
        gather_marks(s);
        hand_over(s, now);
        return any;
}

bool store_is_idle(const Store *s)
{
        return !s->working && list_empty(&s->kept) && list_empty(&s->core->requests) &&
               list_empty(&s->core->marks) && list_empty(&s->fetches);
}

usec_t store_busy_since(const Store *s)
{
        return s->working && !s->heard ? s->since : 0;
}

int store_fetch(Store *s, Job *job)
{
        Fetch *f;

        if (job->fetching)
                return 0;
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->job = job;
        f->seq = job->seq;
        f->want_args = job->args_shed;
        f->want_result = job->result_shed;
        job->fetching = true;
        list_append(&s->fetches, &f->link);
        return 0;
}

const char *store_error(const Store *s)
{
        return s->down ? s->error : NULL;
}

void store_status(const Store *s, StoreStatus *ret)
{
        *ret = s->status;
        ret->bytes = size_of(s->path) + size_of(s->log_path);
}

/* --- life --- */

static void on_done(evutil_socket_t fd, short what, void *context)
{
        Store *s = context;

        (void)hear(s); /* or the loop would hear of nothing else */
        s->hooks.wake(s->hooks.context);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
        Store *s = context;

        s->retry_due = true;
        s->hooks.wake(s->hooks.context);
}

static int make_events(Store *s, struct event_base *base)
{
        s->go_fd = eventfd(0, EFD_CLOEXEC); /* the thread sleeps in it */
        s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (s->go_fd < 0 || s->done_fd < 0)
                return -errno;
        s->done = event_new(base, s->done_fd, EV_READ | EV_PERSIST, on_done, s);
        s->retry = evtimer_new(base, on_retry, s);
        return s->done && s->retry && event_add(s->done, NULL) == 0 ? 0 : -ENOMEM;
}

static int on_progress(void *context)
{
        Store *s = context;

        s->hooks.busy(s->hooks.context);
        return 0;
}

/* Reads everything, and says now and then that it still does. */
static int load(Store *s, char *words, size_t size)
{
        int r;

        if (s->hooks.busy)
                sqlite3_progress_handler(s->db, PROGRESS_STEPS, on_progress, s);
        r = loader_run(s->db, s->core, words, size);
        sqlite3_progress_handler(s->db, 0, NULL, NULL);
        return r < 0 ? -database_errno(s->db) : 0;
}

static int set_up(Store *s, const char *directory, struct event_base *base, char *error,
                  size_t size)
{
        char words[256] = "";
        int r;

        if (asprintf(&s->path, "%s/" STORE_FILE, directory) < 0 ||
            asprintf(&s->log_path, "%s/" STORE_FILE "-wal", directory) < 0)
                return -ENOMEM;
        r = database_open(&s->db, directory, error, size);
        if (r < 0)
                return r;
        if (writer_init(&s->writer, s->db) != SQLITE_OK) {
                database_words(s->db, words, sizeof(words));
                (void)snprintf(error, size, "%s: %s", s->path, words);
                return -database_errno(s->db);
        }
        r = load(s, words, sizeof(words));
        if (r < 0) {
                (void)snprintf(error, size, "%s: %s", s->path, words);
                return r;
        }
        (void)sqlite3_wal_hook(s->db, note_log, s);
        r = make_events(s, base);
        return r == 0 ? start_thread(s) : r;
}

int store_open(Store **ret, const char *directory, Core *core, struct event_base *base,
               const StoreHooks *hooks, char *error, size_t error_size)
{
        Store *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                (void)snprintf(error, error_size, "no memory for the store");
                return -ENOMEM;
        }
        s->core = core;
        s->hooks = *hooks;
        s->go_fd = s->done_fd = -1;
        s->filling = &s->batches[0];
        s->writing = &s->batches[1];
        list_init(&s->fetches);
        list_init(&s->fetching);
        list_init(&s->kept);
        error[0] = '\0';
        r = set_up(s, directory, base, error, error_size);
        if (r == 0) {
                *ret = s;
                return 0;
        }
        if (!error[0])
                (void)snprintf(error, error_size, "the store: %s", strerror(-r));
        store_close(s);
        return r;
}

static void free_fetches(List *list)
{
        Fetch *f;

        while ((f = LIST_FIRST(list, Fetch, link))) {
                list_remove(&f->link);
                free(f->args);
                free(f->result);
                free(f);
        }
}

/* Once the thread has handed back what it has. */
static void stop_thread(Store *s)
{
        if (!s->has_thread)
                return;
        while (s->working && !hear(s))
                (void)poll(&(struct pollfd){ s->done_fd, POLLIN, 0 }, 1, -1);
        s->over = true;
        give(s->go_fd);
        (void)pthread_join(s->thread, NULL);
}

void store_close(Store *s)
{
        if (!s)
                return;
        stop_thread(s);
        writer_fini(&s->writer);
        database_close(s->db);
        if (s->done)
                event_free(s->done);
        if (s->retry)
                event_free(s->retry);
        (void)fd_close(s->done_fd);
        (void)fd_close(s->go_fd);
        free_fetches(&s->fetches);
        free_fetches(&s->fetching);
        while (!list_empty(&s->kept))
                list_remove(s->kept.next); /* the jobs are core's */
        batch_fini(&s->batches[0]);
        batch_fini(&s->batches[1]);
        free(s->path);
        free(s->log_path);
        free(s);
}
