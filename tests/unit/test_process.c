/* SPDX-License-Identifier: MIT */

/* Starting, watching and ending processes. The children are /bin/sh and this program itself. */

#include "process/start.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "process/exit.h"
#include "process/orphans.h"
#include "process/preparation.h"
#include "process/sentinel.h"

#include "unit.h"

static char *const no_environment[] = { NULL };

/* Runs a shell command whose output is returned; `start` says the rest. */
static void run_shell(const ProcessStart *base, const char *command, char *out, size_t size)
{
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
        ProcessStart start = *base;
        int ends[2], pidfd = -1, status;
        ssize_t n;
        pid_t pid;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        start.path = "/bin/sh";
        start.argv = argv;
        start.environment = start.environment ? start.environment : no_environment;
        start.in = start.err = -1;
        start.out = ends[1];
        assert_int_equal(process_start(&start, &pid, &pidfd), 0);
        assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
        close(ends[1]);
        n = fd_read_all(ends[0], out, size - 1);
        assert_true(n >= 0);
        out[n] = '\0';
        close(ends[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(pidfd_signal(pidfd, 0), -ESRCH);
        close(pidfd);
}

static bool has_child(void)
{
        return waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD;
}

/* --- start --- */

/* The descriptors are listed by this program: a shell or ls would open some of its own. */
static int list_descriptors(void)
{
        for (int fd = 0; fd < 1024; fd++) {
                struct stat st;

                if (fstat(fd, &st) == 0)
                        dprintf(1, "%d:%llu ", fd, fd < 3 ? 0ULL : (unsigned long long)st.st_ino);
        }
        _exit(0);
}

static void descriptors_arrive_in_order_and_no_other_does(void **state UNUSED)
{
        char self[4096], found[4096], expected[4096];
        char *argv[] = { self, (char *)"list-descriptors", NULL };
        int open_one = open("/dev/null", O_RDONLY), ends[2], fds[PROCESS_MAX_FDS], n = 0, status;
        ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
        ProcessStart start = {
                .path = self, .argv = argv, .environment = environ, .in = -1, .err = 2
        };
        pid_t pid;

        assert_true(length > 0 && open_one > 0);
        self[length] = '\0';
        for (unsigned count = 0; count <= PROCESS_MAX_FDS; count += count < 4 ? 1 : 30) {
                AUTO(buffer_fini) Buffer want = BUFFER_INIT;

                assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
                for (unsigned i = 0; i < count; i++) { /* against the order of their numbers */
                        fds[count - 1 - i] = fd_from_bytes("one", "", 0);
                        assert_true(fds[count - 1 - i] >= 0);
                }
                buffer_append_string(&want, "0:0 1:0 2:0 ");
                for (unsigned i = 0; i < count; i++) {
                        struct stat st;

                        assert_int_equal(fstat(fds[i], &st), 0);
                        buffer_printf(&want, "%u:%llu ", i + 3, (unsigned long long)st.st_ino);
                }
                start.out = ends[1];
                start.fds = fds;
                start.n_fds = count;
                assert_int_equal(process_start(&start, &pid, NULL), 0);
                close(ends[1]);
                n = (int)fd_read_all(ends[0], found, sizeof(found) - 1);
                assert_true(n >= 0);
                found[n] = '\0';
                (void)snprintf(expected, sizeof(expected), "%.*s", (int)buffer_len(&want),
                               buffer_bytes(&want));
                assert_string_equal(found, expected);
                close(ends[0]);
                for (unsigned i = 0; i < count; i++)
                        close(fds[i]);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
        }
        close(open_one);
}

static void what_cannot_be_started_leaves_no_child(void **state UNUSED)
{
        static const struct {
                const char *name, *path, *directory;
                int error;
        } cases[] = {
                { "no program", "/no/such/program", NULL, -ENOENT },
                { "not executable", "/etc/passwd", NULL, -EACCES },
                { "a directory", "/etc", NULL, -EACCES },
                { "no directory", "/bin/sh", "/no/such/directory", -ENOENT },
                { "a file as directory", "/bin/sh", "/etc/passwd", -ENOTDIR },
        };
        char *argv[] = { (char *)"x", NULL };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                ProcessStart start = { .path = cases[i].path,
                                       .argv = argv,
                                       .environment = no_environment,
                                       .in = -1,
                                       .out = -1,
                                       .err = -1,
                                       .directory = cases[i].directory };
                pid_t pid = 42;
                int pidfd = 43;

                CHECK(process_start(&start, &pid, &pidfd) == cases[i].error, cases[i].name);
                CHECK(pid == 42 && pidfd == 43, cases[i].name);
                CHECK(!has_child(), cases[i].name);
        }
}

static void on_signal(int number UNUSED)
{
}

static void signals_are_as_in_a_fresh_process(void **state UNUSED)
{
        ProcessStart start = { 0 };
        sigset_t blocked, before;
        char out[8192];

        signal(SIGPIPE, SIG_IGN);
        signal(SIGUSR2, SIG_IGN);
        signal(SIGHUP, on_signal);
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGUSR1);
        sigaddset(&blocked, SIGTERM);
        assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
        run_shell(&start, "exec cat /proc/self/status", out, sizeof(out));
        assert_non_null(strstr(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
                                    "SigCgt:\t0000000000000000\n"));
        assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &blocked), 0); /* and ours as they were */
        assert_true(sigismember(&blocked, SIGUSR1) && sigismember(&blocked, SIGTERM));
        assert_false(sigismember(&blocked, SIGUSR2));
        assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGUSR2, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
}

