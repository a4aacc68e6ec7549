/* SPDX-License-Identifier: MIT */

/* The kernel lists the children of each thread: proc_pid_task_tid_children(5). Needs
 * CONFIG_PROC_CHILDREN. */

#include <fcntl.h>

#include "ground.h"

static bool lists(pid_t parent, pid_t child)
{
        char name[64], text[4096], wanted[32];
        ssize_t n;
        int fd;

        snprintf(name, sizeof(name), "/proc/%d/task/%d/children", parent, parent);
        fd = open(name, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        text[0] = ' ';
        n = read(fd, text + 1, sizeof(text) - 2);
        assert_true(n >= 0);
        text[n + 1] = '\0';
        close(fd);
        snprintf(wanted, sizeof(wanted), " %d ", child);
        return strstr(text, wanted) != NULL;
}

static void a_child_is_listed_until_it_is_reaped(void **state)
{
        pid_t pid = start_sleeper();
        int fd = open_pidfd(pid);

        assert_true(lists(getpid(), pid));
        kill(pid, SIGKILL);
        assert_true(readable(fd, LIMIT_MS));
        assert_true(lists(getpid(), pid)); /* a zombie, too */
        kill_and_reap(pid);
        assert_false(lists(getpid(), pid));
        close(fd);
}

static void an_orphan_is_listed_under_its_subreaper(void **state)
{
        int pipes[2];
        pid_t child, orphan = 0;

        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        child = fork();
        if (child == 0) {
                orphan = fork();
                if (orphan == 0) {
                        alarm(LIMIT_MS / 1000);
                        for (;;)
                                pause();
                }
                _exit(write(pipes[1], &orphan, sizeof(orphan)) == sizeof(orphan) ? 0 : 1);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(read(pipes[0], &orphan, sizeof(orphan)), sizeof(orphan));
        assert_true(lists(getpid(), orphan));
        kill_and_reap(orphan);
        close(pipes[0]);
        close(pipes[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_child_is_listed_until_it_is_reaped),
                cmocka_unit_test(an_orphan_is_listed_under_its_subreaper),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
