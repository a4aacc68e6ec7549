/* SPDX-License-Identifier: MIT */

/* A subreaper gets the orphans below it, also those with a session of their own:
 * PR_SET_CHILD_SUBREAPER(2const). */

#include <fcntl.h>

#include "ground.h"

/* Forks a child that forks a grandchild in its own session and ends. The grandchild's pid. */
static pid_t make_an_orphan(void)
{
        int pipes[2], status;
        pid_t child, orphan = 0;

        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        child = fork();
        if (child == 0) {
                pid_t pid = fork();

                if (pid == 0) {
                        setsid();
                        alarm(LIMIT_MS / 1000);
                        for (;;)
                                pause();
                }
                _exit(write(pipes[1], &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(read(pipes[0], &orphan, sizeof(orphan)), sizeof(orphan));
        close(pipes[0]);
        close(pipes[1]);
        return orphan;
}

static void it_gets_an_orphan_with_a_session_of_its_own(void **state)
{
        pid_t orphan;
        int status;

        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        orphan = make_an_orphan();
        assert_int_equal(kill(orphan, SIGKILL), 0);
        assert_int_equal(waitpid(orphan, &status, 0), orphan);
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void a_fork_does_not_inherit_it(void **state)
{
        int status, is = -1;
        pid_t pid;

        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        pid = fork();
        if (pid == 0) {
                prctl(PR_GET_CHILD_SUBREAPER, &is);
                _exit(is);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void when_it_dies_its_orphans_go_to_the_next_one_above(void **state)
{
        int pipes[2], status;
        pid_t middle, orphan = 0;

        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        middle = fork();
        if (middle == 0) {
                prctl(PR_SET_CHILD_SUBREAPER, 1);
                orphan = make_an_orphan();
                _exit(write(pipes[1], &orphan, sizeof(orphan)) == sizeof(orphan) ? 0 : 1);
        }
        assert_int_equal(waitpid(middle, &status, 0), middle);
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(read(pipes[0], &orphan, sizeof(orphan)), sizeof(orphan));
        kill(orphan, SIGKILL);
        assert_int_equal(waitpid(orphan, &status, 0), orphan);
        close(pipes[0]);
        close(pipes[1]);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_gets_an_orphan_with_a_session_of_its_own),
                cmocka_unit_test(a_fork_does_not_inherit_it),
                cmocka_unit_test(when_it_dies_its_orphans_go_to_the_next_one_above),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
