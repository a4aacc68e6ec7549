/* SPDX-License-Identifier: MIT */

/* Each test has a directory of its own, and writes the files into it that it needs. */

#include "settings/settings.h"

#include <ftw.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

typedef struct Fixture {
        char directory[64];
        char path[256];
        Settings *settings;
        SettingsError error;
} Fixture;

static int set_up(void **state)
{
        Fixture *f = calloc(1, sizeof(*f));
        static const char *const folders[] = { "pools", "brood.conf.d", "modules" };

        assert_non_null(f);
        (void)snprintf(f->directory, sizeof(f->directory), "/tmp/brood-settings-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        for (size_t i = 0; i < ELEMENTS(folders); i++) {
                (void)snprintf(f->path, sizeof(f->path), "%s/%s", f->directory, folders[i]);
                assert_int_equal(mkdir(f->path, 0700), 0);
        }
        assert_int_equal(setenv("BROOD_MODULE_PATH", f->path, 1), 0); /* the last one: modules */
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
        int r = nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);

        settings_free(f->settings);
        free(f);
        return r;
}

static void write_bytes(Fixture *f, const char *name, Slice bytes)
{
        FILE *out;

        (void)snprintf(f->path, sizeof(f->path), "%s/%s", f->directory, name);
        out = fopen(f->path, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(bytes.data, 1, bytes.len, out), bytes.len);
        assert_int_equal(fclose(out), 0);
}

static void write_file(Fixture *f, const char *name, const char *text)
{
        write_bytes(f, name, slice_of(text));
}

static int read_again(Fixture *f)
{
        settings_free(f->settings);
        f->settings = NULL;
        f->error = (SettingsError){ 0 };
        return settings_read(&f->settings, f->directory, false, &f->error);
}

static void read_well(Fixture *f)
{
        int r = read_again(f);

        if (r < 0)
                fail_msg("%d: %s:%d: %s", r, f->error.file, f->error.line, f->error.message);
        assert_int_equal(r, 0);
}

/* The pool p with this file, which must be good. */
static const PoolSettings *read_pool(Fixture *f, const char *text)
{
        write_file(f, "pools/p.pool", text);
        read_well(f);
        assert_int_equal(f->settings->n_pools, 1);
        return &f->settings->pools[0];
}

static void an_empty_directory_means_defaults(void **state)
{
        Fixture *f = *state;

        read_well(f);
        assert_int_equal(f->settings->n_pools, 0);
        assert_int_equal(f->settings->log_level, LOG_LEVEL_INFO);
        assert_int_equal(f->settings->stop_timeout, 90 * USEC_PER_SEC);
        assert_int_equal(f->settings->max_queued, 1000000);
        assert_int_equal(f->settings->max_args_size, 1 << 20);
        assert_int_equal(f->settings->durability, DURABILITY_FSYNC);
        assert_string_equal(f->settings->directory, f->directory);
}

static void a_directory_that_is_not_there_may_be_optional(void **state)
{
        Fixture *f = *state;
        const char *nowhere = "/nonexistent/brood";

        assert_int_equal(settings_read(&f->settings, nowhere, false, &f->error), -EINVAL);
        assert_string_equal(f->error.file, nowhere);
        assert_int_equal(f->error.line, 0);
        assert_int_equal(settings_read(&f->settings, nowhere, true, &f->error), 0);
        assert_int_equal(f->settings->n_pools, 0);
        settings_free(f->settings);
        f->settings = NULL;
        assert_int_equal(settings_read(&f->settings, "/dev/null", true, &f->error), -EINVAL);
}

static void later_files_and_later_lines_win(void **state)
{
        Fixture *f = *state;

        write_file(f, "brood.conf", "[Queue]\nMaxQueued=1\nMaxQueued=2\nKeepFinished=1s\n"
                                    "[Daemon]\nLogLevel=debug\n");
        write_file(f, "brood.conf.d/20.conf", "[Queue]\nMaxQueued=20\n");
        write_file(f, "brood.conf.d/10.conf", "[Queue]\nMaxQueued=10\nMaxArgsSize=10\n");
        write_file(f, "brood.conf.d/30.conf.off", "[Queue]\nMaxQueued=30\n");
        write_file(f, "brood.conf.d/.40.conf", "[Queue]\nMaxQueued=40\n");
        read_well(f);
        assert_int_equal(f->settings->max_queued, 20);
        assert_int_equal(f->settings->max_args_size, 10);
        assert_int_equal(f->settings->keep_finished, USEC_PER_SEC);
        assert_int_equal(f->settings->log_level, LOG_LEVEL_DEBUG);
}

static void comments_blanks_and_line_ends_do_not_matter(void **state)
{
        Fixture *f = *state;

        write_file(f, "brood.conf", "\xef\xbb\xbf# first\r\n\r\n ; second\r\n[Queue]\r\n"
                                    "  MaxQueued =\t5  \r\n#MaxQueued=6");
        read_well(f);
        assert_int_equal(f->settings->max_queued, 5);
}

static void a_comment_starts_only_at_the_start_of_a_line(void **state)
{
        const PoolSettings *p = read_pool(*state, "[Pool]\nCommand=/bin/sh -c 'a;b #c' ; d=e:f\n");

        assert_string_equal(p->command[2], "a;b #c");
        assert_string_equal(p->command[3], ";");
        assert_string_equal(p->command[4], "d=e:f");
}

static void every_type_is_read_into_its_place(void **state)
{
        const PoolSettings *p = read_pool(
                *state,
                "[Pool]\nBuiltin=exec\nStartMethod=spawn\nStartTimeout=1min 30s\nMinWorkers=3\n"
                "Priority=-5\nOutputMax=64K\n"
                "[Process]\nUMask=0077\nNice=-3\nNoNewPrivileges=yes\nWorkingDirectory=/tmp\n"
                "PassEnvironment=HOME LANG\nLimitNOFILE=1K\nLimitCPU=10\n");

        assert_int_equal(p->start_method, START_SPAWN);
        assert_int_equal(p->start_timeout, 90 * USEC_PER_SEC);
        assert_int_equal(p->min_workers, 3);
        assert_int_equal(p->priority, -5);
        assert_int_equal(p->output_max, 65536);
        assert_int_equal(p->umask, 077);
        assert_int_equal(p->nice, -3);
        assert_true(p->no_new_privileges);
        assert_string_equal(p->working_directory, "/tmp");
        assert_string_equal(p->pass_environment[1], "LANG");
        assert_null(p->pass_environment[2]);
        assert_int_equal(p->limit_nofile.soft, 1024);
        assert_int_equal(p->limit_nofile.hard, 1024);
        assert_int_equal(p->limit_cpu.soft, 10);
        assert_false(p->limit_as.set);
}

