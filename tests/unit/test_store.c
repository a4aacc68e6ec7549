/* SPDX-License-Identifier: MIT */

/* The store behind core: what was acknowledged is there again, and what cannot be written is said
 * so. */

#include "store_rig.h"

#include <sys/mount.h>

#include "store/attempt_json.h"

enum { LARGE = 1000 };

#define LIMITS                                                                                     \
        ((CoreLimits){ .keep = 3600 * USEC_PER_SEC, .keep_max = 100000, .large = LARGE })

static char large_args[5 * LARGE], large_result[7 * LARGE];

#define LARGE_ARGS   ((Slice){ large_args, sizeof(large_args) })
#define LARGE_RESULT ((Slice){ large_result, sizeof(large_result) })

/* {"a":"xxxx…"} */
static void fill_object(char *to, size_t size, char with)
{
        memset(to, with, size);
        memcpy(to, "{\"a\":\"", 6);
        memcpy(to + size - 2, "\"}", 2);
}

static int make_payloads(void **state UNUSED)
{
        fill_object(large_args, sizeof(large_args), 'a');
        fill_object(large_result, sizeof(large_result), 'r');
        return 0;
}

static World *open_world(void)
{
        World *w = world_new(LIMITS);

        world_open(w);
        return w;
}

/* --- what a job is, in words, to be compared --- */

static void describe_certificate(FILE *f, const Certificate *c)
{
        if (!c)
                return;
        (void)fprintf(f, "   %s, tail %s, signal %s, exit %d, died %d %d %lu %lu\n",
                      c->error ? c->error : "-", c->stderr_tail ? c->stderr_tail : "-", c->signal,
                      c->exit_status, c->died, c->core_dumped, c->cpu_usec, c->peak_memory_bytes);
}

static void describe_history(FILE *f, const JobHistory *h)
{
        (void)fprintf(f, "  deaths %u failures %u untouched %u started %lu reason %s result %.*s\n",
                      h->deaths, h->failures, h->untouched, h->started,
                      h->reason ? h->reason : "-", (int)h->result_len,
                      h->result_len ? h->result : "");
        for (uint32_t i = 0; i < h->n_attempts; i++) {
                const Attempt *a = &h->attempts[i];

                (void)fprintf(f, "  attempt %u %s.%u %d %lu %lu %s\n", a->number, a->pool->name,
                              a->seat, a->pid, a->started, a->ended, outcome_name(a->outcome));
                describe_certificate(f, a->certificate);
        }
}

static void describe_ties(FILE *f, const Job *j)
{
        const Dependency *d;

        if (!j->ties)
                return;
        for (unsigned i = 0; i < j->ties->n_units; i++)
                (void)fprintf(f, "  semaphore %s\n", j->ties->units[i].semaphore->name);
        LIST_FOREACH(&j->ties->blockers, d, in_waiting)
                (void)fprintf(f, "  after %s\n", uuid_text(&d->blocker->id).text);
}

static void describe_job(FILE *f, const Job *j)
{
        bool asked = j->cancel_asked && !job_state_ended((JobState)j->state);

        (void)fprintf(f,
                      "%s %s %s %s uid %u gid %u has %x priority %d attempt %u of %u\n"
                      "  submitted %lu ready %lu ended %lu order %lu seq %lu\n"
                      "  flags %d%d%d%d%d%d%d\n",
                      uuid_text(&j->id).text, job_state_name((JobState)j->state), j->handler->name,
                      j->pool->name, j->uid, j->gid, j->has, j->priority, j->attempt, j->budget,
                      j->submitted, j->ready_at, j->ended, j->order, j->seq, j->memory,
                      asked, j->touched, j->no_ttl, j->args_shed, j->result_shed, j->has_key);
        for (unsigned bit = 1; bit & JOB_NUMBERS; bit <<= 1)
                (void)fprintf(f, "  number %u: %lu\n", bit, job_number(j, (uint16_t)bit, 42));
        for (unsigned bit = JOB_HAS_UNIQUE_KEY; bit & JOB_TEXTS; bit <<= 1) {
                Slice text = job_text(j, (uint16_t)bit);

                (void)fprintf(f, "  text %u: %d %.*s\n", bit, text.data != NULL, (int)text.len,
                              text.len ? text.data : "");
        }
        (void)fprintf(f, "  args %.*s\n", (int)job_args(j).len,
                      job_args(j).len ? job_args(j).data : "");
        describe_history(f, j->history);
        describe_ties(f, j);
}

/* The caller frees it. */
static char *describe(const Core *core)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        const Job *j;

        assert_non_null(f);
        LIST_FOREACH(&core->all, j, all)
                describe_job(f, j);
        (void)fprintf(f, "open %lu bytes %lu kept %lu of %lu bytes, last %lu %lu\n", core->open,
                      core->bytes, core->kept, core->kept_bytes, core->last_seq, core->last_order);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* A new daemon knows all that the old one knew. */
static void check_restart(World *w)
{
        AUTO(free) char *before = NULL, *after = NULL;
        Job *j;

        LIST_FOREACH(&w->r->core.all, j, all)
                core_shed(&w->r->core, j);
        before = describe(&w->r->core);
        world_restart(w);
        after = describe(&w->r->core);
        if (strcmp(before, after) != 0)
                fail_msg("before:\n%s\nafter:\n%s", before, after);
        assert_true(store_is_idle(w->store));
}

