/* SPDX-License-Identifier: MIT */

/* Memory runs out in the core, at each place where it can: what cannot be had is refused as a
 * whole, and what was admitted goes its way with the memory that was reserved for it.
 *
 * This program's own malloc() stands before the C library's, and fails when it is told to. A
 * sanitizer needs its own: there, nothing can fail, and the tests are skipped. */

#include <limits.h>

#include "core_rig.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

enum { MOST = 70 }; /* jobs that are there: tables and heaps grow at some of these numbers */

static int succeeding = -1; /* allocations that still come off; -1: all */
static int failing;         /* allocations that then do not */
static unsigned failed;     /* those that did not */
static long live;           /* allocations that nobody has freed */

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) ||                           \
        __has_feature(memory_sanitizer) || !defined(__GLIBC__)

#define CAN_FAIL false

#else

#define CAN_FAIL true
#define SHARED __attribute__((visibility("default"))) /* strdup() has to find it, too */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *p);

static bool refuses(void)
{
        if (succeeding < 0 || failing == 0)
                return false;
        if (succeeding > 0) {
                succeeding--;
                return false;
        }
        failing--;
        failed++;
        errno = ENOMEM;
        return true;
}

static void *counted(void *p)
{
        live += p != NULL;
        return p;
}

SHARED void *malloc(size_t size)
{
        return refuses() ? NULL : counted(__libc_malloc(size));
}

SHARED void *calloc(size_t n, size_t size)
{
        return refuses() ? NULL : counted(__libc_calloc(n, size));
}

SHARED void *realloc(void *old, size_t size)
{
        if (refuses())
                return NULL;
        live -= old != NULL;
        return counted(__libc_realloc(old, size));
}

SHARED void free(void *p)
{
        live -= p != NULL;
        __libc_free(p);
}

#endif

/* From now on so many allocations come off, and then so many, until memory_is_back(), do not. */
static void memory_for(int allocations, int failures)
{
        failed = 0;
        failing = failures;
        succeeding = allocations;
}

static void no_memory(void)
{
        memory_for(0, INT_MAX);
}

/* How many did not come off. */
static unsigned memory_is_back(void)
{
        succeeding = -1;
        return failed;
}

static long live_before;

static int begin_counting(void **state UNUSED)
{
        live_before = live;
        return 0;
}

static int nothing_leaked(void **state UNUSED)
{
        return live == live_before ? 0 : -1;
}

static void add_jobs(Rig *r, unsigned n)
{
        while (n--) {
                JobSpec spec = rig_spec(r);

                spec.has = JOB_HAS_UNIQUE_KEY | JOB_HAS_TTL;
                spec.unique_key = (Slice){ (const char *)&r->ids, sizeof(r->ids) };
                spec.ttl = 3600 * USEC_PER_SEC;
                (void)rig_admit(r, &spec);
        }
}

/* Jobs with all that costs memory; the second is after the first, and after one that has failed;
 * the third names semaphores. */
enum { BATCH = 3 };

typedef struct Batch {
        JobSpec specs[BATCH];
        Job *jobs[BATCH];
        Uuid blockers[2];
        CoreSemaphore *units[2];
} Batch;

static void make_batch(Rig *r, Batch *b, const Job *bad)
{
        static const char *const keys[BATCH] = { "first", "second", "third" };

        for (int i = 0; i < BATCH; i++) {
                b->specs[i] = rig_spec(r);
                b->specs[i].has = JOB_HAS_UNIQUE_KEY | JOB_HAS_TTL;
                b->specs[i].unique_key = slice_of(keys[i]);
                b->specs[i].ttl = 3600 * USEC_PER_SEC;
        }
        b->blockers[0] = b->specs[0].id;
        b->blockers[1] = bad->id;
        b->specs[1].blockers = b->blockers;
        b->specs[1].n_blockers = 2;
        b->units[0] = rig_semaphore(r, "gpu", 1);
        b->units[1] = rig_semaphore(r, "disk", 1);
        b->specs[2].units = b->units;
        b->specs[2].n_units = 2;
}

/* What was admitted needs no more memory to come to its place, and to leave it. */
static void live_and_end(Rig *r, const Batch *b, unsigned n)
{
        no_memory();
        rig_rest(r);
        for (unsigned i = 0; i < n; i++) { /* the second waits for one that has failed */
                assert_int_equal(b->jobs[i]->state, i == 1 ? JOB_CANCELLED : JOB_QUEUED);
                rig_cancel(r, b->jobs[i]);
        }
        rig_rest(r);
        (void)memory_is_back();
}

/* Submits the first n while memory is short: they come off as a whole, or leave nothing. False if
 * there was enough. */