static void infinity_is_a_limit_too(void **state)
{
        const PoolSettings *p = read_pool(
                *state, "[Pool]\nBuiltin=exec\n[Process]\nLimitCORE=infinity\nLimitCPU=infinity\n"
                        "MemoryMax=infinity\n");

        assert_true(p->memory_max == SETTING_UNSET);
        assert_true(p->limit_core.set && p->limit_core.hard == RLIM_INFINITY);
        assert_true(p->limit_cpu.set && p->limit_cpu.soft == RLIM_INFINITY);
}

static void environment_gathers_and_one_name_has_one_value(void **state)
{
        const PoolSettings *p =
                read_pool(*state, "[Pool]\nBuiltin=exec\n[Process]\nEnvironment=LOST=1\n"
                                  "Environment=\nEnvironment=A=1 \"B=x y\"\n"
                                  "Environment=C= A=2\n");

        assert_string_equal(p->environment[0], "A=2");
        assert_string_equal(p->environment[1], "B=x y");
        assert_string_equal(p->environment[2], "C=");
        assert_null(p->environment[3]);
}

static void an_assignment_to_nothing_is_the_default_or_off(void **state)
{
        const PoolSettings *p = read_pool(
                *state,
                "[Pool]\nModule=x\nModule=\nCommand=/bin/true\nHandlers=a b\nHandlers=\n"
                "MinWorkers=7\nMinWorkers=\nTimeout=5s\nTimeout=\nPoisonDeaths=\nMaxQueued=5\n"
                "MaxQueued=\n[Process]\nLimitAS=5\nLimitAS=\n");

        assert_null(p->module);
        assert_null(p->handlers);
        assert_int_equal(p->handlers_line, 0);
        assert_int_equal(p->min_workers, 2);
        assert_int_equal(p->timeout, 0);
        assert_int_equal(p->poison_deaths, 0);
        assert_int_equal(p->max_queued, 0);
        assert_false(p->limit_as.set);
}

static void free_settings_keep_their_order_and_the_last_value(void **state)
{
        const PoolSettings *p =
                read_pool(*state, "[Pool]\nBuiltin=exec\n[Settings]\nb=1\na = x y \nc=3\n"
                                  "b=2\nc=\nAny.Key-1=a=b;c\n");

        assert_int_equal(p->n_free, 3);
        assert_string_equal(p->free[0].key, "a");
        assert_string_equal(p->free[0].value, "x y");
        assert_string_equal(p->free[1].key, "b");
        assert_string_equal(p->free[1].value, "2");
        assert_string_equal(p->free[2].key, "Any.Key-1");
        assert_string_equal(p->free[2].value, "a=b;c");
}

static void a_line_may_be_long(void **state)
{
        Fixture *f = *state;
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        const PoolSettings *p;

        buffer_append_literal(&b, "[Pool]\nBuiltin=exec\n[Settings]\nlong=");
        for (int i = 0; i < 300000; i++)
                buffer_append_char(&b, (char)('a' + i % 26));
        buffer_append_literal(&b, "\nafter=1\n");
        buffer_append_char(&b, '\0');
        p = read_pool(f, buffer_bytes(&b));
        assert_int_equal(strlen(p->free[0].value), 300000);
        assert_int_equal(p->free[0].value[299999], 'a' + 299999 % 26);
        assert_string_equal(p->free[1].key, "after");
}

static void exec_has_defaults_of_its_own(void **state)
{
        const PoolSettings *p = read_pool(*state, "[Pool]\nBuiltin=exec\n");

        assert_string_equal(p->handlers[0], "exec");
        assert_null(p->handlers[1]);
        assert_int_equal(p->max_attempts, 1);
        assert_int_equal(p->poison_deaths, 0);
        p = read_pool(*state,
                      "[Pool]\nBuiltin=exec\nHandlers=exec\nMaxAttempts=3\nPoisonDeaths=3\n");
        assert_int_equal(p->max_attempts, 3);
        assert_int_equal(p->poison_deaths, 3);
        p = read_pool(*state, "[Pool]\nBuiltin=exec\nMaxAttempts=3\nMaxAttempts=\n");
        assert_int_equal(p->max_attempts, 1);
}

static void modules_and_commands_become_their_paths(void **state)
{
        Fixture *f = *state;
        const PoolSettings *p;

        write_file(f, "modules/m.so", "");
        (void)snprintf(f->path, sizeof(f->path), "%s/modules/m.so", f->directory);
        p = read_pool(f, "[Pool]\n\nModule=m.so\nHandlers=h\n");
        (void)snprintf(f->path, sizeof(f->path), "%s/modules/m.so", f->directory);
        assert_string_equal(p->module, f->path);
        assert_int_equal(p->source_line, 3);
        assert_int_equal(p->handlers_line, 4);
        assert_int_equal(p->start_method, START_FORKSERVER);

        p = read_pool(f, "[Pool]\nCommand=sh worker.sh\nStartMethod=forkserver\n");
        assert_int_equal(p->command[0][0], '/');
        assert_int_equal(access(p->command[0], X_OK), 0);
        assert_string_equal(p->command[1], "worker.sh");
        assert_int_equal(p->start_method, START_SPAWN);
}

static void pools_are_sorted_by_name(void **state)
{
        Fixture *f = *state;

        write_file(f, "pools/b.pool", "[Pool]\nCommand=/bin/true\nHandlers=b\n");
        write_file(f, "pools/a-1_Z.pool", "[Pool]\nCommand=/bin/true\nHandlers=a\n");
        write_file(f, "pools/c.pool.bak", "nonsense");
        write_file(f, "pools/.d.pool", "nonsense");
        read_well(f);
        assert_int_equal(f->settings->n_pools, 2);
        assert_string_equal(f->settings->pools[0].name, "a-1_Z");
        assert_string_equal(f->settings->pools[1].name, "b");
        (void)snprintf(f->path, sizeof(f->path), "%s/pools/b.pool", f->directory);
        assert_string_equal(f->settings->pools[1].file, f->path);
}

/* --- what is wrong --- */

typedef struct Wrong {
        const char *text;
        int line;
        const char *message; /* how it starts */
} Wrong;