static void it_starts_in_its_directory_with_its_environment(void **state UNUSED)
{
        char *const environment[] = { (char *)"A=1", NULL };
        ProcessStart start = { .directory = "/usr", .environment = environment };
        char out[512];

        run_shell(&start, "echo $A$HOME; pwd", out, sizeof(out));
        assert_string_equal(out, "1\n/usr\n");
}

static void it_knows_its_own_pid_before_it_runs(void **state UNUSED)
{
        char variable[64] = "LISTEN_PID=xxxxxxxxxxxxxxxxxxxx";
        char *const environment[] = { variable, NULL };
        ProcessStart start = { .environment = environment,
                               .pid_to = variable + strlen("LISTEN_PID=") };
        char out[512];

        run_shell(&start, "test \"$LISTEN_PID\" = $$ && echo same", out, sizeof(out));
        assert_string_equal(out, "same\n");
}

static void it_gets_a_group_or_a_session_if_asked(void **state UNUSED)
{
        static const struct {
                const char *name;
                bool session, group;
                int leads; /* bit 0: a group, bit 1: a session */
        } cases[] = { { "nothing", false, false, 0 },
                      { "group", false, true, 1 },
                      { "session", true, false, 3 } };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                ProcessStart start = { .new_session = cases[i].session,
                                       .new_group = cases[i].group };
                int pid, group, session;
                char out[512];

                run_shell(&start, "read pid name state parent group session rest < /proc/$$/stat; "
                                  "echo $pid $group $session", out, sizeof(out));
                assert_int_equal(sscanf(out, "%d %d %d", &pid, &group, &session), 3);
                CHECK((group == pid) + 2 * (session == pid) == cases[i].leads, cases[i].name);
        }
}

/* --- dying together --- */

/* A parent that starts a child which would live long, tells its pid, and dies. */
static pid_t child_of_a_dead_parent(bool die_with_parent)
{
        char *argv[] = { (char *)"sleep", (char *)"600", NULL };
        ProcessStart start = { .path = "/bin/sleep",
                               .argv = argv,
                               .environment = no_environment,
                               .in = -1,
                               .out = -1,
                               .err = -1,
                               .die_with_parent = die_with_parent };
        int ends[2];
        pid_t parent, child = 0;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        parent = fork();
        if (parent == 0) {
                if (process_start(&start, &child, NULL) == 0)
                        (void)!write(ends[1], &child, sizeof(child));
                (void)raise(SIGKILL);
        }
        close(ends[1]);
        assert_int_equal(fd_read_all(ends[0], &child, sizeof(child)), sizeof(child));
        close(ends[0]);
        assert_int_equal(waitpid(parent, NULL, 0), parent);
        return child;
}

static bool ends_within(pid_t pid, int ms)
{
        int fd = pidfd_open_for(pid);
        struct pollfd p = { fd, POLLIN, 0 };
        bool over = fd < 0 || poll(&p, 1, ms) > 0;

        fd_close(fd);
        return over;
}

static void who_asked_for_it_dies_with_its_parent(void **state UNUSED)
{
        pid_t with, without;

        assert_int_equal(orphans_adopt(), 0);
        with = child_of_a_dead_parent(true);
        without = child_of_a_dead_parent(false);
        assert_true(ends_within(with, 5000));
        assert_false(ends_within(without, 50));
        assert_int_equal(orphans_end_all(), 0);
        assert_true(ends_within(without, 0));
}

