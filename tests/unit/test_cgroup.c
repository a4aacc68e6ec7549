/* SPDX-License-Identifier: MIT */

/* cgroups: where we are, read from texts; files, in a plain directory; and, as root where version 2
 * is mounted, the real ones. */

#include "process/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "process/start.h"

#include "unit.h"

/* --- where we are --- */

#define PURE "24 30 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
#define HYBRID                                                                                     \
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                               \
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                        \
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"

static void our_cgroup_is_found_in_every_layout(void **state UNUSED)
{
        static const struct {
                const char *self, *mounts, *path; /* NULL: there is none */
        } cases[] = {
                { "0::/a/b.service\n", PURE, "/sys/fs/cgroup/a/b.service" },
                { "0::/\n", PURE, "/sys/fs/cgroup" },
                { "4:memory:/x\n1:name=systemd:/y\n0::/z\n", HYBRID,
                  "/sys/fs/cgroup/unified/z" },
                { "0::/z", HYBRID, "/sys/fs/cgroup/unified/z" },
                /* the mount shows a part of it */
                { "0::/a/b\n", "1 2 0:3 /a /mnt rw - cgroup2 none rw\n", "/mnt/b" },
                { "0::/a\n", "1 2 0:3 /a /mnt rw - cgroup2 none rw\n", "/mnt" },
                { "0::/ab\n", "1 2 0:3 /a /mnt rw - cgroup2 none rw\n", NULL },
                { "0::/b\n", "1 2 0:3 /a /mnt rw - cgroup2 none rw\n" PURE, "/sys/fs/cgroup/b" },
                { "0::/b\n", "1 2 0:3 / /a\\040b\\134 rw - cgroup2 none rw\n", "/a b\\/b" },
                { "0::/b\n", "1 2 0:3 / /x rw - ext4 cgroup2 rw\n", NULL },
                { "4:memory:/x\n", HYBRID, NULL },
                { "4:memory:/x\n10::/y\n", HYBRID, NULL },
                { "0::/x\n", "", NULL },
                { "", PURE, NULL },
                { "0::/x\n", "nonsense - cgroup2 \n\n- \n", NULL },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                char path[CGROUP_PATH] = "";
                int r = cgroup_find(cases[i].self, cases[i].mounts, path, sizeof(path));

                CHECK(r == (cases[i].path ? 0 : -ENOENT), cases[i].self);
                CHECK(!cases[i].path || strcmp(path, cases[i].path) == 0, path);
        }
}

static void a_path_that_is_too_long_is_refused(void **state UNUSED)
{
        char long_path[CGROUP_PATH + 32], path[8];

        (void)snprintf(long_path, sizeof(long_path), "0::/%0*d\n", CGROUP_PATH, 1);
        assert_int_equal(cgroup_find(long_path, PURE, path, sizeof(path)), -ENAMETOOLONG);
        assert_int_equal(cgroup_find("0::/x", PURE, path, sizeof(path)), -ENAMETOOLONG);
}

/* --- files --- */

static int make_directory(char *path)
{
        int fd;

        assert_non_null(mkdtemp(path));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void numbers_are_read_by_their_key_or_alone(void **state UNUSED)
{
        static const struct {
                const char *text, *key;
                int r;
                uint64_t n;
        } cases[] = {
                { "4096\n", NULL, 0, 4096 },
                { "0\n", NULL, 0, 0 },
                { "max\n", NULL, -ENODATA, 0 },
                { "", NULL, -ENODATA, 0 },
                { "18446744073709551616\n", NULL, -ENODATA, 0 },
                { "7x\n", NULL, -ENODATA, 0 },
                { "low 0\noom 3\noom_kill 2\noom_group_kill 1\n", "oom_kill", 0, 2 },
                { "low 0\noom 3\n", "oom_kill", -ENODATA, 0 },
                { "xoom_kill 3\n", "oom_kill", -ENODATA, 0 },
                { "oom_kill\n", "oom_kill", -ENODATA, 0 },
                { "usage_usec 12345678901\nuser_usec 1\n", "usage_usec", 0, 12345678901 },
        };
        char path[] = "/tmp/brood-cgroup-XXXXXX", file[64];
        int dir = make_directory(path);
        uint64_t n;

        (void)snprintf(file, sizeof(file), "%s/f", path);
        assert_int_equal(cgroup_read(dir, "f", NULL, &n), -ENOENT);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                n = 0;
                assert_int_equal(cgroup_write(dir, "f", cases[i].text), 0);
                CHECK(cgroup_read(dir, "f", cases[i].key, &n) == cases[i].r && n == cases[i].n,
                      cases[i].text);
                assert_int_equal(unlink(file), 0);
        }
        assert_int_equal(cgroup_write(dir, "f", "cpu io memory\n"), 0);
        assert_true(cgroup_lists(dir, "f", "cpu"));
        assert_true(cgroup_lists(dir, "f", "memory"));
        assert_false(cgroup_lists(dir, "f", "mem"));
        assert_false(cgroup_lists(dir, "g", "cpu"));
        assert_int_equal(unlink(file), 0);
        close(dir);
        assert_int_equal(rmdir(path), 0);
}