static void assert_wrong(Fixture *f, const char *name, const Wrong *cases, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                write_file(f, name, cases[i].text);
                CHECK(read_again(f) == -EINVAL, cases[i].text);
                CHECK(!f->settings, cases[i].text);
                if (strncmp(f->error.message, cases[i].message, strlen(cases[i].message)) != 0)
                        fail_msg("%s\nfound:    %s\nexpected: %s", cases[i].text, f->error.message,
                                 cases[i].message);
                CHECK(f->error.line == cases[i].line, cases[i].text);
                (void)snprintf(f->path, sizeof(f->path), "%s/%s", f->directory, name);
                assert_string_equal(f->error.file, f->path);
        }
}

static void unknown_words_are_refused_with_a_hint(void **state)
{
        static const Wrong daemon[] = {
                { "[Deamon]\n", 1, "unknown section [Deamon]: did you mean [Daemon]?" },
                { "\n[Pool]\n", 2,
                  "unknown section [Pool]: expected [Daemon], [Queue], [Access], [Metrics] or "
                  "[Semaphores]" },
                { "[Settings]\na=1\n", 1, "unknown section [Settings]: expected" },
                { "[queue]\n", 1, "unknown section [queue]: did you mean [Queue]?" },
                { "[Queue]\nmaxqueued=1\n", 2,
                  "unknown key 'maxqueued' in [Queue]: did you mean 'MaxQueued'?" },
                { "[Daemon]\nMaxQueued=1\n", 2,
                  "unknown key 'MaxQueued' in [Daemon]: it belongs in [Queue]" },
                { "[Daemon]\nColour=red\n", 2,
                  "unknown key 'Colour' in [Daemon]: expected one of LogLevel StopTimeout" },
        };
        static const Wrong pool[] = {
                { "[Pool]\nMinWorker=1\n", 2,
                  "unknown key 'MinWorker' in [Pool]: did you mean 'MinWorkers'?" },
                { "[Pool]\nHanlders=a\n", 2,
                  "unknown key 'Hanlders' in [Pool]: did you mean 'Handlers'?" },
                { "[Process]\nModule=a\n", 2,
                  "unknown key 'Module' in [Process]: it belongs in [Pool]" },
                { "[Setings]\n", 1, "unknown section [Setings]: did you mean [Settings]?" },
                { "[Queue]\n", 1,
                  "unknown section [Queue]: expected [Pool], [Process] or [Settings]" },
        };

        assert_wrong(*state, "pools/p.pool", pool, ELEMENTS(pool));
        assert_int_equal(remove(((Fixture *)*state)->path), 0);
        assert_wrong(*state, "brood.conf", daemon, ELEMENTS(daemon));
}

static void values_out_of_range_or_misspelled_are_refused(void **state)
{
        static const Wrong daemon[] = {
                { "[Daemon]\nLogLevel=loud\n", 2,
                  "LogLevel=loud: expected error, warning, notice, info or debug" },
                { "[Daemon]\nLogLevel=Info\n", 2, "LogLevel=Info: expected" },
                { "[Daemon]\nStopTimeout=soon\n", 2, "StopTimeout=soon: expected a time span" },
                { "[Daemon]\nMaxConnections=0\n", 2,
                  "MaxConnections=0: expected a whole number from 1 to 1000000" },
                { "[Queue]\nMaxArgsSize=1\n", 2,
                  "MaxArgsSize=1: expected a size (like 64K or 1M) from 2 to 1G" },
                { "[Queue]\nMaxArgsSize=2G\n", 2, "MaxArgsSize=2G: expected" },
                { "[Queue]\nMaxBytes=-1\n", 2, "MaxBytes=-1: expected a size (like 64K or 1M)" },
                { "[Queue]\nDurability=both\n", 2, "Durability=both: expected fsync or memory" },
        };
        static const Wrong pool[] = {
                { "[Pool]\nMinWorkers=x\n", 2,
                  "MinWorkers=x: expected a whole number from 0 to 10000" },
                { "[Pool]\n\nMinWorkers=10001\n", 3, "MinWorkers=10001: expected" },
                { "[Pool]\nMinWorkers=-1\n", 2, "MinWorkers=-1: expected" },
                { "[Pool]\nPriority=1001\n", 2,
                  "Priority=1001: expected a whole number from -1000 to 1000" },
                { "[Pool]\nStartTimeout=1us\n", 2,
                  "StartTimeout=1us: expected a time span (like 5s or 2min) of at least 1ms" },
                { "[Pool]\nStartMethod=fork\n", 2,
                  "StartMethod=fork: expected forkserver or spawn" },
                { "[Pool]\nCommand=\"a\n", 2, "Command=\"a: expected a program and its arguments" },
                { "[Pool]\nCommand=''\n", 2, "Command='': expected" },
                { "[Process]\nUMask=888\n", 2,
                  "UMask=888: expected an octal mode from 0000 to 0777" },
                { "[Process]\nUMask=1000\n", 2, "UMask=1000: expected" },
                { "[Process]\nUMask=-1\n", 2, "UMask=-1: expected" },
                { "[Process]\nMemoryMax=1023K\n", 2,
                  "MemoryMax=1023K: expected a size (like 64K or 1M) of at least 1M" },
                { "[Process]\nTasksMax=0\n", 2,
                  "TasksMax=0: expected a whole number of at least 1" },
                { "[Process]\nCPUWeight=10001\n", 2,
                  "CPUWeight=10001: expected a whole number from 1 to 10000" },
                { "[Process]\nNice=20\n", 2, "Nice=20: expected a whole number from -20 to 19" },
                { "[Process]\nNoNewPrivileges=maybe\n", 2,
                  "NoNewPrivileges=maybe: expected yes or no" },
                { "[Process]\nEnvironment=A\n", 2, "Environment=A: expected NAME=value" },
                { "[Process]\nEnvironment=1A=b\n", 2, "Environment=1A=b: expected NAME=value" },
                { "[Process]\nEnvironment=\"A=b\n", 2, "Environment=\"A=b: expected NAME=value" },
                { "[Process]\nEnvironment==b\n", 2, "Environment==b: expected NAME=value" },
        };

        assert_wrong(*state, "pools/p.pool", pool, ELEMENTS(pool));
        assert_int_equal(remove(((Fixture *)*state)->path), 0);
        assert_wrong(*state, "brood.conf", daemon, ELEMENTS(daemon));
}