static void the_sentinel_tells_that_the_parent_is_gone(void **state UNUSED)
{
        Sentinel s = SENTINEL_INIT;
        struct pollfd p;
        pid_t pid;

        assert_int_equal(sentinel_init(&s), 0);
        assert_true(fcntl(s.watch, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(s.hold, F_GETFD) & FD_CLOEXEC);
        assert_false(sentinel_gone(s.watch));
        pid = fork(); /* now it alone holds the other end */
        if (pid == 0) {
                (void)pause();
                _exit(0);
        }
        s.hold = fd_close(s.hold);
        assert_false(sentinel_gone(s.watch));
        assert_int_equal(kill(pid, SIGKILL), 0);
        p = (struct pollfd){ s.watch, POLLIN, 0 };
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_true(sentinel_gone(s.watch));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        sentinel_fini(&s);
        assert_int_equal(s.watch, -1);
        sentinel_fini(&s);
}

static bool keep_one(pid_t pid, void *context)
{
        return pid == *(const pid_t *)context;
}

static void orphans_end_but_for_who_is_kept(void **state UNUSED)
{
        pid_t kept, other;
        int status;

        assert_int_equal(orphans_adopt(), 0);
        assert_int_equal(orphans_kill(NULL, NULL), 0);
        kept = child_of_a_dead_parent(false);
        other = child_of_a_dead_parent(false);
        assert_int_equal(orphans_kill(keep_one, &kept), 1);
        assert_int_equal(waitpid(other, &status, 0), other);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(kill(kept, 0), 0);
        assert_int_equal(orphans_end_all(), 0);
        assert_int_equal(kill(kept, 0), -1);
        assert_false(has_child());
}

static void a_daemonized_grandchild_ends_too(void **state UNUSED)
{
        ProcessStart start = { 0 };
        char out[64];
        pid_t daemon;

        assert_int_equal(orphans_adopt(), 0);
        run_shell(&start, "setsid sh -c 'sleep 600 >/dev/null & echo $!; exec >/dev/null'", out,
                  sizeof(out));
        daemon = (pid_t)strtol(out, NULL, 10);
        assert_true(daemon > 1);
        assert_int_equal(kill(daemon, 0), 0);
        assert_int_equal(orphans_end_all(), 0);
        assert_int_equal(kill(daemon, 0), -1);
        assert_false(has_child());
}

/* --- words --- */

static void a_verdict_is_said_in_words(void **state UNUSED)
{
        static const struct {
                int wait_status, status, signal;
                bool core;
                const char *words;
        } cases[] = {
                { 0x0000, 0, 0, false, "ended with status 0" },
                { 0x0300, 3, 0, false, "ended with status 3" },
                { 0xff00, 255, 0, false, "ended with status 255" },
                { -1, -1, 0, false, "ended, nobody knows how," },
                { SIGKILL, -1, SIGKILL, false, "was killed by SIGKILL" },
                { SIGSEGV | 0x80, -1, SIGSEGV, true, "was killed by SIGSEGV (core dumped)" },
        };
        struct rusage usage = { .ru_utime = { 1, 500000 },
                                .ru_stime = { 2, 700000 },
                                .ru_maxrss = 1000 };
        char words[96];

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                ExitVerdict v = exit_verdict(cases[i].wait_status, &usage);

                CHECK(exit_verdict_status(&v) == cases[i].status, cases[i].words);
                CHECK(exit_verdict_signal(&v) == cases[i].signal, cases[i].words);
                CHECK(exit_verdict_core(&v) == cases[i].core, cases[i].words);
                CHECK(v.cpu_usec == 4200000 && v.peak_memory_bytes == 1024000, cases[i].words);
                assert_string_equal(exit_verdict_words(&v, words, sizeof(words)), cases[i].words);
        }
}

static void signals_have_names_both_ways(void **state UNUSED)
{
        static const struct {
                const char *name;
                int number;
        } cases[] = { { "SEGV", SIGSEGV }, { "SIGSEGV", SIGSEGV }, { "TERM", SIGTERM },
                      { "", 0 },           { "SIG", 0 },           { "segv", 0 },
                      { "NOSUCH", 0 },     { "SIGSIGSEGV", 0 } };
        char name[32];

        for (size_t i = 0; i < ELEMENTS(cases); i++)
                CHECK(signal_number(cases[i].name) == cases[i].number, cases[i].name);
        assert_string_equal(signal_name(SIGKILL), "KILL");
        (void)snprintf(name, sizeof(name), "%s", signal_name(SIGRTMIN + 3));
        assert_string_equal(name, "RTMIN+3");
        assert_string_equal(signal_name(1000), "1000");
}

/* --- preparation --- */

static void fill_preparation(Preparation *p)
{
        char *texts[] = { (char *)"one", (char *)"", (char *)"dr\xc3\xa4i\n\"\\", NULL };
        uint64_t n = 0;

#define FILL_NUMBER(name) p->name = n++ ? UINT64_MAX - n : 0; /* also those beyond int64_t */
#define FILL_TEXT(name) p->name = strdup("text of " #name " \xe2\x82\xac");
#define FILL_TEXTS(name) p->name = texts_copy(texts);
#define FILL_OBJECT(name) p->name = json_pack("{s:s, s:{}}", "a", "b", #name);
#define FILL(type, name) FILL_##type(name)
        PREPARATION_PARTS(FILL)
}

