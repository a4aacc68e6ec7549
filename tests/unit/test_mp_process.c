/* SPDX-License-Identifier: MIT */

/* brood/process.h, by each of the three start methods. */

#include <brood/process.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#include "unit.h"

enum { SECOND = 1000 * 1000, SOON = 20 * SECOND };

static const char *const method_names[] = { "spawn", "fork", "forkserver" };

#define EACH_METHOD(m) for (BroodStartMethod m = BROOD_SPAWN; m <= BROOD_FORKSERVER; m++)

/* --- targets --- */

static json_int_t number(const BroodChild *child, const char *name)
{
        return json_integer_value(json_object_get(child->args, name));
}

static int give_code(BroodChild *child)
{
        return (int)number(child, "code");
}
BROOD_ENTRY(give_code)

static int kill_self(BroodChild *child)
{
        (void)kill(getpid(), (int)number(child, "signal"));
        return 0;
}
BROOD_ENTRY(kill_self)

static int call_exit(BroodChild *child)
{
        exit((int)number(child, "code"));
}
BROOD_ENTRY(call_exit)

static int call_abort(BroodChild *child)
{
        abort();
}
BROOD_ENTRY(call_abort)

static int sleep_long(BroodChild *child)
{
        (void)poll(NULL, 0, 60 * 1000);
        return 0;
}
BROOD_ENTRY(sleep_long)

static int sleep_ms(BroodChild *child)
{
        (void)poll(NULL, 0, (int)number(child, "ms"));
        return 0;
}
BROOD_ENTRY(sleep_ms)

static int ignore_sigterm(BroodChild *child)
{
        (void)signal(SIGTERM, SIG_IGN);
        (void)!write(child->fds[0], "x", 1);
        return sleep_long(child);
}
BROOD_ENTRY(ignore_sigterm)

static int count_fds(void)
{
        DIR *all = opendir("/proc/self/fd");
        int n = -3; /* ".", ".." and the directory itself */

        while (readdir(all))
                n++;
        closedir(all);
        return n;
}

/* What it can say of itself, as JSON into its first descriptor. */
static int describe(BroodChild *child)
{
        const BroodParent *parent = brood_process_parent();
        char directory[4096];
        struct stat in, null;
        bool null_in = fstat(0, &in) == 0 && stat("/dev/null", &null) == 0 &&
                       in.st_rdev == null.st_rdev;
        json_t *all = json_pack("{s:s,s:O,s:i,s:i,s:s,s:i,s:b,s:b,s:b,s:s,s:i,s:b}", "name",
                                child->name, "args", child->args, "n_fds", (int)child->n_fds,
                                "parent_pid", (int)parent->pid, "parent_name", parent->name,
                                "fds", count_fds(), "self",
                                brood_process_self()->name == child->name, "stdin_null", null_in,
                                "context", child->context != NULL, "directory",
                                getcwd(directory, sizeof(directory)), "pid", (int)getpid(),
                                "parent_lives",
                                poll(&(struct pollfd){ parent->sentinel, POLLIN, 0 }, 1, 0) == 0);
        char *text = json_dumps(all, JSON_COMPACT);
        bool done = write(child->fds[0], text, strlen(text)) == (ssize_t)strlen(text);

        free(text);
        json_decref(all);
        return done ? 0 : 1;
}
BROOD_ENTRY(describe)

static int close_all(BroodChild *child)
{
        for (int i = 0; i < 256; i++)
                (void)close(i);
        return 5;
}
BROOD_ENTRY(close_all)

static int read_its_stdin_copy(BroodChild *child)
{
        char c = 0;

        return read(child->fds[0], &c, 1) == 1 ? c : 0;
}
BROOD_ENTRY(read_its_stdin_copy)

static int write_fds(BroodChild *child)
{
        for (unsigned i = 0; i < child->n_fds; i++)
                if (write(child->fds[i], &(char){ (char)('A' + i) }, 1) != 1)
                        return 1;
        return 0;
}
BROOD_ENTRY(write_fds)

static int have_child(BroodChild *child)
{
        BroodProcess *p;
        json_t *args = json_pack("{s:i}", "code", 6);

        if (brood_process_start(&p, &(BroodProcessSpec){ .method = (int)number(child, "method"),
                                                         .target = "give_code", .args = args }) < 0)
                return 1;
        return brood_process_free(p) + 1;
}
BROOD_ENTRY(have_child)