static void access_lists_are_read_and_an_unknown_name_is_refused(void **state)
{
        static const Wrong daemon[] = {
                { "[Access]\nSubmit=root\nSubmit=root nobody-of-this-name\n", 3,
                  "Submit=: there is no user 'nobody-of-this-name'; expected names or numbers of "
                  "users, @groups, or *" },
                { "\n[Access]\nOperate=@no-such-group\n", 3,
                  "Operate=: there is no group 'no-such-group'; expected" },
                { "[Access]\nSee=4294967295\n", 2, "See=: 4294967295 is no number of a user" },
                { "[Access]\nMaxConnections=many\n", 2, "MaxConnections=many: expected a whole" },
                { "[Access]\nSubmitt=*\n", 2,
                  "unknown key 'Submitt' in [Access]: did you mean 'Submit'?" },
        };
        Fixture *f = *state;

        write_file(f, "brood.conf", "[Access]\nSubmit=root @adm\nSee=\nMaxRate=5\nMaxBytes=1K\n");
        write_file(f, "pools/p.pool", "[Pool]\nBuiltin=exec\nSubmit=1000\n");
        read_well(f);
        assert_true(principals_match(f->settings->submit, 0, NULL, 0));
        assert_false(principals_match(f->settings->submit, 1000, NULL, 0));
        assert_non_null(f->settings->see); /* nobody, and that is set */
        assert_true(principals_nobody(f->settings->see));
        assert_null(f->settings->operate);
        assert_int_equal(f->settings->user_max_connections, 1024);
        assert_int_equal(f->settings->user_max_rate, 5);
        assert_int_equal(f->settings->user_max_bytes, 1024);
        assert_int_equal(f->settings->user_max_queued, 0);
        assert_true(principals_match(f->settings->pools[0].submit, 1000, NULL, 0));
        write_file(f, "brood.conf.d/1.conf", "[Access]\nSubmit=\nSubmit=daemon\n");
        read_well(f);
        assert_false(principals_match(f->settings->submit, 0, NULL, 0));
        assert_int_equal(remove(f->path), 0);
        assert_wrong(f, "brood.conf", daemon, ELEMENTS(daemon));
}

static void who_may_submit_is_no_reason_for_new_workers(void **state)
{
        Fixture *f = *state;
        PoolSettings a = *read_pool(f, "[Pool]\nBuiltin=exec\nSubmit=root\n"), b = a;
        Principals nobody = { 0 };

        b.submit = &nobody;
        assert_true(pool_settings_same_process(&a, &b));
}

static void lines_that_are_nothing_are_refused(void **state)
{
        static const Wrong cases[] = {
                { "MaxQueued=1\n", 1, "expected a [Section] before 'MaxQueued='" },
                { "[Queue]\nMaxQueued\n", 2, "expected Key=value, a [Section] or a # comment" },
                { "[Queue]\nMaxQueued: 5\n", 2, "expected Key=value" },
                { "[Queue]\n=5\n", 2, "expected Key=value" },
                { "[Queue]\nMaxQueued=1\n\n\nwhat\n", 5, "expected Key=value" },
                { "[Queue\n", 1, "expected a section like [Name] alone on its line" },
                { "[Queue] # x\n", 1, "expected a section" },
                { "[]\n", 1, "unknown section []" },
                { "[Queue]\nMaxQueued=1 \\\n  2\n", 2, "MaxQueued=1 \\: expected" },
                { "[Daemon]\n#\xff\n", 2, "expected text in UTF-8 without NUL" },
                { "\xed\xa0\x80", 1, "expected text in UTF-8" },
        };
        Fixture *f = *state;

        assert_wrong(f, "brood.conf", cases, ELEMENTS(cases));
        write_bytes(f, "brood.conf", SLICE("[Queue]\n\nMaxQueued=1\0\n"));
        assert_int_equal(read_again(f), -EINVAL);
        assert_int_equal(f->error.line, 3);
        assert_string_equal(f->error.message, "expected text in UTF-8 without NUL");
}

/* The size of a semaphore of the config that was read; 0: there is none of that name. */
static uint64_t size_of(const Fixture *f, const char *name)
{
        uint64_t size = 0;

        for (unsigned i = 0; i < f->settings->n_semaphores; i++)
                if (strcmp(f->settings->semaphores[i].name, name) == 0) {
                        assert_int_equal(size, 0); /* each name is there once */
                        size = f->settings->semaphores[i].size;
                }
        return size;
}

static void semaphores_have_free_names_and_the_last_size_wins(void **state)
{
        Fixture *f = *state;
        char longest[128];

        read_well(f);
        assert_int_equal(f->settings->n_semaphores, 0);
        (void)snprintf(longest, sizeof(longest), "[Semaphores]\n%064d=7\n", 1);
        write_file(f, "brood.conf", "[Semaphores]\nx=1\n a.b c-D = 1000000 \nx=3\ngone=1\ngone=\n"
                                    "never=\n[Queue]\nMaxQueued=1\n[Semaphores]\nlater=2\n");
        write_file(f, "brood.conf.d/10.conf", longest);
        write_file(f, "brood.conf.d/20.conf", "[Semaphores]\nlater=4\nX=9\n");
        read_well(f);
        assert_int_equal(f->settings->n_semaphores, 5);
        assert_int_equal(size_of(f, "x"), 3);
        assert_int_equal(size_of(f, "a.b c-D"), 1000000);
        assert_int_equal(size_of(f, "later"), 4);
        assert_int_equal(size_of(f, "X"), 9);
        (void)snprintf(longest, sizeof(longest), "%064d", 1);
        assert_int_equal(size_of(f, longest), 7);
        assert_int_equal(size_of(f, "gone"), 0);
        write_file(f, "brood.conf.d/30.conf", "[Semaphores]\nx=\n");
        read_well(f);
        assert_int_equal(size_of(f, "x"), 0);
        assert_int_equal(f->settings->n_semaphores, 4);
}