/* --- there again --- */

static void a_new_directory_gets_an_empty_store(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        StoreStatus s;
        struct stat st;

        assert_int_equal(w->r->core.ids.count, 0);
        assert_true(store_is_idle(w->store));
        assert_null(store_error(w->store));
        store_status(w->store, &s);
        assert_int_equal(s.commits + s.writes + s.failures, 0);
        assert_int_equal(stat(w->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600); /* arguments are nobody else's business */
        assert_int_equal(world_number(w, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
        assert_int_equal(world_number(w, "PRAGMA application_id"), STORE_APPLICATION_ID);
        check_restart(w);
}

static void an_empty_file_becomes_a_store(void **state UNUSED)
{
        AUTO(world_free) World *w = world_new(LIMITS);
        FILE *f = fopen(w->path, "w");

        assert_non_null(f);
        (void)fclose(f);
        world_open(w);
        (void)world_job(w);
        check_restart(w);
}

static void fill_all(JobSpec *s, CoreSemaphore *const *units)
{
        s->has = JOB_HAS_RUN_AT | JOB_HAS_DELAY | JOB_HAS_TIMEOUT | JOB_HAS_TTL | JOB_HAS_KEEP |
                 JOB_HAS_MAX_ATTEMPTS | JOB_HAS_UNIQUE_KEY | JOB_HAS_ID | JOB_HAS_PRIORITY |
                 JOB_HAS_DURABILITY;
        s->run_at = 1768472490000000;
        s->timeout = 3;
        s->ttl = 1000 * USEC_PER_SEC;
        s->keep = 5;
        s->max_attempts = 6;
        s->priority = -7;
        s->unique_key = SLICE("k\xc3\xa9y \"with\" 'quotes'");
        s->tags = SLICE("[\"a\",\"b\"]");
        s->semaphores = SLICE("[\"gpu\",\"disk\"]");
        s->units = units;
        s->n_units = 2;
        s->args = SLICE("{\"text\":\"\\u0000 \xe2\x82\xac\"}");
        s->gid = 77;
}

static void jobs_of_each_state_are_the_same_after_a_restart(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Rig *r = w->r;
        CoreSemaphore *units[2] = { rig_semaphore(r, "gpu", 1), rig_semaphore(r, "disk", 1) };
        AttemptEnd good = { .outcome = OUTCOME_SUCCEEDED, .result = SLICE("{\"r\":[1,2]}") };
        AttemptEnd bad = { .outcome = OUTCOME_ERROR, .result = SLICE("{\"why\":1}"),
                           .certificate = certificate_new("no paper") };
        JobSpec spec = rig_spec(r);
        Job *job, *blockers[2];
        Uuid ids[2];

        job = world_job(w); /* succeeded, with a result */
        world_run(w, job);
        world_settle(w, job, &good);
        job = world_job(w); /* failed, with details */
        world_run(w, job);
        world_settle(w, job, &bad);
        job = world_job(w); /* cancelled */
        rig_cancel(r, job);
        spec = rig_spec(r); /* expired, and has its own time */
        spec.has = JOB_HAS_TTL | JOB_HAS_KEEP;
        spec.ttl = 1;
        spec.keep = 7200 * USEC_PER_SEC;
        (void)world_submit(w, &spec);
        world_wait(w, 2);
        r->pool->policy.poison_deaths = 1; /* quarantined */
        job = world_job(w);
        world_run(w, job);
        world_end(w, job, OUTCOME_WORKER_DIED);
        job = world_job(w); /* scheduled: it failed once */
        world_run(w, job);
        world_end(w, job, OUTCOME_ERROR);
        spec = rig_spec(r); /* scheduled, with all that there is */
        fill_all(&spec, units);
        (void)world_submit(w, &spec);
        blockers[0] = world_job(w); /* queued */
        blockers[1] = world_job(w);
        ids[0] = blockers[0]->id;
        ids[1] = blockers[1]->id;
        spec = rig_spec(r); /* blocked */
        spec.blockers = ids;
        spec.n_blockers = 2;
        spec.after = SLICE("[\"x\",\"y\"]");
        spec.has = JOB_HAS_UNIQUE_KEY; /* that is empty */
        spec.unique_key = SLICE("");
        (void)world_submit(w, &spec);
        spec = rig_spec(r); /* of another user */
        spec.uid = 1001;
        spec.args = (Slice){ NULL, 0 };
        (void)world_submit(w, &spec);
        job = world_find(w, 3); /* retried: a new budget has no ttl */
        assert_true(core_retry(&r->core, job, r->now));
        world_rest(w);
        check_restart(w);
        assert_int_equal(r->core.count[JOB_BLOCKED], 1);
        check_restart(w);
}

static void many_jobs_are_the_same_after_a_restart(void **state UNUSED)
{
        enum { MANY = 500 };
        AUTO(world_free) World *w = open_world();

        for (int i = 0; i < MANY; i++) {
                JobSpec spec = rig_spec(w->r);
                bool duplicate;
                Uuid missing;
                Job *job;

                spec.has = i % 3 ? JOB_HAS_PRIORITY : JOB_HAS_DELAY;
                spec.priority = i % 7;
                spec.delay = spec.has == JOB_HAS_DELAY ? USEC_PER_SEC * (usec_t)i : 0;
                if (i % 50 == 0)
                        spec.args = LARGE_ARGS;
                assert_int_equal(core_submit(&w->r->core, &spec, 1, w->r->now, &job, &duplicate,
                                             &missing),
                                 0);
                if (i % 97 == 0)
                        world_rest(w);
        }
        world_rest(w);
        assert_int_equal(world_number(w, "SELECT count(*) FROM job"), MANY);
        check_restart(w);
        assert_int_equal(w->r->core.open, MANY);
}

static void what_ran_has_an_attempt_that_says_so(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *running = world_job(w), *claimed = world_job(w), *arrived;
        JobSpec spec = rig_spec(w->r);
        const Attempt *a;

        world_run(w, running);
        world_claim(w, claimed);
        arrived = rig_submit(w->r, &spec);
        world_claim(w, arrived); /* along with its admission */
        assert_int_equal(world_number(w, "SELECT count(*) FROM job WHERE state = 3"
                                         " AND attempt = 1"),
                         3);
        w->r->now += 10;
        world_restart(w);
        world_rest(w);
        for (uint64_t n = 1; n <= 3; n++) {
                Job *job = world_find(w, n);

                assert_int_equal(job->state, JOB_QUEUED);
                assert_int_equal(job->attempt, 1);
                a = job_last_attempt(job);
                assert_int_equal(a->outcome, OUTCOME_SUPERVISOR_DIED);
                assert_int_equal(a->started, w->r->now - 10);
                assert_int_equal(a->ended, w->r->now);
        }
        check_restart(w); /* and that is kept, too */
}

static void what_was_given_back_has_no_attempt(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *job = world_job(w);

        world_claim(w, job);
        core_unclaim(&w->r->core, job, w->r->now);
        world_rest(w);
        check_restart(w);
        job = world_find(w, 1);
        assert_int_equal(job->attempt, 0);
        world_run(w, job);
        assert_int_equal(job->attempt, 1);
}

static void a_cancel_of_what_runs_is_kept(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *job = world_job(w);

        world_run(w, job);
        rig_cancel(w->r, job);
        world_rest(w);
        world_restart(w);
        world_rest(w);
        job = world_find(w, 1);
        assert_int_equal(job->state, JOB_CANCELLED);
        assert_int_equal(job_last_attempt(job)->outcome, OUTCOME_SUPERVISOR_DIED);
}

static void memory_jobs_are_not_written(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED, .result = LARGE_RESULT };
        JobSpec spec = rig_spec(w->r);
        StoreStatus s;
        Job *job;

        spec.memory = true;
        spec.args = LARGE_ARGS;
        job = world_submit(w, &spec);
        world_run(w, job);
        world_settle(w, job, &end);
        world_rest(w);
        core_shed(&w->r->core, job);
        assert_int_equal(job->history->result_len, LARGE_RESULT.len);
        store_status(w->store, &s);
        assert_int_equal(s.commits, 0);
        assert_int_equal(world_number(w, "SELECT count(*) FROM job"), 0);
        assert_int_equal(world_number(w, "SELECT count(*) FROM large"), 0);
        world_restart(w);
        assert_int_equal(w->r->core.ids.count, 0);
}

/* --- attempts --- */

static const struct {
        const char *name;
        bool given;
        Certificate c;
} certificates[] = {
        { "none", false, { 0 } },
        { "words", true, { .error = (char *)"it fell", .exit_status = -1 } },
        { "odd words", true, { .error = (char *)"\"\\ \n\t\x01 \xe2\x82\xac", .exit_status = -1 } },
        { "exit", true, { .exit_status = 0, .died = true } },
        { "bad exit", true, { .exit_status = 255, .died = true, .cpu_usec = 1 } },
        { "exit of a command", true, { .exit_status = 3, .stderr_tail = (char *)"no file\n" } },
        { "signal", true, { .exit_status = -1, .signal = "SEGV", .died = true, .core_dumped = true,
                            .cpu_usec = UINT32_MAX, .peak_memory_bytes = 1ULL << 40 } },
        { "no core", true, { .exit_status = -1, .signal = "KILL", .died = true } },
        { "real time", true, { .exit_status = -1, .signal = "RTMIN+12", .died = true } },
        { "for lack of memory", true, { .error = (char *)"e", .exit_status = 137,
                                        .oom_killed = true } },
        { "tail", true, { .exit_status = -1, .stderr_tail = (char *)"" } },
        { "all", true, { .error = (char *)"e", .stderr_tail = (char *)"t", .signal = "ABRT",
                         .exit_status = 1, .died = true, .core_dumped = true, .cpu_usec = 5,
                         .peak_memory_bytes = 6 } },
};

static void check_certificate(const Certificate *c, const Certificate *then, const char *name)
{
        CHECK(!c->error == !then->error && (!c->error || !strcmp(c->error, then->error)), name);
        CHECK(!c->stderr_tail == !then->stderr_tail, name);
        CHECK(!c->stderr_tail || !strcmp(c->stderr_tail, then->stderr_tail), name);
        CHECK(strcmp(c->signal, then->signal) == 0, name);
        CHECK(c->exit_status == then->exit_status, name);
        CHECK(c->died == then->died && c->core_dumped == then->core_dumped, name);
        CHECK(c->oom_killed == then->oom_killed, name);
        CHECK(c->cpu_usec == then->cpu_usec, name);
        CHECK(c->peak_memory_bytes == then->peak_memory_bytes, name);
}

static void an_attempt_is_the_same_after_its_way_through_json(void **state UNUSED)
{
        AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);

        for (size_t i = 0; i < ELEMENTS(certificates); i++) {
                AUTO(buffer_fini) Buffer b = BUFFER_INIT;
                Job *job = rig_job(r);
                Certificate c = certificates[i].c;
                Attempt a = { .number = 7 + (uint32_t)i, .pool = rig_pool(r, "odd.name.9"),
                              .seat = 41, .pid = i % 3 ? 4711 : 0, .started = 5, .ended = 6,
                              .outcome = (Outcome)(i % OUTCOME_NONE),
                              .certificate = certificates[i].given ? &c : NULL };
                const Attempt *then;

                job->attempt = job->budget = a.number;
                buffer_append_char(&b, '[');
                attempt_write(&b, &a);
                buffer_append_char(&b, ']');
                CHECK(attempts_read(&r->core, job, buffer_slice(&b)), certificates[i].name);
                then = job_last_attempt(job);
                CHECK(then->number == a.number, certificates[i].name);
                CHECK(then->pool == (a.pid ? a.pool : r->pool), certificates[i].name);
                CHECK(then->seat == (a.pid ? 41 : 0), certificates[i].name);
                CHECK(then->pid == a.pid && then->started == 5 && then->ended == 6,
                      certificates[i].name);
                CHECK(then->outcome == a.outcome, certificates[i].name);
                CHECK(!then->certificate == !a.certificate, certificates[i].name);
                if (a.certificate)
                        check_certificate(then->certificate, &c, certificates[i].name);
        }
}

static void what_is_no_list_of_ended_attempts_is_refused(void **state UNUSED)
{
        static const char *const cases[] = {
                "", "{}", "null", "[", "[1]", "[{}]", "[{\"number\":1}]",
                "[{\"number\":1,\"outcome\":\"sunshine\"}]", "[{\"number\":1,\"outcome\":7}]",
                "[{\"number\":1,\"outcome\":\"error\"}] x",
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(rig_free) Rig *r = rig_new(RIG_LIMITS);
                Job *job = rig_job(r);

                CHECK(!attempts_read(&r->core, job, slice_of(cases[i])), cases[i]);
        }
}

static void a_hundred_attempts_are_the_same_after_a_restart(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r);
        Job *job;

        w->r->pool->policy.backoff = 0;
        spec.has = JOB_HAS_MAX_ATTEMPTS;
        spec.max_attempts = 1000;
        job = world_submit(w, &spec);
        for (int i = 0; i < 103; i++) {
                AttemptEnd end = { .outcome = OUTCOME_ERROR, .may_retry = true,
                                   .certificate = i % 2 ? certificate_new("words") : NULL };

                world_run(w, job);
                w->r->now++;
                world_settle(w, job, &end);
                world_rest(w);
        }
        check_restart(w);
        assert_int_equal(world_find(w, 1)->attempt, 103);
}