static void links_are_not_followed(void **state UNUSED)
{
        char path[] = "/tmp/brood-cgroup-XXXXXX", link[64];
        int dir = make_directory(path);
        uint64_t n;

        (void)snprintf(link, sizeof(link), "%s/x", path);
        assert_int_equal(symlink("/etc", link), 0);
        assert_true(cgroup_open(dir, "x") < 0);
        assert_true(cgroup_make(dir, "x") < 0);
        assert_true(cgroup_remove(dir, "x") < 0);
        assert_int_equal(cgroup_write(dir, "x", "1"), -ELOOP);
        assert_int_equal(cgroup_read(dir, "x", NULL, &n), -ELOOP);
        assert_int_equal(unlink(link), 0);
        close(dir);
        assert_int_equal(rmdir(path), 0);
}

/* --- the real ones --- */

static int real_root(void)
{
        AUTO(fd_close) int top = open("/sys/fs/cgroup/unified", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char name[64];

        if (top < 0)
                top = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)snprintf(name, sizeof(name), "brood-unit-%d", (int)getpid());
        return top < 0 || faccessat(top, "cgroup.procs", W_OK, 0) < 0 ? -1
                                                                      : cgroup_make(top, name);
}

static int remove_real_root(void)
{
        char name[64];
        int top = open("/sys/fs/cgroup/unified", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

        if (top < 0)
                top = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)snprintf(name, sizeof(name), "brood-unit-%d", (int)getpid());
        r = cgroup_end(top, name, 2000);
        close(top);
        return r;
}

/* A shell below us that runs in this group. */
static pid_t start_in(const CgroupDoor *door, const char *script)
{
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
        char *environment[] = { NULL };
        ProcessStart start = { .path = "/bin/sh", .argv = argv, .environment = environment,
                               .in = -1, .out = -1, .err = -1, .cgroup = door };
        pid_t pid;

        assert_int_equal(process_start(&start, &pid, NULL), 0);
        return pid;
}

static bool lives_in(int group, pid_t pid)
{
        char text[16];

        (void)snprintf(text, sizeof(text), "%d", (int)pid);
        return cgroup_other_process(group) > 0 && cgroup_lists(group, "cgroup.procs", text);
}