static void semaphores_of_no_size_are_refused(void **state)
{
        static const Wrong cases[] = {
                { "[Semaphores]\nx=0\n", 2,
                  "x=0: expected how many jobs may hold it, 1 to 1000000" },
                { "[Semaphores]\n\nx=abc\n", 3, "x=abc: expected how many jobs may hold it" },
                { "[Semaphores]\nx=1\nx=-1\n", 3, "x=-1: expected" },
                { "[Semaphores]\nx=+1\n", 2, "x=+1: expected" },
                { "[Semaphores]\nx=1K\n", 2, "x=1K: expected" },
                { "[Semaphores]\nx=1 2\n", 2, "x=1 2: expected" },
                { "[Semaphores]\nx=1000001\n", 2, "x=1000001: expected" },
                { "[Semaphores]\nx=18446744073709551617\n", 2, "x=18446744073709551617: expected" },
                { "[Semaphores]\nx=infinity\n", 2, "x=infinity: expected" },
                { "[Semaphores]\nx\n", 2, "expected Key=value" },
                { "[Semaphores]\n=1\n", 2, "expected Key=value" },
                { "[Semaphores]\n"
                  "12345678901234567890123456789012345678901234567890123456789012345=1\n",
                  2, "the name of a semaphore has at most 64 characters" },
                { "[Semaphore]\nx=1\n", 1,
                  "unknown section [Semaphore]: did you mean [Semaphores]?" },
        };

        assert_wrong(*state, "brood.conf", cases, ELEMENTS(cases));
}

static void semaphores_are_not_the_pools(void **state)
{
        static const Wrong cases[] = {
                { "[Pool]\nBuiltin=exec\n[Semaphores]\nx=1\n", 3, "unknown section [Semaphores]" },
        };

        assert_wrong(*state, "pools/p.pool", cases, ELEMENTS(cases));
}

static void breaker_deaths_are_ten_or_as_given_or_off(void **state)
{
        static const struct {
                const char *line;
                uint64_t deaths;
        } cases[] = {
                { "", 10 },
                { "BreakerDeaths=1\n", 1 },
                { "BreakerDeaths=1000000\n", 1000000 },
                { "BreakerDeaths=0\n", 0 },
                { "BreakerDeaths=3\nBreakerDeaths=\n", 0 },
        };
        static const Wrong wrong[] = {
                { "[Pool]\nBuiltin=exec\nBreakerDeaths=1000001\n", 3,
                  "BreakerDeaths=1000001: expected" },
                { "[Pool]\nBuiltin=exec\nBreakerDeaths=-1\n", 3, "BreakerDeaths=-1: expected" },
                { "[Pool]\nBuiltin=exec\nBreakerDeaths=ten\n", 3, "BreakerDeaths=ten: expected" },
                { "[Pool]\nBuiltin=exec\nBreakerDeath=3\n", 3,
                  "unknown key 'BreakerDeath' in [Pool]: did you mean 'BreakerDeaths'?" },
        };
        char text[128];

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                (void)snprintf(text, sizeof(text), "[Pool]\nCommand=/bin/true\n%s", cases[i].line);
                CHECK(read_pool(*state, text)->breaker_deaths == cases[i].deaths, cases[i].line);
        }
        assert_wrong(*state, "pools/p.pool", wrong, ELEMENTS(wrong));
}