static bool same_NUMBER(uint64_t a, uint64_t b)
{
        return a == b;
}

static bool same_TEXT(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_TEXTS(char *const *a, char *const *b)
{
        if (!a || !b)
                return a == b;
        while (*a && *b && strcmp(*a, *b) == 0)
                a++, b++;
        return !*a && !*b;
}

static bool same_OBJECT(const json_t *a, const json_t *b)
{
        return a && b ? json_equal(a, b) : a == b;
}

static void check_round_trip(const Preparation *p)
{
        int fd = preparation_write(p);
        Preparation q;

        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        for (int i = 0; i < 2; i++) { /* it can be read again, from wherever it stands */
                assert_int_equal(preparation_read(&q, fd), 0);
#define SAME(type, name) CHECK(same_##type(p->name, q.name), #name);
                PREPARATION_PARTS(SAME)
                preparation_fini(&q);
                assert_true(lseek(fd, 3, SEEK_SET) == 3);
        }
        close(fd);
}

static void a_preparation_reads_back_as_it_was_written(void **state UNUSED)
{
        char *none[] = { NULL };
        Preparation p;

        preparation_init(&p);
        check_round_trip(&p); /* all unset */
        fill_preparation(&p);
        check_round_trip(&p);
        texts_free(p.command);
        p.command = texts_copy(none); /* empty is not unset */
        check_round_trip(&p);
        preparation_fini(&p);
        assert_null(p.pool);
        assert_int_equal(p.slots, PREPARATION_UNSET);
}

/* A worker without its environment would be a surprise. */
static void what_cannot_be_written_is_not_left_out(void **state UNUSED)
{
        char *latin[] = { (char *)"A=\xe4", NULL };
        Preparation p;

        preparation_init(&p);
        p.environment = texts_copy(latin);
        assert_true(preparation_write(&p) < 0);
        preparation_fini(&p);
        p.pool = strdup("\xe4");
        assert_true(preparation_write(&p) < 0);
        preparation_fini(&p);
}

static void what_is_no_preparation_is_refused(void **state UNUSED)
{
        static const char *const cases[] = {
                "",
                "[]",
                "{",
                "{\"pool\":1}",
                "{\"slots\":\"1\"}",
                "{\"command\":\"x\"}",
                "{\"command\":[1]}",
                "{\"pool\":\"x\",\"command\":[\"a\",null]}",
                "{\"settings\":[]}",
                "{\"handlers\":{}}",
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                int fd = fd_from_bytes("bad", cases[i], strlen(cases[i]));
                Preparation p;

                CHECK(preparation_read(&p, fd) == -EBADMSG, cases[i]);
                CHECK(!p.pool && !p.command, cases[i]); /* nothing is left to be freed */
                close(fd);
        }
}

static void texts_are_copied(void **state UNUSED)
{
        char a[] = "a", *texts[] = { a, NULL };
        char **copy = texts_copy(texts);

        a[0] = 'x';
        assert_string_equal(copy[0], "a");
        assert_null(copy[1]);
        texts_free(copy);
        assert_null(texts_copy(NULL));
        texts_free(NULL);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(descriptors_arrive_in_order_and_no_other_does),
                cmocka_unit_test(what_cannot_be_started_leaves_no_child),
                cmocka_unit_test(signals_are_as_in_a_fresh_process),
                cmocka_unit_test(it_starts_in_its_directory_with_its_environment),
                cmocka_unit_test(it_knows_its_own_pid_before_it_runs),
                cmocka_unit_test(it_gets_a_group_or_a_session_if_asked),
                cmocka_unit_test(who_asked_for_it_dies_with_its_parent),
                cmocka_unit_test(the_sentinel_tells_that_the_parent_is_gone),
                cmocka_unit_test(orphans_end_but_for_who_is_kept),
                cmocka_unit_test(a_daemonized_grandchild_ends_too),
                cmocka_unit_test(a_verdict_is_said_in_words),
                cmocka_unit_test(signals_have_names_both_ways),
                cmocka_unit_test(a_preparation_reads_back_as_it_was_written),
                cmocka_unit_test(what_cannot_be_written_is_not_left_out),
                cmocka_unit_test(what_is_no_preparation_is_refused),
                cmocka_unit_test(texts_are_copied),
        };

        if (argc == 2 && strcmp(argv[1], "list-descriptors") == 0)
                return list_descriptors();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