/* Leaves without waiting for its child, which counts on. */
static int leave_child(BroodChild *child)
{
        BroodProcess *p;
        bool daemon = json_is_true(json_object_get(child->args, "daemon"));
        int pid;

        if (brood_process_start(&p, &(BroodProcessSpec){
                                            .method = (int)number(child, "method"),
                                            .target = daemon ? "sleep_long" : "sleep_ms",
                                            .args = json_pack("{s:i}", "ms", 200),
                                            .daemon = daemon }) < 0)
                return 1;
        pid = brood_process_pid(p);
        return write(child->fds[0], &pid, sizeof(pid)) == sizeof(pid) ? 3 : 1;
}
BROOD_ENTRY(leave_child)

/* --- helpers --- */

static BroodProcess *start(const BroodProcessSpec *spec)
{
        BroodProcess *p = NULL;
        int r = brood_process_start(&p, spec);

        if (r < 0)
                fail_msg("%s: %s", method_names[spec->method], strerror(-r));
        return p;
}

static int run(BroodStartMethod m, const char *target, json_t *args)
{
        return brood_process_free(
                start(&(BroodProcessSpec){ .method = m, .target = target, .args = args }));
}

static bool is_gone(pid_t pid)
{
        char path[64], state = 'X';
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        f = fopen(path, "r");
        if (!f)
                return true;
        (void)!fscanf(f, "%*d (%*[^)]) %c", &state);
        (void)fclose(f);
        return state == 'Z' || state == 'X';
}

static bool goes_within(pid_t pid, int ms)
{
        usec_t until = clock_monotonic() + (usec_t)ms * 1000;

        while (!is_gone(pid) && clock_monotonic() < until)
                (void)poll(NULL, 0, 2);
        return is_gone(pid);
}

/* --- ends --- */

static void test_exit_codes_are_those_of_python(void **state)
{
        EACH_METHOD(m) {
                static const int codes[] = { 0, 1, 7, 255 };

                for (size_t i = 0; i < ELEMENTS(codes); i++)
                        CHECK(run(m, "give_code", json_pack("{s:i}", "code", codes[i])) == codes[i],
                              method_names[m]);
                CHECK(run(m, "give_code", json_pack("{s:i}", "code", 256 + 9)) == 9,
                      method_names[m]);
                CHECK(run(m, "kill_self", json_pack("{s:i}", "signal", SIGKILL)) == -SIGKILL,
                      method_names[m]);
                CHECK(run(m, "kill_self", json_pack("{s:i}", "signal", SIGTERM)) == -SIGTERM,
                      method_names[m]);
                CHECK(run(m, "call_exit", json_pack("{s:i}", "code", 4)) == 4, method_names[m]);
                CHECK(run(m, "close_all", NULL) == 5, method_names[m]);
        }
}

static void test_abort_is_a_signal(void **state)
{
        EACH_METHOD(m)
                CHECK(run(m, "call_abort", NULL) == -SIGABRT, method_names[m]);
}

static void test_join_times_out_and_may_be_repeated(void **state)
{
        EACH_METHOD(m) {
                BroodProcess *p = start(&(BroodProcessSpec){ .method = m, .target = "sleep_long" });
                int code = 99;

                CHECK(brood_process_join(p, 0) == -ETIMEDOUT, method_names[m]);
                CHECK(brood_process_join(p, 20 * 1000) == -ETIMEDOUT, method_names[m]);
                CHECK(brood_process_is_alive(p), method_names[m]);
                CHECK(brood_process_exit_code(p, &code) == -EAGAIN && code == 99, method_names[m]);
                CHECK(brood_process_terminate(p) == 0, method_names[m]);
                CHECK(brood_process_join(p, SOON) == 0, method_names[m]);
                CHECK(brood_process_join(p, -1) == 0 && brood_process_join(p, 0) == 0,
                      method_names[m]);
                CHECK(!brood_process_is_alive(p), method_names[m]);
                CHECK(brood_process_exit_code(p, &code) == 0 && code == -SIGTERM, method_names[m]);
                CHECK(brood_process_terminate(p) == 0 && brood_process_kill(p) == 0 &&
                              brood_process_signal(p, SIGUSR1) == 0,
                      method_names[m]);
                CHECK(brood_process_free(p) == -SIGTERM, method_names[m]);
        }
}

static void test_a_stopped_child_can_be_killed(void **state)
{
        EACH_METHOD(m) {
                BroodProcess *p = start(&(BroodProcessSpec){ .method = m, .target = "sleep_long" });

                assert_int_equal(brood_process_signal(p, SIGSTOP), 0);
                assert_int_equal(brood_process_join(p, 10 * 1000), -ETIMEDOUT);
                assert_int_equal(brood_process_kill(p), 0);
                CHECK(brood_process_free(p) == -SIGKILL, method_names[m]);
        }
}