static void large_payloads_are_four_kib_or_as_given_or_off(void **state)
{
        Fixture *f = *state;
        static const struct {
                const char *text;
                uint64_t large;
        } cases[] = {
                { "", 4096 },
                { "[Queue]\nLargePayload=1\n", 1 },
                { "[Queue]\nLargePayload=64K\n", 65536 },
                { "[Queue]\nLargePayload=1G\n", 1 << 30 },
                { "[Queue]\nLargePayload=0\n", 0 },
                { "[Queue]\nLargePayload=1K\nLargePayload=\n", 0 },
        };
        static const Wrong wrong[] = {
                { "[Queue]\nLargePayload=2G\n", 2, "LargePayload=2G: expected a size" },
                { "[Queue]\nLargePayload=-1\n", 2, "LargePayload=-1: expected a size" },
                { "[Daemon]\nLargePayload=1K\n", 2,
                  "unknown key 'LargePayload' in [Daemon]: it belongs in [Queue]" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                write_file(f, "brood.conf", cases[i].text);
                read_well(f);
                CHECK(f->settings->large_payload == cases[i].large, cases[i].text);
        }
        assert_wrong(f, "brood.conf", wrong, ELEMENTS(wrong));
}

static void what_a_pool_needs_or_cannot_have_is_told(void **state)
{
        static const Wrong cases[] = {
                { "", 0, "expected one of Module=, Command= and Builtin=, found none" },
                { "[Pool]\nBuiltin=exec\nCommand=/bin/true\n", 3,
                  "expected one of Module=, Command= and Builtin=, found two" },
                { "[Pool]\nBuiltin=exec\nCommand=/bin/true\nModule=x\n", 4, "expected one of" },
                { "[Pool]\n\nBuiltin=echo\n", 3, "Builtin=echo: expected exec" },
                { "[Pool]\nBuiltin=exec\nHandlers=echo\n", 3, "Handlers=: expected exec" },
                { "[Pool]\nModule=none.so\n", 2, "Module=none.so: there is no such file in /tmp/" },
                { "[Pool]\nModule=../none.so\n", 2, "Module=../none.so: expected a file name, or" },
                { "[Pool]\nModule=/nonexistent/none.so\n", 2,
                  "Module=/nonexistent/none.so: expected" },
                { "[Pool]\nCommand=/nonexistent/worker a\n", 2,
                  "Command=/nonexistent/worker: expected the absolute path of an executable" },
                { "[Pool]\nCommand=bin/true\n", 2, "Command=bin/true: expected" },
                { "[Pool]\nCommand=/etc/passwd\n", 2, "Command=/etc/passwd: expected" },
                { "[Pool]\nCommand=/tmp\n", 2, "Command=/tmp: expected" },
                { "[Pool]\nBuiltin=exec\nScaling=dynamic\nMinWorkers=9\n", 4,
                  "MaxWorkers=8: expected 9 or more, since Scaling=dynamic and MinWorkers= says" },
                { "[Pool]\nBuiltin=exec\nScaling=dynamic\nMinWorkers=3\nMaxWorkers=2\n", 5,
                  "MaxWorkers=2: expected 3 or more, since Scaling=dynamic and MinWorkers= says" },
                { "[Pool]\nBuiltin=exec\nScaling=ondemand\nMaxWorkers=0\n", 4,
                  "MaxWorkers=0: expected 1 or more, since Scaling=ondemand" },
                { "[Pool]\nBuiltin=exec\nConcurrency=thread\n", 3,
                  "Concurrency=thread: expected process, since Builtin=exec runs one command" },
                { "[Pool]\nBuiltin=exec\nSlots=2\n", 3,
                  "Slots=2: expected 1, since Concurrency=process" },
                { "[Pool]\nCommand=/bin/true\nConcurrency=thread\nSlots=129\n", 4,
                  "Slots=129: expected 1 to 128, since Concurrency=thread" },
                { "[Pool]\nCommand=/bin/true\nConcurrency=async\nSlots=1000\n", 4,
                  "Slots=1000: expected 1 to 128, since Concurrency=async" },
                { "[Pool]\nBuiltin=exec\n[Process]\nWorkingDirectory=/nowhere\n", 4,
                  "WorkingDirectory=/nowhere: expected a directory, with - before it if it may be "
                  "missing: No such file" },
                { "[Pool]\nBuiltin=exec\n[Process]\nWorkingDirectory=/dev/null\n", 4,
                  "WorkingDirectory=/dev/null: expected a directory" },
                { "[Pool]\nBuiltin=exec\n[Process]\nWorkingDirectory=tmp\n", 4,
                  "WorkingDirectory=tmp: expected an absolute path" },
                { "[Pool]\nBuiltin=exec\n[Process]\nPassEnvironment=A B=c\n", 4,
                  "PassEnvironment=B=c: expected names of variables" },
                { "[Pool]\nCommand=/bin/true\nHandlers=a b a\n", 3,
                  "Handlers=: 'a' is twice in pool 'p'" },
        };

        assert_wrong(*state, "pools/p.pool", cases, ELEMENTS(cases));
}

static void limits_have_a_soft_and_a_hard_value(void **state)
{
        static const struct {
                const char *line;
                size_t member;
                uint64_t soft, hard;
        } cases[] = {
#define LIMIT(name) offsetof(PoolSettings, limit_##name)
                { "LimitNOFILE=10:20", LIMIT(nofile), 10, 20 },
                { "LimitNOFILE=10:infinity", LIMIT(nofile), 10, RLIM_INFINITY },
                { "LimitAS=1K:1M", LIMIT(as), 1024, 1048576 },
                { "LimitCORE=0", LIMIT(core), 0, 0 },
                { "LimitCPU=10", LIMIT(cpu), 10, 10 },
                { "LimitCPU=1500ms:1min", LIMIT(cpu), 2, 60 },
                { "LimitRTTIME=500", LIMIT(rttime), 500, 500 },
                { "LimitRTTIME=5ms:1s", LIMIT(rttime), 5000, 1000000 },
                { "LimitNICE=-5", LIMIT(nice), 25, 25 },
                { "LimitNICE=+19:+0", LIMIT(nice), 1, 20 },
                { "LimitNICE=40", LIMIT(nice), 40, 40 },
                { "LimitNPROC=5\nLimitNPROC=6", LIMIT(nproc), 6, 6 },
#undef LIMIT
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const PoolSettings *p;
                const Limit *limit;
                char text[128];

                (void)snprintf(text, sizeof(text), "[Pool]\nBuiltin=exec\n[Process]\n%s\n",
                               cases[i].line);
                p = read_pool(*state, text);
                limit = (const void *)((const char *)p + cases[i].member);
                CHECK(limit->set, cases[i].line);
                CHECK(limit->soft == cases[i].soft && limit->hard == cases[i].hard, cases[i].line);
        }
}

static void wrong_limits_are_refused(void **state)
{
#define PROCESS "[Pool]\nBuiltin=exec\n[Process]\n"
        static const Wrong cases[] = {
                { PROCESS "LimitNOFILE=2:1\n", 4, "LimitNOFILE=2:1: expected a limit (like 1024" },
                { PROCESS "LimitNOFILE=infinity:1\n", 4, "LimitNOFILE=infinity:1: expected" },
                { PROCESS "LimitNOFILE=1:2:3\n", 4, "LimitNOFILE=1:2:3: expected" },
                { PROCESS "LimitNOFILE=:1\n", 4, "LimitNOFILE=:1: expected" },
                { PROCESS "LimitNOFILE=1:\n", 4, "LimitNOFILE=1:: expected" },
                { PROCESS "LimitNOFILE=-1\n", 4, "LimitNOFILE=-1: expected" },
                { PROCESS "LimitCPU=1K\n", 4, "LimitCPU=1K: expected a limit (like 10s" },
                { PROCESS "LimitNICE=41\n", 4, "LimitNICE=41: expected a limit (like -5" },
                { PROCESS "LimitNICE=-21\n", 4, "LimitNICE=-21: expected" },
                { PROCESS "LimitNICE=+-1\n", 4, "LimitNICE=+-1: expected" },
                { PROCESS "OOMScoreAdjust=-1001\n", 4,
                  "OOMScoreAdjust=-1001: expected a whole number from -1000 to 1000" },
                { PROCESS "EnvironmentFile=x\n", 4, "EnvironmentFile=x: expected an absolute" },
                { PROCESS "User=no-such-user\n", 4, "User=no-such-user: there is no such user" },
                { PROCESS "User=65535\nGroup=1\n", 4, "User=65535: there is no such user" },
                { PROCESS "User=12345678\n", 4,
                  "User=12345678: a number without an entry in the user database needs a Group=" },
                { PROCESS "Group=no-such-group\n", 4, "Group=no-such-group: there is" },
                { PROCESS "SupplementaryGroups=0 nix\n", 4,
                  "SupplementaryGroups=nix: there is no such group" },
                { PROCESS "RootDirectory=etc\n", 4, "RootDirectory=etc: expected an absolute" },
                { PROCESS "RootDirectory=/etc/passwd\n", 4,
                  "RootDirectory=/etc/passwd: expected a directory: Not a dir" },
        };

        assert_wrong(*state, "pools/p.pool", cases, ELEMENTS(cases));
}

static void users_and_groups_are_looked_up(void **state)
{
        const Identity *i = &read_pool(*state, PROCESS "User=games\n")->identity;

        assert_int_equal(i->uid, 5);
        assert_int_equal(i->gid, 60);
        assert_string_equal(i->name, "games");
        assert_string_equal(i->home, "/usr/games");
        assert_null(i->shell); /* nologin */
        assert_string_equal(i->groups[0], "60");
        i = &read_pool(*state, PROCESS "User=5\nGroup=daemon\nSupplementaryGroups=4242 1 5\n")
                     ->identity;
        assert_int_equal(i->uid, 5);
        assert_int_equal(i->gid, 1);
        assert_string_equal(i->name, "games");
        assert_true(i->groups_named);
        i = &read_pool(*state, PROCESS "User=4242\nGroup=4243\n")->identity;
        assert_int_equal(i->uid, 4242);
        assert_int_equal(i->gid, 4243);
        assert_string_equal(i->name, "4242");
        assert_null(i->home);
        assert_null(i->groups);
        i = &read_pool(*state, PROCESS)->identity;
        assert_true(i->uid == IDENTITY_OURS && i->gid == IDENTITY_OURS);
        assert_true(identity_is_ours(i));
}

static void files_of_variables_are_read_and_may_be_missing(void **state)
{
        Fixture *f = *state;
        const PoolSettings *p;
        char text[1024];

        write_file(f, "pools/1.env", "A=1\nB=1\n");
        write_file(f, "pools/2.env", "B=2\n");
        (void)snprintf(text, sizeof(text),
                       PROCESS "EnvironmentFile=/lost\nEnvironmentFile=\n"
                               "EnvironmentFile=-/nonexistent/x\nEnvironmentFile=%s/pools/*.env\n",
                       f->directory);
        p = read_pool(f, text);
        assert_string_equal(p->file_environment[0], "A=1");
        assert_string_equal(p->file_environment[1], "B=2");
        assert_null(p->file_environment[2]);
        write_file(f, "pools/2.env", "\n1=2\n");
        assert_int_equal(read_again(f), -EINVAL);
        assert_int_equal(f->error.line, 2);
        assert_non_null(strstr(f->error.file, "pools/2.env"));
        (void)snprintf(text, sizeof(text), PROCESS "EnvironmentFile=%s\n", f->directory);
        write_file(f, "pools/p.pool", text);
        assert_int_equal(read_again(f), -EINVAL);
        assert_int_equal(f->error.line, 4);
        assert_non_null(strstr(f->error.message, "expected a regular file"));
#undef PROCESS
}

static void a_handler_belongs_to_one_pool(void **state)
{
        static const Wrong second[] = {
                { "[Pool]\nCommand=/bin/true\n\nHandlers=c b\n", 4,
                  "Handlers=: 'b' is also in pool 'a'; each handler belongs to one pool" },
        };

        write_file(*state, "pools/a.pool", "[Pool]\nCommand=/bin/true\nHandlers=a b\n");
        assert_wrong(*state, "pools/p.pool", second, ELEMENTS(second));
}

static void the_watchdogs_pool_is_there_and_has_a_handler(void **state)
{
        static const Wrong cases[] = {
                { "[Daemon]\n\nWatchdogPool=q\n", 3, "WatchdogPool=q: there is no such pool" },
                { "[Daemon]\nWatchdogPool=p.pool\n", 2, "WatchdogPool=p.pool: there is no such" },
                { "[Daemon]\nWatchdogPool=p\n", 2, "WatchdogPool=p: a probe needs a handler" },
        };
        Fixture *f = *state;

        (void)read_pool(f, "[Pool]\nCommand=/bin/true\n");
        assert_null(f->settings->watchdog_pool);
        assert_wrong(f, "brood.conf", cases, ELEMENTS(cases));
        write_file(f, "brood.conf", "[Daemon]\nWatchdogPool=p\n");
        write_file(f, "brood.conf.d/1.conf", "[Daemon]\nLogLevel=debug\nWatchdogPool=nope\n");
        assert_int_equal(read_again(f), -EINVAL);
        assert_non_null(strstr(f->error.file, "/brood.conf.d/1.conf"));
        assert_int_equal(f->error.line, 3);
        write_file(f, "brood.conf.d/2.conf", "[Daemon]\nWatchdogPool=\n");
        read_well(f); /* none, after all */
        assert_null(f->settings->watchdog_pool);
        write_file(f, "brood.conf.d/2.conf", "[Daemon]\nWatchdogPool=p\n");
        (void)read_pool(f, "[Pool]\nCommand=/bin/true\nHandlers=a b\n");
        assert_string_equal(f->settings->watchdog_pool, "p");
        (void)read_pool(f, "[Pool]\nBuiltin=exec\n");
        assert_string_equal(f->settings->watchdog_pool, "p");
}

static void a_wrong_pool_user_is_named_where_it_stands(void **state)
{
        Fixture *f = *state;

        (void)read_pool(f, "[Pool]\nCommand=/bin/true\n");
        write_file(f, "brood.conf.d/1.conf", "[Daemon]\nLogLevel=debug\nPoolUser=no-such-user\n");
        assert_int_equal(read_again(f), -EINVAL);
        assert_non_null(strstr(f->error.file, "/brood.conf.d/1.conf"));
        assert_int_equal(f->error.line, 3);
        assert_non_null(strstr(f->error.message, "PoolUser=no-such-user: there is no such user"));
        write_file(f, "pools/p.pool",
                   "[Pool]\nCommand=/bin/true\n[Process]\nUser=no-such-one\n");
        assert_int_equal(read_again(f), -EINVAL);
        assert_non_null(strstr(f->error.file, "/pools/p.pool"));
        assert_int_equal(f->error.line, 4);
        assert_non_null(strstr(f->error.message, "User=no-such-one: there is no such user"));
}

static void a_pools_name_is_letters_digits_and_two_signs(void **state)
{
        Fixture *f = *state;
        static const char *const bad[] = { "pools/a b.pool", "pools/a.b.pool",
                                           "pools/\xc3\xa9.pool" };
        char name[128];

        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                write_file(f, bad[i], "[Pool]\nCommand=/bin/true\n");
                CHECK(read_again(f) == -EINVAL, bad[i]);
                assert_int_equal(f->error.line, 0);
                assert_string_equal(f->error.message,
                                    "the name of a pool: expected 1 to 64 of A-Z a-z 0-9 _ -");
                (void)snprintf(f->path, sizeof(f->path), "%s/%s", f->directory, bad[i]);
                assert_int_equal(remove(f->path), 0);
        }
        (void)snprintf(name, sizeof(name), "pools/%064d.pool", 1);
        write_file(f, name, "[Pool]\nCommand=/bin/true\n");
        read_well(f);
        (void)snprintf(name, sizeof(name), "pools/%065d.pool", 1);
        write_file(f, name, "[Pool]\nCommand=/bin/true\n");
        assert_int_equal(read_again(f), -EINVAL);
}