/* --- large payloads --- */

static void large_payloads_stand_beside_the_row_and_come_when_they_are_asked_for(
        void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED, .result = LARGE_RESULT };
        JobSpec spec = rig_spec(w->r);
        Job *job;

        spec.args = LARGE_ARGS;
        job = world_submit(w, &spec);
        world_run(w, job);
        world_settle(w, job, &end);
        world_rest(w);
        assert_int_equal(world_number(w, "SELECT args IS NULL AND result IS NULL AND large = 3"
                                         " FROM job"), 1);
        assert_int_equal(world_number(w, "SELECT count(*) FROM large"), 2);
        check_restart(w);
        job = world_find(w, 1);
        assert_true(job->args_shed && job->result_shed);
        assert_int_equal(store_fetch(w->store, job), 0);
        assert_int_equal(store_fetch(w->store, job), 0); /* twice is once */
        assert_true(job->fetching);
        while (job->fetching) {
                (void)store_work(w->store, w->r->now);
                if (job->fetching)
                        world_turn(w);
        }
        rig_sound(w->r);
        assert_true(rig_events(w->r, job) & EVENT_FETCHED);
        assert_true(slice_equal(job_args(job), LARGE_ARGS));
        assert_int_equal(job->history->result_len, LARGE_RESULT.len);
        assert_memory_equal(job->history->result, large_result, LARGE_RESULT.len);
        check_restart(w);
        world_wait(w, 3600 * USEC_PER_SEC); /* and they go with it */
        assert_int_equal(world_number(w, "SELECT count(*) FROM large"), 0);
        assert_int_equal(world_number(w, "SELECT count(*) FROM job"), 0);
}