static void *join_it(void *p)
{
        return (void *)(intptr_t)brood_process_join(p, SOON);
}

static void test_two_threads_join_while_a_third_starts_others(void **state)
{
        EACH_METHOD(m)
                for (int i = 0; i < 5; i++) {
                        BroodProcess *p = start(&(BroodProcessSpec){
                                .method = m, .target = "sleep_ms",
                                .args = json_pack("{s:i}", "ms", 3 * i) });
                        pthread_t threads[2];
                        void *r;

                        for (int k = 0; k < 2; k++)
                                assert_int_equal(pthread_create(&threads[k], NULL, join_it, p), 0);
                        CHECK(run(m, "give_code", json_pack("{s:i}", "code", 2)) == 2,
                              method_names[m]);
                        for (int k = 0; k < 2; k++) {
                                assert_int_equal(pthread_join(threads[k], &r), 0);
                                assert_int_equal((intptr_t)r, 0);
                        }
                        CHECK(brood_process_free(p) == 0, method_names[m]);
                }
}

/* --- what it sees --- */

static void test_a_child_knows_what_it_was_given_and_has_nothing_else(void **state)
{
        int stray = open("/dev/null", O_RDONLY); /* no CLOEXEC */
        char here[4096];

        assert_non_null(getcwd(here, sizeof(here)));
        EACH_METHOD(m) {
                int ends[2];
                char text[8192];
                json_t *args = json_pack("{s:s,s:[i,i]}", "who", "bob", "list", 1, 2), *seen;
                BroodProcess *p;
                ssize_t n;

                assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
                p = start(&(BroodProcessSpec){ .method = m, .target = "describe", .name = "anna",
                                               .args = json_incref(args), .fds = &ends[1],
                                               .n_fds = 1 });
                close(ends[1]);
                assert_string_equal(brood_process_name(p), "anna");
                assert_false(brood_process_daemon(p));
                n = read(ends[0], text, sizeof(text) - 1);
                assert_true(n > 0);
                seen = json_loadb(text, (size_t)n, 0, NULL);
                assert_non_null(seen);
#define SEEN(name) json_object_get(seen, name)
                assert_string_equal(json_string_value(SEEN("name")), "anna");
                CHECK(json_equal(SEEN("args"), args), method_names[m]);
                assert_int_equal(json_integer_value(SEEN("n_fds")), 1);
                assert_int_equal(json_integer_value(SEEN("pid")), brood_process_pid(p));
                assert_int_equal(json_integer_value(SEEN("parent_pid")), getpid());
                assert_string_equal(json_string_value(SEEN("parent_name")), "MainProcess");
                assert_string_equal(json_string_value(SEEN("directory")), here);
                CHECK(json_is_true(SEEN("self")) && json_is_true(SEEN("stdin_null")) &&
                              json_is_true(SEEN("parent_lives")) && json_is_false(SEEN("context")),
                      method_names[m]);
                /* 0, 1, 2, the sentinel and the pipe */
                if (json_integer_value(SEEN("fds")) != 5)
                        fail_msg("%s: %d descriptors", method_names[m],
                                 (int)json_integer_value(SEEN("fds")));
#undef SEEN
                assert_int_equal(brood_process_free(p), 0);
                close(ends[0]);
                json_decref(seen);
                json_decref(args);
        }
        close(stray);
}

static void test_many_descriptors_arrive_in_their_order(void **state)
{
        EACH_METHOD(m) {
                int reads[58], writes[58];
                char c;

                for (int i = 0; i < 58; i++) {
                        int ends[2];

                        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
                        reads[i] = ends[0];
                        writes[i] = ends[1];
                }
                CHECK(brood_process_free(start(&(BroodProcessSpec){
                              .method = m, .target = "write_fds", .fds = writes, .n_fds = 58 })) ==
                              0,
                      method_names[m]);
                for (int i = 0; i < 58; i++) {
                        assert_int_equal(read(reads[i], &c, 1), 1);
                        assert_int_equal(c, (char)('A' + i));
                        close(reads[i]);
                        close(writes[i]);
                }
        }
}

static void test_standard_input_may_be_given_along(void **state)
{
        int saved = dup(0);

        EACH_METHOD(m) {
                int ends[2];

                assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
                assert_int_equal(write(ends[1], "e", 1), 1);
                assert_int_equal(dup2(ends[0], 0), 0);
                CHECK(brood_process_free(start(&(BroodProcessSpec){
                              .method = m, .target = "read_its_stdin_copy", .fds = (int[]){ 0 },
                              .n_fds = 1 })) == 'e',
                      method_names[m]);
                close(ends[0]);
                close(ends[1]);
        }
        assert_int_equal(dup2(saved, 0), 0);
        close(saved);
}