static void what_is_no_file_is_refused(void **state)
{
        Fixture *f = *state;

        (void)snprintf(f->path, sizeof(f->path), "%s/brood.conf", f->directory);
        assert_int_equal(mkdir(f->path, 0700), 0);
        assert_int_equal(read_again(f), -EINVAL);
        assert_string_equal(f->error.message, "cannot be read: Is a directory");
        assert_int_equal(rmdir(f->path), 0);
        assert_int_equal(mkfifo(f->path, 0600), 0);
        assert_int_equal(read_again(f), -EINVAL);
        assert_string_equal(f->error.message, "expected a regular file");
        assert_int_equal(remove(f->path), 0);
        (void)snprintf(f->path, sizeof(f->path), "%s/pools/p.pool", f->directory);
        assert_int_equal(symlink("/nonexistent", f->path), 0);
        assert_int_equal(read_again(f), -EINVAL);
        assert_string_equal(f->error.message, "cannot be read: No such file or directory");
}

/* Is a worker of a pool with these lines made like one of the plain pool? */
static bool same_process(Fixture *f, const char *pool, const char *more)
{
        Settings *plain, *other;
        char text[512];
        bool same;

        (void)read_pool(
                f, "[Pool]\nCommand=/bin/true a\n[Settings]\nx=1\n[Process]\nEnvironment=A=1\n");
        plain = MOVE_PTR(f->settings);
        (void)snprintf(
                text, sizeof(text),
                "[Pool]\nCommand=/bin/true %s\n[Settings]\nx=1\n[Process]\nEnvironment=A=1\n%s\n",
                pool, more);
        (void)read_pool(f, text);
        other = MOVE_PTR(f->settings);
        same = pool_settings_same_process(&plain->pools[0], &other->pools[0]);
        settings_free(plain);
        settings_free(other);
        return same;
}