static void a_child_is_born_in_it_and_all_below_is_killed(void **state UNUSED)
{
        int root = real_root(), status;
        AUTO(fd_close) int group = -1;
        AUTO(fd_close) int below = -1;
        AUTO(fd_close) int procs = -1;
        pid_t pid;

        if (root < 0)
                skip();
        group = cgroup_make(root, "g");
        below = cgroup_make(group, "below");
        assert_true(group >= 0 && below >= 0);
        assert_false(cgroup_populated(group));
        procs = cgroup_open_procs(below);
        assert_true(procs >= 0);
        assert_int_equal(cgroup_other_process(below), 0);
        for (int i = 0; i < 3; i++) { /* anew, after a kill as a whole, and without a directory */
                const CgroupDoor door = { i < 2 ? below : -1, procs };

                pid = start_in(&door, "trap '' TERM; setsid sleep 1000 & exec sleep 1000");
                assert_true(lives_in(below, pid));
                if (i < 2) {
                        assert_int_equal(cgroup_kill(below), 0);
                        assert_int_equal(waitpid(pid, &status, 0), pid);
                        assert_true(WIFSIGNALED(status));
                }
        }
        assert_true(cgroup_populated(group));
        assert_int_equal(cgroup_remove(root, "g"), -EBUSY);
        assert_int_equal(cgroup_kill(group), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(cgroup_end(root, "g", 2000), 0);
        assert_int_equal(cgroup_open(root, "g"), -ENOENT);
        assert_int_equal(cgroup_end(root, "g", 0), 0); /* it is not there */
        assert_int_equal(cgroup_enter(procs), -ENODEV); /* the group is gone */
        close(root);
        assert_int_equal(remove_real_root(), 0);
}

static void a_child_stays_with_us_where_it_can_not_enter(void **state UNUSED)
{
        int status, nowhere = open("/dev/full", O_WRONLY | O_CLOEXEC);
        const CgroupDoor doors[] = { { -1, nowhere }, { nowhere, nowhere }, { -1, -1 } };

        for (size_t i = 0; i < ELEMENTS(doors); i++) {
                pid_t pid = start_in(&doors[i], "exit 3");

                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(WEXITSTATUS(status), 3);
        }
        close(nowhere);
}

static void what_a_child_failed_at_is_told_from_inside(void **state UNUSED)
{
        int root = real_root();
        char *argv[] = { (char *)"x", NULL };
        AUTO(fd_close) int procs = -1;
        pid_t pid;

        if (root < 0)
                skip();
        procs = cgroup_open_procs(root);
        {
                const CgroupDoor door = { root, procs };
                ProcessStart start = { .path = "/no/such", .argv = argv, .environment = argv + 1,
                                       .in = -1, .out = -1, .err = -1, .cgroup = &door };

                assert_int_equal(process_start(&start, &pid, NULL), -ENOENT);
                start.path = "/bin/true";
                start.directory = "/no/such";
                assert_int_equal(process_start(&start, &pid, NULL), -ENOENT);
                start.directory = "/etc/passwd";
                assert_int_equal(process_start(&start, &pid, NULL), -ENOTDIR);
        }
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* there is no child */
        close(root);
        assert_int_equal(remove_real_root(), 0);
}

static void no_file_is_made_where_a_controller_is_not(void **state UNUSED)
{
        int root = real_root();

        if (root < 0)
                skip();
        assert_int_equal(cgroup_write(root, "no.such.file", "1"), -EACCES);
        close(root);
        assert_int_equal(remove_real_root(), 0);
}

static void a_group_is_given_to_a_user(void **state UNUSED)
{
        static const char *const given[] = { ".", "cgroup.procs", "cgroup.threads",
                                             "cgroup.subtree_control" };
        int root = real_root();
        AUTO(fd_close) int group = -1;
        struct stat st;

        if (root < 0 || geteuid() != 0)
                skip();
        group = cgroup_make(root, "theirs");
        assert_int_equal(cgroup_share(group, 65534), 0);
        for (size_t i = 0; i < ELEMENTS(given); i++) {
                assert_int_equal(fstatat(group, given[i], &st, 0), 0);
                CHECK(st.st_uid == 0 && st.st_gid == 65534 && st.st_mode & 020, given[i]);
        }
        assert_int_equal(fstatat(group, "cgroup.kill", &st, 0), 0);
        assert_true(st.st_gid == 0 && !(st.st_mode & 020)); /* that stays ours */
        close(root);
        assert_int_equal(remove_real_root(), 0);
}

/* What a worker of another user does: it enters by a door that root has opened, makes a leaf beside
 * its own, and starts a command there. Returns the number of the step that fails, 0: none. */
static int be_another(int top, int procs)
{
        AUTO(fd_close) int leaf = -1;
        CgroupDoor door;
        pid_t pid;

        if (setgid(65534) < 0 || setuid(65534) < 0)
                return 1;
        if (cgroup_enter(procs) < 0)
                return 2;
        leaf = cgroup_make(top, "job");
        if (leaf < 0)
                return 3;
        for (int i = 0; i < 2; i++) {
                door = (CgroupDoor){ i ? -1 : leaf, cgroup_open_procs(leaf) };
                pid = start_in(&door, "sleep 1000 & exec sleep 1000");
                close(door.procs);
                if (!lives_in(leaf, pid))
                        return 4 + i;
                if (cgroup_kill(leaf) < 0 || waitpid(pid, NULL, 0) != pid)
                        return 6;
        }
        return cgroup_end(top, "job", 2000) < 0 ? 7 : 0;
}

static void another_user_makes_leaves_in_a_group_that_was_given_to_it(void **state UNUSED)
{
        static const struct {
                bool given;
                int failed;
        } cases[] = { { true, 0 }, { false, 3 } };
        int root = geteuid() == 0 ? real_root() : -1, status;

        if (root < 0)
                skip();
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                AUTO(fd_close) int top = cgroup_make(root, "0.1");
                AUTO(fd_close) int worker = cgroup_make(top, "worker");
                AUTO(fd_close) int procs = cgroup_open_procs(worker);
                pid_t pid;

                if (cases[i].given)
                        assert_int_equal(cgroup_share(top, 65534), 0);
                pid = fork();
                if (pid == 0)
                        _exit(be_another(top, procs));
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(WEXITSTATUS(status), cases[i].failed);
                assert_int_equal(cgroup_end(root, "0.1", 2000), 0);
        }
        close(root);
        assert_int_equal(remove_real_root(), 0);
}

static int end_what_a_failure_left(void **state UNUSED)
{
        (void)remove_real_root();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(our_cgroup_is_found_in_every_layout),
                cmocka_unit_test(a_path_that_is_too_long_is_refused),
                cmocka_unit_test(numbers_are_read_by_their_key_or_alone),
                cmocka_unit_test(links_are_not_followed),
                cmocka_unit_test(a_child_is_born_in_it_and_all_below_is_killed),
                cmocka_unit_test(a_child_stays_with_us_where_it_can_not_enter),
                cmocka_unit_test(what_a_child_failed_at_is_told_from_inside),
                cmocka_unit_test(no_file_is_made_where_a_controller_is_not),
                cmocka_unit_test(a_group_is_given_to_a_user),
                cmocka_unit_test(
                        another_user_makes_leaves_in_a_group_that_was_given_to_it),
        };

        return cmocka_run_group_tests(tests, NULL, end_what_a_failure_left);
}