static int use_context(BroodChild *child)
{
        return *(int *)child->context;
}

static void test_a_fork_may_run_any_function_with_a_pointer(void **state)
{
        int value = 33;

        assert_int_equal(brood_process_free(start(&(BroodProcessSpec){
                                 .method = BROOD_FORK, .function = use_context,
                                 .context = &value })),
                         33);
}

static void test_names_are_numbered(void **state)
{
        BroodProcess *a = start(&(BroodProcessSpec){ .method = BROOD_FORK, .target = "give_code" });
        BroodProcess *b = start(&(BroodProcessSpec){ .method = BROOD_FORK, .target = "give_code" });
        unsigned first = 0, second = 0;

        assert_int_equal(sscanf(brood_process_name(a), "Process-%u", &first), 1);
        assert_int_equal(sscanf(brood_process_name(b), "Process-%u", &second), 1);
        assert_int_equal(second, first + 1);
        (void)brood_process_free(a);
        (void)brood_process_free(b);
}

static void test_another_program(void **state)
{
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)"echo hi >&3; exit 3", NULL };
        char text[8];
        int ends[2];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(brood_process_free(start(&(BroodProcessSpec){
                                 .program = "/bin/sh", .argv = argv, .fds = &ends[1],
                                 .n_fds = 1 })),
                         3);
        assert_int_equal(read(ends[0], text, sizeof(text)), 3);
        close(ends[0]);
        close(ends[1]);
}

static void *start_sleep(void *unused)
{
        char *argv[] = { (char *)"sleep", (char *)"60", NULL };

        return start(&(BroodProcessSpec){ .program = "/bin/sleep", .argv = argv });
}

static void test_another_program_outlives_the_thread_that_started_it(void **state)
{
        pthread_t thread;
        void *p;

        assert_int_equal(pthread_create(&thread, NULL, start_sleep, NULL), 0);
        assert_int_equal(pthread_join(thread, &p), 0);
        assert_int_equal(brood_process_join(p, 100 * 1000), -ETIMEDOUT);
        assert_int_equal(brood_process_kill(p), 0);
        assert_int_equal(brood_process_free(p), -SIGKILL);
}

/* --- errors --- */

static void test_what_makes_no_sense_is_refused(void **state)
{
        char *argv[] = { (char *)"true", NULL }, *nothing[] = { NULL };
        int bad_fd = 999, null = open("/dev/null", O_RDONLY | O_CLOEXEC), many[59];
        const struct {
                const char *name;
                BroodProcessSpec spec;
                int error;
        } rows[] = {
                { "nothing to run", { 0 }, -EINVAL },
                { "unknown", { .target = "nobody" }, -ENOENT },
                { "unknown in a fork", { .method = BROOD_FORK, .target = "nobody" }, -ENOENT },
                { "unknown by the server", { .method = BROOD_FORKSERVER, .target = "nobody" },
                  -ENOENT },
                { "two", { .method = BROOD_FORK, .target = "give_code", .function = use_context },
                  -EINVAL },
                { "function without fork", { .function = use_context }, -EINVAL },
                { "program with fork",
                  { .method = BROOD_FORK, .program = "/bin/true", .argv = argv }, -EINVAL },
                { "program without arguments", { .program = "/bin/true" }, -EINVAL },
                { "program with none", { .program = "/bin/true", .argv = nothing }, -EINVAL },
                { "method", { .method = 3, .target = "give_code" }, -EINVAL },
                { "bad descriptor", { .method = BROOD_FORK, .target = "give_code", .fds = &bad_fd,
                                      .n_fds = 1 }, -EBADF },
                { "bad descriptor, spawn", { .target = "give_code", .fds = &bad_fd, .n_fds = 1 },
                  -EBADF },
                { "bad descriptor, server", { .method = BROOD_FORKSERVER, .target = "give_code",
                                              .fds = &bad_fd, .n_fds = 1 }, -EBADF },
                { "no descriptors", { .target = "give_code", .n_fds = 1 }, -EINVAL },
                { "too many", { .target = "give_code", .fds = many, .n_fds = 59 }, -EINVAL },
                { "name", { .target = "give_code", .name = "\xff" }, -EINVAL },
        };

        for (int i = 0; i < 59; i++)
                many[i] = null;
        for (size_t i = 0; i < ELEMENTS(rows); i++) {
                BroodProcessSpec spec = rows[i].spec;
                BroodProcess *p = NULL;

                spec.args = json_object(); /* stolen all the same */
                if (brood_process_start(&p, &spec) != rows[i].error)
                        fail_msg("%s", rows[i].name);
                assert_null(p);
        }
        assert_int_equal(brood_process_start(&(BroodProcess *){ NULL },
                                             &(BroodProcessSpec){ .target = "give_code",
                                                                  .args = json_array() }),
                         -EINVAL);
        close(null);
}