static bool submit_batch(Rig *r, const Job *bad, unsigned n, int allocations, int failures)
{
        uint64_t open = r->core.open, bytes = r->core.bytes;
        bool duplicate[BATCH];
        unsigned missed;
        Uuid missing;
        Batch b;
        int error;

        make_batch(r, &b, bad);
        memory_for(allocations, failures);
        error = core_submit(&r->core, b.specs, n, r->now, b.jobs, duplicate, &missing);
        missed = memory_is_back();
        rig_sound(r);
        assert_true(error == 0 || (error == -ENOMEM && missed));
        if (error == 0)
                live_and_end(r, &b, n);
        for (unsigned i = 0; error && i < n; i++)
                assert_null(table_find(&r->core, &b.specs[i].id, b.specs[i].uid));
        assert_null(core_next_request(&r->core));
        assert_int_equal(r->core.open, open);
        assert_int_equal(r->core.bytes, bytes);
        return missed;
}

/* All batches, with all shortages, for a core with so many jobs. */
static void submit_batches(unsigned there, int failures)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        JobSpec spec = rig_spec(r);
        const Job *bad = rig_ended_job(r, &spec, JOB_CANCELLED);

        add_jobs(r, there);
        for (unsigned n = 1; n <= BATCH; n++) {
                int allocations = 0;

                while (submit_batch(r, bad, n, allocations, failures))
                        allocations++;
                assert_true(allocations > 0);
        }
}

static void a_submit_that_memory_is_short_for_leaves_nothing(void **state UNUSED)
{
        for (unsigned there = 0; there < MOST; there++) {
                submit_batches(there, 1);
                submit_batches(there, INT_MAX);
        }
}

/* What has been admitted needs no memory to wait, to be claimed, and to go back. */
static void who_is_admitted_waits_without_memory(void **state UNUSED)
{
        const AttemptBegin begin = { 1, 2, 3 };

        for (unsigned there = 1; there < MOST; there++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *jobs[MOST];

                for (unsigned i = 0; i < there; i++) {
                        JobSpec spec = rig_spec(r);

                        spec.has = JOB_HAS_TTL | JOB_HAS_DELAY;
                        spec.delay = i % 2 ? USEC_PER_SEC : 0;
                        spec.ttl = 3600 * USEC_PER_SEC;
                        (void)rig_submit(r, &spec);
                }
                no_memory();
                rig_rest(r);
                rig_wait(r, USEC_PER_SEC);
                for (unsigned i = 0; i < there; i++)
                        assert_non_null(jobs[i] = rig_claim(r));
                for (unsigned i = 0; i < there; i++) {
                        assert_int_equal(core_begin(&r->core, jobs[i], &begin, r->now), -ENOMEM);
                        core_unclaim(&r->core, jobs[i], r->now);
                        rig_sound(r);
                }
                rig_rest(r);
                assert_int_equal(r->core.count[JOB_QUEUED], there);
                rig_wait(r, 3600 * USEC_PER_SEC);
                assert_int_equal(r->core.count[JOB_EXPIRED], there);
                (void)memory_is_back();
        }
}

static void a_retry_without_memory_is_refused_or_comes_off(void **state UNUSED)
{
        unsigned refused = 0;

        for (unsigned there = 1; there < MOST; there++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                JobSpec spec = rig_spec(r);
                Job *job = rig_ended_job(r, &spec, JOB_CANCELLED);
                bool done;

                add_jobs(r, there);
                no_memory();
                done = core_retry(&r->core, job, r->now);
                rig_sound(r);
                rig_rest(r);
                assert_int_equal(job->state, done ? JOB_QUEUED : JOB_CANCELLED);
                (void)memory_is_back();
                refused += !done;
                assert_int_equal(core_retry(&r->core, job, r->now), !done);
                rig_rest(r);
                assert_int_equal(job->state, JOB_QUEUED);
        }
        assert_in_range(refused, 1, MOST - 2);
}

static void who_cannot_go_to_another_pool_stays_in_its_own(void **state UNUSED)
{
        for (int allocations = 0; allocations < 6; allocations++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                CorePool *to = core_pool(&r->core, "pictures");

                add_jobs(r, MOST);
                to->policy = RIG_POLICY;
                memory_for(allocations, INT_MAX);
                core_bind_handler(&r->core, r->handler, to);
                (void)memory_is_back();
                rig_sound(r);
                assert_int_equal(to->open + r->pool->open, MOST);
                core_bind_handler(&r->core, r->handler, to);
                rig_sound(r);
                assert_int_equal(to->open, MOST);
        }
}