static void large_arguments_come_with_the_claim(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r);
        Job *job;

        spec.args = LARGE_ARGS;
        job = world_submit(w, &spec);
        core_shed(&w->r->core, job);
        assert_true(job->args_shed);
        world_run(w, job);
        assert_true(slice_equal(job_args(job), LARGE_ARGS));
        world_end(w, job, OUTCOME_WORKER_DIED);
        world_restart(w);
        job = world_find(w, 1);
        assert_true(job->args_shed);
        world_run(w, job);
        assert_true(slice_equal(job_args(job), LARGE_ARGS));
        world_end(w, job, OUTCOME_SUCCEEDED);
        check_restart(w);
}

static void of_several_results_the_last_is_kept(void **state UNUSED)
{
        static const struct {
                const char *name;
                bool large[3];
        } cases[] = { { "large, then small", { true, false, false } },
                      { "small, then large", { false, false, true } },
                      { "large, then large", { true, true, true } },
                      { "large in between", { false, true, false } } };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                for (int restart = 0; restart < 2; restart++) {
                        AUTO(world_free) World *w = open_world();
                        Job *job = world_job(w);

                        w->r->pool->policy.backoff = 0;
                        for (int k = 0; k < 3; k++) {
                                AttemptEnd end = { .outcome = OUTCOME_ERROR, .may_retry = true,
                                                   .result = cases[i].large[k] ? LARGE_RESULT
                                                                               : SLICE("{}") };

                                world_run(w, job);
                                world_settle(w, job, &end);
                                world_rest(w);
                                if (restart) {
                                        world_restart(w);
                                        w->r->pool->policy.backoff = 0;
                                        job = world_find(w, 1);
                                }
                        }
                        CHECK(job->state == JOB_FAILED, cases[i].name);
                        check_restart(w);
                        job = world_find(w, 1);
                        CHECK(job->result_shed == cases[i].large[2], cases[i].name);
                        CHECK(world_number(w, "SELECT count(*) FROM large") == cases[i].large[2],
                              cases[i].name);
                }
}