static void test_a_program_that_is_not_there(void **state)
{
#if defined(__SANITIZE_THREAD__)
        print_message("not under TSan, whose vfork() can not tell: a program that is not there\n");
        skip();
#endif
        char *argv[] = { (char *)"x", NULL };
        BroodProcess *p;

        assert_int_equal(brood_process_start(&p, &(BroodProcessSpec){ .program = "/nonexistent",
                                                                      .argv = argv }),
                         -ENOENT);
}

/* --- others --- */

static void test_the_sentinel_and_wait(void **state)
{
        EACH_METHOD(m) {
                BroodProcess *p[3];
                int fds[3], code;
                uint64_t ready = 77;

                for (int i = 0; i < 3; i++) {
                        p[i] = start(&(BroodProcessSpec){ .method = m, .target = "sleep_long" });
                        fds[i] = brood_process_sentinel(p[i]);
                }
                assert_int_equal(brood_wait(fds, 3, 0, &ready), 0);
                assert_int_equal(brood_wait(fds, 3, 1000, &ready), 0);
                assert_int_equal(brood_process_kill(p[1]), 0);
                assert_int_equal(brood_wait(fds, 3, SOON, &ready), 1);
                CHECK(ready == 2, method_names[m]);
                /* who is woken by it finds it ended */
                assert_int_equal(brood_process_exit_code(p[1], &code), 0);
                assert_int_equal(code, -SIGKILL);
                for (int i = 0; i < 3; i++) {
                        (void)brood_process_kill(p[i]);
                        assert_int_equal(brood_process_free(p[i]), -SIGKILL);
                }
        }
        assert_int_equal(brood_wait((int[65]){ 0 }, 65, 0, &(uint64_t){ 0 }), -EINVAL);
}

static void test_children_that_live_are_listed(void **state)
{
        EACH_METHOD(m) {
                BroodProcess *a = start(&(BroodProcessSpec){ .method = m, .target = "sleep_long" });
                BroodProcess *b = start(&(BroodProcessSpec){ .method = m, .target = "sleep_long" });
                BroodProcess *found[4];

                assert_int_equal(brood_process_children(found, 4), 2);
                assert_ptr_equal(found[0], a);
                assert_ptr_equal(found[1], b);
                assert_int_equal(brood_process_children(found, 1), 2);
                (void)brood_process_kill(a);
                assert_int_equal(brood_process_join(a, SOON), 0);
                assert_int_equal(brood_process_children(found, 4), 1);
                assert_ptr_equal(found[0], b);
                (void)brood_process_kill(b);
                (void)brood_process_free(a);
                (void)brood_process_free(b);
                assert_int_equal(brood_process_children(NULL, 0), 0);
        }
}

static void test_a_daemon_is_killed_when_it_is_freed(void **state)
{
        EACH_METHOD(m) {
                BroodProcess *p = start(&(BroodProcessSpec){ .method = m, .target = "sleep_long",
                                                             .daemon = true });

                assert_true(brood_process_daemon(p));
                CHECK(brood_process_free(p) == -SIGKILL, method_names[m]);
        }
        assert_int_equal(brood_process_free(NULL), 0);
}

static void test_children_have_children(void **state)
{
        EACH_METHOD(m)
                EACH_METHOD(inner)
                        CHECK(run(m, "have_child", json_pack("{s:i}", "method", inner)) == 7,
                              method_names[m]);
}

static void test_a_child_waits_for_its_children_and_ends_daemons(void **state)
{
        EACH_METHOD(m)
                for (int daemon = 0; daemon < 2; daemon++) {
                        usec_t began = clock_monotonic();
                        int ends[2], pid = 0;
                        BroodProcess *p;

                        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
                        p = start(&(BroodProcessSpec){
                                .method = m, .target = "leave_child", .fds = &ends[1], .n_fds = 1,
                                .args = json_pack("{s:i,s:b}", "method", m, "daemon", daemon) });
                        assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
                        assert_int_equal(brood_process_join(p, SOON), 0);
                        if (!daemon)
                                assert_true(clock_monotonic() - began >= 200 * 1000);
                        CHECK(goes_within(pid, 1000), method_names[m]);
                        assert_int_equal(brood_process_free(p), 3);
                        close(ends[0]);
                        close(ends[1]);
                }
}