/* Whichever pool it is in, it can wait there without memory. */
static void who_names_semaphores_moves_as_a_whole_or_stays(void **state UNUSED)
{
        unsigned missed = 1;

        for (int allocations = 0; missed; allocations++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                CoreSemaphore *units[] = { rig_semaphore(r, "gpu", 1),
                                           rig_semaphore(r, "disk", 0) };
                JobSpec spec = rig_spec(r);
                CorePool *to = rig_pool(r, "pictures");
                Job *job;

                spec.units = units;
                spec.n_units = ELEMENTS(units);
                job = rig_admit(r, &spec);
                memory_for(allocations, INT_MAX);
                core_bind_handler(&r->core, r->handler, to);
                missed = memory_is_back();
                rig_sound(r);
                assert_ptr_equal(job->pool, missed ? r->pool : to);
                no_memory();
                assert_null(core_peek(&r->core, job->pool, r->now));
                (void)memory_is_back();
                rig_sound(r);
                assert_int_equal(job->state, JOB_BLOCKED);
                rig_rest(r);
        }
}

static void a_restored_job_is_there_as_a_whole_or_not_at_all(void **state UNUSED)
{
        unsigned missed = 1;

        for (int allocations = 0; missed; allocations++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                CoreSemaphore *units[] = { rig_semaphore(r, "gpu", 1),
                                           rig_semaphore(r, "disk", 1) };
                JobRecord record = { .spec = rig_spec(r),
                                     .pool = r->pool,
                                     .state = JOB_QUEUED,
                                     .failures = 1,
                                     .reason = SLICE("it fell"),
                                     .result = SLICE("{}") };
                Job *job = NULL;
                int error;

                record.spec.has = JOB_HAS_UNIQUE_KEY;
                record.spec.unique_key = SLICE("key");
                record.spec.units = units;
                record.spec.n_units = ELEMENTS(units);
                memory_for(allocations, INT_MAX);
                error = core_restore(&r->core, &record, &job);
                missed = memory_is_back();
                assert_true(error == 0 || (error == -ENOMEM && missed));
                assert_ptr_equal(table_find(&r->core, &record.spec.id, record.spec.uid), job);
                assert_int_equal(job == NULL, error != 0);
                core_resume(&r->core, r->now);
                rig_sound(r);
        }
}

static void without_memory_there_is_no_new_pool_handler_or_semaphore(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);

        for (int allocations = 0; allocations < 2; allocations++) {
                const CorePool *pool;
                const CoreHandler *handler;
                const CoreSemaphore *semaphore;

                memory_for(allocations, INT_MAX);
                pool = core_pool(&r->core, "pictures");
                memory_for(allocations, INT_MAX);
                handler = core_handler(&r->core, "crop");
                memory_for(allocations, INT_MAX);
                semaphore = core_semaphore(&r->core, "gpu");
                (void)memory_is_back();
                assert_null(pool);
                assert_null(handler);
                assert_null(semaphore);
                assert_null(core_find_semaphore(&r->core, SLICE("gpu")));
                assert_null(core_find_handler(&r->core, SLICE("crop")));
        }
        assert_non_null(core_pool(&r->core, "pictures"));
        assert_non_null(core_handler(&r->core, "crop"));
        assert_non_null(core_semaphore(&r->core, "gpu"));
        assert_ptr_equal(core_pool(&r->core, "images"), r->pool);
}

static void a_journal_that_memory_is_short_for_says_so_and_keeps_what_it_has(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
        CoreJournal *j = &r->core.journal;
        size_t n = 0;

        add_jobs(r, 2 * MOST);
        j->on = true;
        while (!j->lost) {
                no_memory();
                rig_cancel(r, core_peek(&r->core, r->pool, r->now));
                rig_rest(r);
                (void)memory_is_back();
                if (j->lost && !n) { /* its first piece; then on to the second */
                        assert_null(j->changes);
                        j->lost = false;
                        rig_run(r, core_peek(&r->core, r->pool, r->now));
                }
                assert_int_equal(j->n, j->lost ? n : n + 1);
                n = j->n;
        }
        assert_int_equal(n, j->capacity);
        assert_int_equal(j->changes[n - 1].state, JOB_CANCELLED);
}

static void a_certificate_may_do_without_words(void **state UNUSED)
{
        Certificate *c;

        no_memory();
        c = certificate_new("it fell");
        assert_null(c);
        memory_for(1, INT_MAX);
        c = certificate_new("it fell");
        (void)memory_is_back();
        assert_non_null(c);
        assert_null(c->error);
        certificate_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_counting, nothing_leaked)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_submit_that_memory_is_short_for_leaves_nothing),
                TEST(who_is_admitted_waits_without_memory),
                TEST(a_retry_without_memory_is_refused_or_comes_off),
                TEST(who_cannot_go_to_another_pool_stays_in_its_own),
                TEST(who_names_semaphores_moves_as_a_whole_or_stays),
                TEST(a_restored_job_is_there_as_a_whole_or_not_at_all),
                TEST(without_memory_there_is_no_new_pool_handler_or_semaphore),
                TEST(a_journal_that_memory_is_short_for_says_so_and_keeps_what_it_has),
                TEST(a_certificate_may_do_without_words),
        };

        return CAN_FAIL ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