/* --- those that wait for others --- */

static Job *submit_after(World *w, const Job *first, bool memory)
{
        JobSpec spec = rig_spec(w->r);
        Uuid id = first->id;

        spec.blockers = &id;
        spec.n_blockers = 1;
        spec.after = SLICE("[\"x\"]");
        spec.memory = memory;
        return rig_submit(w->r, &spec);
}

static int64_t edges(const World *w)
{
        return world_number(w, "SELECT count(*) FROM dependency");
}

static void a_dependency_goes_when_it_is_met(void **state UNUSED)
{
        for (int memory = 0; memory < 2; memory++) {
                AUTO(world_free) World *w = open_world();
                JobSpec spec = rig_spec(w->r);
                Job *first, *second;

                spec.memory = memory;
                first = world_submit(w, &spec);
                second = submit_after(w, first, false);
                world_rest(w);
                assert_int_equal(edges(w), 1);
                assert_int_equal(second->state, JOB_BLOCKED);
                world_run(w, first);
                assert_int_equal(edges(w), 1);
                world_end(w, first, OUTCOME_SUCCEEDED);
                assert_int_equal(edges(w), 0);
                assert_int_equal(second->state, JOB_QUEUED);
                assert_int_equal(world_number(w, "SELECT state FROM job WHERE after IS NOT NULL"),
                                 JOB_QUEUED);
                world_restart(w);
                assert_int_equal(world_find(w, 2)->state, JOB_QUEUED);
        }
}

/* The settlement of the first and the admission of the second are in one batch. */
static void a_dependency_that_is_met_at_once_leaves_no_row(void **state UNUSED)
{
        for (int memory = 0; memory < 2; memory++) {
                AUTO(world_free) World *w = open_world();
                AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED };
                JobSpec spec = rig_spec(w->r);
                Job *first, *second;

                spec.memory = memory;
                first = world_submit(w, &spec);
                world_run(w, first);
                world_settle(w, first, &end);
                second = submit_after(w, first, false);
                world_rest(w);
                assert_int_equal(edges(w), 0);
                assert_int_equal(second->state, JOB_QUEUED);
                world_restart(w);
                assert_int_equal(world_find(w, 2)->state, JOB_QUEUED);
        }
}

/* The admission is with the thread when the first succeeds. */
static void a_dependency_that_is_met_while_it_is_written_goes_with_the_next_batch(
        void **state UNUSED)
{
        for (int memory = 0; memory < 2; memory++) {
                AUTO(world_free) World *w = open_world();
                AttemptEnd end = { .outcome = OUTCOME_SUCCEEDED };
                JobSpec spec = rig_spec(w->r);
                Job *first, *second;

                spec.memory = memory;
                first = world_submit(w, &spec);
                world_run(w, first);
                second = submit_after(w, first, false);
                (void)store_work(w->store, w->r->now);
                world_settle(w, first, &end);
                world_rest(w);
                assert_int_equal(edges(w), 0);
                assert_int_equal(second->state, JOB_QUEUED);
                world_restart(w);
                assert_int_equal(world_find(w, 2)->state, JOB_QUEUED);
        }
}

static void who_waits_for_a_job_in_memory_is_told_when_it_was_lost(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r);
        Job *second;

        spec.memory = true;
        (void)submit_after(w, world_submit(w, &spec), false);
        world_rest(w);
        world_restart(w);
        world_rest(w);
        second = world_find(w, 2);
        assert_int_equal(second->state, JOB_CANCELLED);
        assert_non_null(strstr(second->history->reason, "lost with the daemon's memory"));
        assert_int_equal(edges(w), 0);
}

static void dependencies_go_with_a_job_that_ends_otherwise(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *first = world_job(w), *second = submit_after(w, first, false), *third;

        third = submit_after(w, second, false);
        world_rest(w);
        assert_int_equal(edges(w), 2);
        rig_cancel(w->r, first);
        world_rest(w);
        assert_int_equal(third->state, JOB_CANCELLED);
        assert_int_equal(edges(w), 0);
        check_restart(w);
}

/* --- removals --- */