static void a_reload_keeps_workers_that_are_made_the_same(void **state)
{
        static const struct {
                const char *pool, *more;
                bool same;
        } cases[] = {
                { "a", "", true },
                { "a", "[Pool]\nMinWorkers=7\nTimeout=5s\nMaxAttempts=9\nPriority=3\nMaxQueued=1",
                  true },
                { "b", "", false },
                { "a b", "", false },
                { "a", "[Pool]\nHandlers=h", false },
                { "a", "[Process]\nNice=1", false },
                { "a", "[Process]\nEnvironment=B=1", false },
                { "a", "[Process]\nUMask=0077", false },
                { "a", "[Process]\nLimitAS=64G", false },
                { "a", "[Process]\nWorkingDirectory=/", false },
                { "a", "[Process]\nNoNewPrivileges=yes", false },
                { "a", "[Process]\nUser=games", false },
                { "a", "[Process]\nGroup=games", false },
                { "a", "[Process]\nSupplementaryGroups=games", false },
                { "a", "[Process]\nOOMScoreAdjust=1", false },
                { "a", "[Process]\nLimitNPROC=1:2", false },
                { "a", "[Process]\nEnvironmentFile=-/nonexistent", false },
                { "a", "[Process]\nMemoryMax=64M\nTasksMax=9\nCPUWeight=7", true },
                { "a", "[Settings]\nx=2", false },
                { "a", "[Settings]\ny=1", false },
                { "a", "[Settings]\nx=", false },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(same_process(*state, cases[i].pool, cases[i].more) == cases[i].same,
                      cases[i].more);
}

static void a_changed_file_of_variables_makes_new_workers(void **state)
{
        Fixture *f = *state;
        Settings *before;
        char text[512];

        write_file(f, "pools/env", "A=1\n");
        (void)snprintf(text, sizeof(text),
                       "[Pool]\nBuiltin=exec\n[Process]\nEnvironmentFile=%s/pools/env\n",
                       f->directory);
        (void)read_pool(f, text);
        before = MOVE_PTR(f->settings);
        read_well(f);
        assert_true(pool_settings_same_process(&before->pools[0], &f->settings->pools[0]));
        write_file(f, "pools/env", "A=2\n");
        read_well(f);
        assert_false(pool_settings_same_process(&before->pools[0], &f->settings->pools[0]));
        settings_free(before);
}

static void the_enums_have_the_names_of_the_interface(void **state UNUSED)
{
        assert_string_equal(start_method_name(START_FORKSERVER), "forkserver");
        assert_string_equal(start_method_name(START_SPAWN), "spawn");
        assert_string_equal(concurrency_name(CONCURRENCY_PROCESS), "process");
        assert_string_equal(concurrency_name(CONCURRENCY_SUBINTERPRETER), "subinterpreter");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(an_empty_directory_means_defaults),
                TEST(a_directory_that_is_not_there_may_be_optional),
                TEST(later_files_and_later_lines_win),
                TEST(comments_blanks_and_line_ends_do_not_matter),
                TEST(a_comment_starts_only_at_the_start_of_a_line),
                TEST(every_type_is_read_into_its_place),
                TEST(infinity_is_a_limit_too),
                TEST(limits_have_a_soft_and_a_hard_value),
                TEST(wrong_limits_are_refused),
                TEST(users_and_groups_are_looked_up),
                TEST(files_of_variables_are_read_and_may_be_missing),
                TEST(environment_gathers_and_one_name_has_one_value),
                TEST(an_assignment_to_nothing_is_the_default_or_off),
                TEST(free_settings_keep_their_order_and_the_last_value),
                TEST(a_line_may_be_long),
                TEST(exec_has_defaults_of_its_own),
                TEST(modules_and_commands_become_their_paths),
                TEST(pools_are_sorted_by_name),
                TEST(unknown_words_are_refused_with_a_hint),
                TEST(values_out_of_range_or_misspelled_are_refused),
                TEST(access_lists_are_read_and_an_unknown_name_is_refused),
                TEST(who_may_submit_is_no_reason_for_new_workers),
                TEST(lines_that_are_nothing_are_refused),
                TEST(semaphores_have_free_names_and_the_last_size_wins),
                TEST(semaphores_of_no_size_are_refused),
                TEST(semaphores_are_not_the_pools),
                TEST(breaker_deaths_are_ten_or_as_given_or_off),
                TEST(large_payloads_are_four_kib_or_as_given_or_off),
                TEST(what_a_pool_needs_or_cannot_have_is_told),
                TEST(a_handler_belongs_to_one_pool),
                TEST(the_watchdogs_pool_is_there_and_has_a_handler),
                TEST(a_wrong_pool_user_is_named_where_it_stands),
                TEST(a_pools_name_is_letters_digits_and_two_signs),
                TEST(what_is_no_file_is_refused),
                TEST(a_reload_keeps_workers_that_are_made_the_same),
                TEST(a_changed_file_of_variables_makes_new_workers),
                cmocka_unit_test(the_enums_have_the_names_of_the_interface),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