/* --- a program that does its own things --- */

static void test_a_fork_of_the_program_leaves_its_children_alone(void **state)
{
        EACH_METHOD(m) {
                BroodProcess *p = start(&(BroodProcessSpec){ .method = m, .target = "sleep_long",
                                                             .daemon = true });
                int status;
                pid_t pid = fork();

                if (pid == 0) {
                        bool right = brood_process_join(p, -1) == -ECHILD &&
                                     brood_process_kill(p) == -ECHILD &&
                                     brood_process_children(NULL, 0) == 0;

                        (void)brood_process_free(p);
                        _exit(right && run(m, "give_code", json_pack("{s:i}", "code", 8)) == 8
                                      ? 0 : 1);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                CHECK(status == 0, method_names[m]);
                CHECK(brood_process_is_alive(p), method_names[m]);
                assert_int_equal(brood_process_free(p), -SIGKILL);
        }
}

static void test_somebody_else_reaps(void **state)
{
        struct sigaction ignore = { .sa_handler = SIG_IGN }, before;

        assert_int_equal(sigaction(SIGCHLD, &ignore, &before), 0);
        for (int i = 0; i < 20; i++)
                EACH_METHOD(m) {
                        BroodProcess *p = start(&(BroodProcessSpec){ .method = m,
                                                                     .target = "give_code" });
                        int code = brood_process_join(p, SOON) == 0 ? brood_process_free(p) : 99;

                        CHECK(code == (m == BROOD_FORKSERVER ? 0 : 255), method_names[m]);
                        if (m == BROOD_SPAWN && i)
                                break; /* once is enough */
                }
        assert_int_equal(sigaction(SIGCHLD, &before, NULL), 0);
}

/* Runs a case in a process of its own, as it changes the whole of it. */
static void in_a_process(int (*run_case)(BroodStartMethod))
{
        EACH_METHOD(m) {
                pid_t pid = fork();
                int status;

                if (pid == 0) {
                        (void)alarm(60);
                        _exit(run_case(m));
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                if (status)
                        fail_msg("%s: status %#x", method_names[m], status);
        }
}

static int without_standard_descriptors(BroodStartMethod m)
{
        for (int i = 0; i < 3; i++)
                (void)close(i);
        for (int i = 0; i < 3; i++)
                if (run(m, "give_code", json_pack("{s:i}", "code", 40 + i)) != 40 + i)
                        return 1;
        /* nothing of ours took their place */
        for (int i = 0; i < 3; i++)
                if (fcntl(i, F_GETFD) >= 0)
                        return 2 + i;
        return 0;
}

static void test_0_1_and_2_may_be_closed(void **state)
{
        in_a_process(without_standard_descriptors);
}

static int with_few_descriptors(BroodStartMethod m)
{
        int taken[1024], n = 0, started = 0, fd;

        if (run(m, "give_code", NULL) != 0)
                return 1;
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 200, 200 });
        while (n < 1024 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
                taken[n++] = fd;
        for (int free_ = 0; free_ < 12; free_++) {
                BroodProcess *p = NULL;
                int r = brood_process_start(&p, &(BroodProcessSpec){ .method = m,
                                                                     .target = "give_code" });

                if (r < 0 && r != -EMFILE && r != -ENFILE)
                        return 2;
                if (r == 0) {
                        started++;
                        if (brood_process_join(p, SOON) < 0 || brood_process_free(p) != 0)
                                return 3;
                }
                close(taken[--n]);
        }
        while (n)
                close(taken[--n]);
        return started >= 6 && run(m, "give_code", NULL) == 0 ? 0 : 4;
}

static void test_without_room_for_descriptors_a_start_fails_and_no_more(void **state)
{
#if defined(__SANITIZE_THREAD__)
        print_message("not under TSan, for the same reason: starts without room for descriptors\n");
        skip();
#endif
        in_a_process(with_few_descriptors);
}

/* --- the fork server --- */

static pid_t find_server(void)
{
        char path[64], line[256];
        DIR *all = opendir("/proc");
        struct dirent *e;
        pid_t found = 0;

        while ((e = readdir(all))) {
                int parent = 0;
                char name[64] = "", state = 0;
                FILE *f;

                (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", e->d_name);
                f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
                if (!f)
                        continue;
                if (fgets(line, sizeof(line), f) &&
                    sscanf(line, "%*d (%63[^)]) %c %d", name, &state, &parent) == 3 &&
                    parent == getpid() && strcmp(name, "brood-forksrv") == 0 && state != 'Z')
                        found = (pid_t)strtol(e->d_name, NULL, 10);
                (void)fclose(f);
        }
        closedir(all);
        return found;
}

static void test_a_fork_server_that_is_killed_is_replaced(void **state)
{
        BroodProcess *p = start(&(BroodProcessSpec){ .method = BROOD_FORKSERVER,
                                                     .target = "sleep_long" });
        pid_t first = find_server(), second;

        assert_true(first > 0);
        assert_int_equal(kill(first, SIGKILL), 0);
        assert_true(goes_within(first, 1000));
        /* its children live, and how they end nobody knows */
        assert_int_equal(brood_process_join(p, 50 * 1000), -ETIMEDOUT);
        assert_int_equal(brood_wait((int[]){ brood_process_sentinel(p) }, 1, 0, &(uint64_t){ 0 }),
                         0);
        assert_int_equal(run(BROOD_FORKSERVER, "give_code", json_pack("{s:i}", "code", 4)), 4);
        second = find_server();
        assert_true(second > 0 && second != first);
        assert_int_equal(brood_process_kill(p), 0);
        assert_int_equal(brood_process_join(p, SOON), 0);
        assert_int_equal(brood_process_free(p), 255);
        assert_int_equal(waitpid(first, NULL, WNOHANG), -1); /* no zombie is left of it */
        assert_int_equal(errno, ECHILD);
}

static void test_a_fork_server_that_is_stopped_holds_up_nobody_for_long(void **state)
{
        BroodProcess *p = start(&(BroodProcessSpec){ .method = BROOD_FORKSERVER,
                                                     .target = "sleep_long" });
        pid_t server = find_server();

        assert_int_equal(kill(server, SIGSTOP), 0);
        assert_int_equal(brood_process_kill(p), 0);
        assert_int_equal(brood_process_join(p, SOON), 0);
        assert_int_equal(brood_process_free(p), 255);
        assert_int_equal(kill(server, SIGCONT), 0);
        assert_int_equal(run(BROOD_FORKSERVER, "give_code", json_pack("{s:i}", "code", 4)), 4);
}

static void test_nothing_is_left(void **state)
{
        static int before;

        for (int round = 0; round < 2; round++) {
                EACH_METHOD(m)
                        for (int i = 0; i < 3; i++)
                                (void)run(m, "give_code", NULL);
                if (!round)
                        before = count_fds();
        }
        assert_int_equal(count_fds(), before);
        assert_int_equal(brood_process_children(NULL, 0), 0);
}

static void test_this_process_is_nobodys_child(void **state)
{
        assert_null(brood_process_self());
        assert_null(brood_process_parent());
        assert_true(brood_cpu_count() >= 1);
}

/* --- the end of the program: in a process of its own, which exits --- */

static void run_to_its_exit(void (*program)(int), int *ret_pid)
{
        int ends[2], status;
        pid_t pid;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                (void)alarm(60);
                program(ends[1]);
                exit(0);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], ret_pid, sizeof(*ret_pid)), sizeof(*ret_pid));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(ends[0]);
}