static void old_jobs_are_removed_some_at_a_time(void **state UNUSED)
{
        enum { MANY = 700, MOST = 200 };
        AUTO(world_free) World *w = open_world();
        StoreStatus before, after;
        int batches = 0;

        for (int i = 0; i < MANY; i++) {
                JobSpec spec = rig_spec(w->r);
                bool duplicate;
                Uuid missing;
                Job *job;

                assert_int_equal(core_submit(&w->r->core, &spec, 1, w->r->now, &job, &duplicate,
                                             &missing),
                                 0);
                core_cancel(&w->r->core, job, NULL, w->r->now);
        }
        world_rest(w);
        w->r->core.limits.keep_max = 0;
        core_tick(&w->r->core, w->r->now);
        store_status(w->store, &before);
        while (w->r->core.ids.count) {
                (void)store_work(w->store, w->r->now);
                store_status(w->store, &after);
                if (after.commits != before.commits) {
                        assert_int_equal(after.commits, before.commits + 1);
                        assert_in_range(after.writes - before.writes, 1, MOST);
                        before = after;
                        batches++;
                }
                if (w->r->core.ids.count)
                        world_turn(w);
        }
        assert_int_equal(batches, (MANY + MOST - 1) / MOST);
        assert_int_equal(world_number(w, "SELECT count(*) FROM job"), 0);
}

/* --- what is not opened --- */