static void leave_a_stubborn_daemon(int fd)
{
        int ends[2], pid;
        char c;
        BroodProcess *p;

        (void)!pipe2(ends, O_CLOEXEC);
        p = start(&(BroodProcessSpec){ .method = BROOD_FORK, .target = "ignore_sigterm",
                                       .fds = &ends[1], .n_fds = 1, .daemon = true });
        (void)!read(ends[0], &c, 1);
        pid = brood_process_pid(p);
        (void)!write(fd, &pid, sizeof(pid));
}

static void test_a_daemon_that_ignores_sigterm_does_not_keep_the_program(void **state)
{
        usec_t began = clock_monotonic();
        int pid = 0;

        run_to_its_exit(leave_a_stubborn_daemon, &pid);
        assert_true(goes_within(pid, 1000));
        assert_true(clock_monotonic() - began < 10 * USEC_PER_SEC);
}

static void leave_one_that_outlives(int fd)
{
        int pid = brood_process_pid(start(&(BroodProcessSpec){
                .method = BROOD_FORK, .target = "sleep_long", .outlive = true }));

        (void)!write(fd, &pid, sizeof(pid));
}

static void test_one_that_may_outlive_does(void **state)
{
        int pid = 0;

        run_to_its_exit(leave_one_that_outlives, &pid);
        assert_false(goes_within(pid, 100));
        assert_int_equal(kill(pid, SIGKILL), 0);
}

/* --- the end of the parent --- */

/* Has children by all methods, down to a depth; each of them tells that it is there, and that it
 * is not by closing the same pipe. */
static int grow(BroodChild *child)
{
        int depth = (int)number(child, "depth");

        EACH_METHOD(m)
                if (depth)
                        (void)start(&(BroodProcessSpec){
                                .method = m, .target = "grow", .fds = child->fds, .n_fds = 1,
                                .args = json_pack("{s:i}", "depth", depth - 1) });
        (void)!write(child->fds[0], "x", 1);
        return sleep_long(child);
}
BROOD_ENTRY(grow)

/* Microseconds until the last of them was gone. */
static usec_t kill_a_tree(unsigned delay_ms, bool grown)
{
        int ends[2], seen = 0;
        char some[64];
        usec_t killed;
        ssize_t n;
        pid_t pid;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                BroodChild root = { .args = json_pack("{s:i}", "depth", 2), .fds = &ends[1] };

                (void)alarm(60);
                _exit(grow(&root));
        }
        close(ends[1]);
        while (grown && seen < 1 + 3 + 9 && (n = read(ends[0], some, sizeof(some))) > 0)
                seen += (int)n;
        (void)poll(NULL, 0, (int)delay_ms);
        killed = clock_monotonic();
        assert_int_equal(kill(pid, SIGKILL), 0);
        do {
                struct pollfd p = { ends[0], POLLIN, 0 };

                if (poll(&p, 1, 5000) == 0)
                        fail_msg("some live five seconds after their parent was killed");
        } while (read(ends[0], some, sizeof(some)) > 0);
        killed = clock_monotonic() - killed;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(ends[0]);
        return killed;
}

static void test_nothing_outlives_a_parent_that_is_killed(void **state)
{
        enum { ROUNDS = UNLESS_TSAN(30, 10) };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
        const usec_t enough = USEC_PER_SEC; /* there is a terabyte of shadow to be unmapped */
#else
        const usec_t enough = 100 * USEC_PER_MSEC;
#endif
        unsigned late = 0;
        usec_t most = 0;

        for (unsigned i = 0; i < ROUNDS; i++) {
                usec_t took = kill_a_tree(i * 7919 % 31, i % 3 == 0);

                late += took > enough;
                most = MAX(most, took);
        }
        print_message("the last of a tree was gone after at most %llu us\n",
                      (unsigned long long)most);
        assert_true(late <= ROUNDS / 5); /* a machine that is busy with other things */
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_this_process_is_nobodys_child),
                cmocka_unit_test(test_exit_codes_are_those_of_python),
                cmocka_unit_test(test_abort_is_a_signal),
                cmocka_unit_test(test_join_times_out_and_may_be_repeated),
                cmocka_unit_test(test_a_stopped_child_can_be_killed),
                cmocka_unit_test(test_two_threads_join_while_a_third_starts_others),
                cmocka_unit_test(test_a_child_knows_what_it_was_given_and_has_nothing_else),
                cmocka_unit_test(test_many_descriptors_arrive_in_their_order),
                cmocka_unit_test(test_standard_input_may_be_given_along),
                cmocka_unit_test(test_a_fork_may_run_any_function_with_a_pointer),
                cmocka_unit_test(test_names_are_numbered),
                cmocka_unit_test(test_another_program),
                cmocka_unit_test(test_another_program_outlives_the_thread_that_started_it),
                cmocka_unit_test(test_what_makes_no_sense_is_refused),
                cmocka_unit_test(test_a_program_that_is_not_there),
                cmocka_unit_test(test_the_sentinel_and_wait),
                cmocka_unit_test(test_children_that_live_are_listed),
                cmocka_unit_test(test_a_daemon_is_killed_when_it_is_freed),
                cmocka_unit_test(test_children_have_children),
                cmocka_unit_test(test_a_child_waits_for_its_children_and_ends_daemons),
                cmocka_unit_test(test_a_fork_of_the_program_leaves_its_children_alone),
                cmocka_unit_test(test_somebody_else_reaps),
                cmocka_unit_test(test_0_1_and_2_may_be_closed),
                cmocka_unit_test(test_without_room_for_descriptors_a_start_fails_and_no_more),
                cmocka_unit_test(test_a_fork_server_that_is_killed_is_replaced),
                cmocka_unit_test(test_a_fork_server_that_is_stopped_holds_up_nobody_for_long),
                cmocka_unit_test(test_nothing_is_left),
                cmocka_unit_test(test_a_daemon_that_ignores_sigterm_does_not_keep_the_program),
                cmocka_unit_test(test_one_that_may_outlive_does),
                cmocka_unit_test(test_nothing_outlives_a_parent_that_is_killed),
        };

        brood_process_init(argc, argv);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