static void a_row_that_makes_no_sense_is_told_and_nothing_is_opened(void **state UNUSED)
{
        static const struct {
                const char *sql, *words;
        } cases[] = {
                { "UPDATE job SET state = 9", "makes no sense" },
                { "UPDATE job SET state = -1", "makes no sense" },
                { "UPDATE job SET id = 'nobody'", "job nobody: its row makes no sense" },
                { "UPDATE job SET id = ''", "makes no sense" },
                { "UPDATE job SET state = 3, attempt = 0", "makes no sense" },
                { "UPDATE job SET state = 4, ended_usec = NULL", "makes no sense" },
                { "UPDATE job SET attempts = 'words'", "makes no sense" },
                { "UPDATE job SET attempts = '[{\"number\":1}]'", "makes no sense" },
                { "UPDATE job SET semaphores = '{}'", "makes no sense" },
                { "UPDATE job SET semaphores = '[1]'", "makes no sense" },
                { "INSERT INTO dependency VALUES (99, '00000000-0000-0000-0000-000000000001')",
                  "a dependency of no job" },
                { "INSERT INTO dependency VALUES (1, 'nobody')", "a dependency of no job" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(world_free) World *w = open_world();
                CoreLimits limits = LIMITS;

                (void)world_job(w);
                world_close(w);
                core_fini(&w->r->core);
                rig_init(w->r, &limits);
                world_sql(w, cases[i].sql);
                CHECK(world_try_open(w) == -EBADMSG, cases[i].sql);
                if (!strstr(w->error, cases[i].words) || !strstr(w->error, w->path))
                        fail_msg("%s: %s", cases[i].sql, w->error);
        }
}

static void write_file(const char *path, const char *text)
{
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void what_is_not_ours_is_refused_with_words(void **state UNUSED)
{
        static const struct {
                const char *name, *sql, *words;
        } cases[] = {
                { "no database", NULL, "not a database" },
                { "another program's", "CREATE TABLE t (a)", "not one of brood" },
                { "another program's with a version", "CREATE TABLE t (a); PRAGMA user_version = 1",
                  "not one of brood" },
                { "newer", "PRAGMA application_id = 1651666788; PRAGMA user_version = 2",
                  "schema version 2, this program knows versions up to 1" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(world_free) World *w = world_new(LIMITS);

                if (cases[i].sql)
                        world_sql(w, cases[i].sql);
                else
                        write_file(w->path, "This is a letter to a friend, and it is longer than "
                                            "the header of a database, of a hundred bytes.");
                CHECK(world_try_open(w) == -EBADMSG, cases[i].name);
                if (!strstr(w->error, cases[i].words) || !strstr(w->error, w->path))
                        fail_msg("%s: %s", cases[i].name, w->error);
                w->store = NULL;
        }
}

static void a_directory_that_is_missing_or_read_only_is_told(void **state UNUSED)
{
        AUTO(world_free) World *w = world_new(LIMITS);
        char directory[sizeof(w->directory)];

        memcpy(directory, w->directory, sizeof(directory));
        (void)snprintf(w->directory, sizeof(w->directory), "/tmp/brood-unit-is-not-there");
        assert_int_equal(world_try_open(w), -ENOENT);
        assert_non_null(strstr(w->error, "unable to open"));
        memcpy(w->directory, directory, sizeof(directory));
        if (geteuid() == 0)
                return; /* nothing is read-only for root */
        assert_int_equal(chmod(w->directory, 0500), 0);
        assert_int_equal(world_try_open(w), -EACCES);
        assert_non_null(strstr(w->error, "unable to open"));
        assert_int_equal(chmod(w->directory, 0700), 0);
}

/* --- when it fails --- */

static void until_down(World *w)
{
        while (!store_error(w->store)) {
                if (!world_work(w))
                        world_turn(w);
        }
}

static void until_up(World *w)
{
        while (store_error(w->store))
                if (!world_work(w))
                        world_turn(w);
        world_rest(w);
}

static void what_cannot_be_written_is_refused_and_what_has_happened_is_kept(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Rig *r = w->r;
        Job *running = world_job(w), *queued = world_job(w), *refused, *memory;
        JobSpec spec = rig_spec(r);
        StoreStatus s;

        world_run(w, running);
        world_break(w);
        refused = rig_submit(r, &spec);
        until_down(w);
        assert_non_null(strstr(store_error(w->store), "out of order"));
        assert_non_null(strstr(store_error(w->store), w->path));
        store_status(w->store, &s);
        assert_int_equal(s.failures, 1);
        assert_true(rig_events(r, refused) & EVENT_REFUSED);
        core_forget(&r->core, refused);

        rig_settle(r, running, OUTCOME_SUCCEEDED); /* what runs goes on */
        spec = rig_spec(r);
        refused = rig_submit(r, &spec);
        spec = rig_spec(r);
        spec.memory = true;
        memory = rig_submit(r, &spec);
        (void)world_work(w);
        assert_int_equal(rig_events(r, refused), EVENT_REFUSED); /* at once */
        core_forget(&r->core, refused);
        assert_true(memory->listed);
        assert_ptr_not_equal(core_claim(&r->core, r->pool, RIG_ROOM, r->now), queued);
        assert_int_equal(running->state, JOB_RUNNING);
        assert_int_equal(running->request, REQUEST_SETTLE);
        while (s.failures < 3) { /* it is tried again, and again */
                world_turn(w);
                (void)world_work(w);
                store_status(w->store, &s);
        }
        assert_non_null(store_error(w->store));
        assert_int_equal(running->state, JOB_RUNNING);

        world_mend(w);
        until_up(w);
        assert_null(store_error(w->store));
        assert_int_equal(running->state, JOB_SUCCEEDED);
        world_run(w, queued);
        world_end(w, queued, OUTCOME_SUCCEEDED);
        assert_true(world_job(w)->listed);
        world_restart(w);
        assert_int_equal(world_find(w, 1)->state, JOB_SUCCEEDED);
        assert_int_equal(world_find(w, 2)->state, JOB_SUCCEEDED);
}

/* Nothing was kept, and nobody asks for anything: it finds out by itself. */
static void it_recovers_without_being_asked(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r);
        Job *refused;

        world_break(w);
        refused = rig_submit(w->r, &spec);
        until_down(w);
        core_forget(&w->r->core, refused);
        world_mend(w);
        until_up(w);
        assert_int_equal(world_number(w, "SELECT count(*) FROM large"), 0); /* of the probe */
        assert_true(world_job(w)->listed);
}

static void a_refused_removal_is_tried_again_later(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        Job *job = world_job(w);

        rig_cancel(w->r, job);
        world_rest(w);
        world_break(w);
        w->r->now += 3600 * USEC_PER_SEC;
        core_tick(&w->r->core, w->r->now);
        until_down(w);
        assert_non_null(world_find(w, 1));
        world_mend(w);
        until_up(w);
        world_wait(w, USEC_PER_SEC);
        assert_null(world_find(w, 1));
        assert_int_equal(world_number(w, "SELECT count(*) FROM job"), 0);
}

static void payloads_can_be_fetched_while_nothing_can_be_written(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r);
        Job *job, *refused;

        spec.args = LARGE_ARGS;
        job = world_submit(w, &spec);
        core_shed(&w->r->core, job);
        world_break(w);
        spec.id = uuid_of(++w->r->ids);
        refused = rig_submit(w->r, &spec);
        until_down(w);
        core_forget(&w->r->core, refused);
        assert_int_equal(store_fetch(w->store, job), 0);
        while (job->fetching)
                if (!world_work(w))
                        world_turn(w);
        assert_true(slice_equal(job_args(job), LARGE_ARGS));
        world_mend(w);
        until_up(w);
}

static void payloads_that_are_gone_are_not_waited_for(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        JobSpec spec = rig_spec(w->r);
        Job *job;

        spec.args = LARGE_ARGS;
        job = world_submit(w, &spec);
        core_shed(&w->r->core, job);
        world_sql(w, "DELETE FROM large");
        assert_int_equal(store_fetch(w->store, job), 0);
        while (job->fetching)
                if (!world_work(w))
                        world_turn(w);
        assert_true(job->args_shed);
}

static bool mount_small(const char *directory)
{
        return mount("tmpfs", directory, "tmpfs", 0, "size=1m") == 0;
}

/* Leaves no room on the file system of the store; returns the file that takes it. */
static FILE *fill_disk(const World *w, char *path, size_t size)
{
        FILE *f;

        (void)snprintf(path, size, "%s/filler", w->directory);
        f = fopen(path, "w");
        assert_non_null(f);
        setbuf(f, NULL);
        while (fputc('x', f) != EOF)
                if (fwrite(large_args, sizeof(large_args), 1, f) != 1)
                        break;
        return f;
}

static void run_on_full_disk(World *w)
{
        char path[sizeof(w->path) + 16];
        Job *running, *refused;
        JobSpec spec;
        FILE *f;

        world_open(w);
        running = world_job(w);
        world_run(w, running);
        f = fill_disk(w, path, sizeof(path));
        spec = rig_spec(w->r);
        spec.args = LARGE_ARGS;
        refused = rig_submit(w->r, &spec);
        for (int i = 0; i < 2000 && !store_error(w->store); i++) { /* the log may have room left */
                if (world_work(w))
                        continue;
                if (!store_is_idle(w->store)) {
                        world_turn(w);
                        continue;
                }
                spec.id = uuid_of(++w->r->ids);
                refused = rig_submit(w->r, &spec);
        }
        assert_non_null(store_error(w->store));
        assert_non_null(strstr(store_error(w->store), "the disk is full"));
        assert_true(rig_events(w->r, refused) & EVENT_REFUSED);
        core_forget(&w->r->core, refused);
        rig_settle(w->r, running, OUTCOME_SUCCEEDED);
        (void)world_work(w);
        assert_int_equal(running->state, JOB_RUNNING);
        (void)fclose(f);
        assert_int_equal(unlink(path), 0);
        until_up(w);
        assert_int_equal(running->state, JOB_SUCCEEDED);
        assert_true(world_job(w)->listed);
        world_restart(w);
        assert_int_equal(world_find(w, 1)->state, JOB_SUCCEEDED);
        world_close(w);
}

static void a_full_disk_loses_nothing_and_is_left_when_there_is_room(void **state UNUSED)
{
        AUTO(world_free) World *w = world_new(LIMITS);

        if (!mount_small(w->directory)) {
                print_message("skipped: no right to mount\n");
                return;
        }
        run_on_full_disk(w);
        assert_int_equal(umount2(w->directory, MNT_DETACH), 0);
}

/* --- closing --- */

static void closing_waits_for_what_is_under_way(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();

        for (int i = 0; i < 50; i++) {
                JobSpec spec = rig_spec(w->r);

                (void)rig_submit(w->r, &spec);
        }
        (void)store_work(w->store, w->r->now);
        world_restart(w); /* with jobs that it has, and that nobody was told of */
        assert_int_equal(w->r->core.count[JOB_QUEUED], 50);
}

static void the_log_is_empty_after_closing(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        char log[sizeof(w->path) + 8];
        struct stat st;

        (void)world_job(w);
        world_close(w);
        (void)snprintf(log, sizeof(log), "%s-wal", w->path);
        assert_true(stat(log, &st) < 0 || st.st_size == 0);
}

static void figures_count_what_was_written(void **state UNUSED)
{
        AUTO(world_free) World *w = open_world();
        StoreStatus s;
        Job *job = world_job(w);

        store_status(w->store, &s);
        assert_int_equal(s.commits, 1);
        assert_int_equal(s.writes, 1);
        assert_true(s.bytes > 0);
        world_run(w, job);
        world_end(w, job, OUTCOME_SUCCEEDED);
        store_status(w->store, &s);
        assert_int_equal(s.commits, 3);
        assert_int_equal(s.writes, 3);
        assert_true(s.worst_commit >= s.last_commit);
        assert_true(w->woken >= 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_new_directory_gets_an_empty_store),
                cmocka_unit_test(an_empty_file_becomes_a_store),
                cmocka_unit_test(jobs_of_each_state_are_the_same_after_a_restart),
                cmocka_unit_test(many_jobs_are_the_same_after_a_restart),
                cmocka_unit_test(what_ran_has_an_attempt_that_says_so),
                cmocka_unit_test(what_was_given_back_has_no_attempt),
                cmocka_unit_test(a_cancel_of_what_runs_is_kept),
                cmocka_unit_test(memory_jobs_are_not_written),
                cmocka_unit_test(an_attempt_is_the_same_after_its_way_through_json),
                cmocka_unit_test(what_is_no_list_of_ended_attempts_is_refused),
                cmocka_unit_test(a_hundred_attempts_are_the_same_after_a_restart),
                cmocka_unit_test(
                        large_payloads_stand_beside_the_row_and_come_when_they_are_asked_for),
                cmocka_unit_test(large_arguments_come_with_the_claim),
                cmocka_unit_test(of_several_results_the_last_is_kept),
                cmocka_unit_test(a_dependency_goes_when_it_is_met),
                cmocka_unit_test(a_dependency_that_is_met_at_once_leaves_no_row),
                cmocka_unit_test(
                        a_dependency_that_is_met_while_it_is_written_goes_with_the_next_batch),
                cmocka_unit_test(who_waits_for_a_job_in_memory_is_told_when_it_was_lost),
                cmocka_unit_test(dependencies_go_with_a_job_that_ends_otherwise),
                cmocka_unit_test(old_jobs_are_removed_some_at_a_time),
                cmocka_unit_test(a_row_that_makes_no_sense_is_told_and_nothing_is_opened),
                cmocka_unit_test(what_is_not_ours_is_refused_with_words),
                cmocka_unit_test(a_directory_that_is_missing_or_read_only_is_told),
                cmocka_unit_test(what_cannot_be_written_is_refused_and_what_has_happened_is_kept),
                cmocka_unit_test(it_recovers_without_being_asked),
                cmocka_unit_test(a_refused_removal_is_tried_again_later),
                cmocka_unit_test(payloads_can_be_fetched_while_nothing_can_be_written),
                cmocka_unit_test(payloads_that_are_gone_are_not_waited_for),
                cmocka_unit_test(a_full_disk_loses_nothing_and_is_left_when_there_is_room),
                cmocka_unit_test(closing_waits_for_what_is_under_way),
                cmocka_unit_test(the_log_is_empty_after_closing),
                cmocka_unit_test(figures_count_what_was_written),
        };

        return cmocka_run_group_tests(tests, make_payloads, NULL);
}
