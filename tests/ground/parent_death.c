/* SPDX-License-Identifier: MIT */

/* The parent-death signal: PR_SET_PDEATHSIG(2const). It follows the thread that forked, a fork
 * clears it, and it comes when that thread ends though its process lives on. */

#include <fcntl.h>
#include <pthread.h>

#include "ground.h"

static int alive[2], go[2]; /* `alive` is closed when its last holder is gone */

static void pipes_open(void)
{
        assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
}

static void pipes_close(void)
{
        close(alive[0]);
        close(go[0]);
        close(go[1]);
}

static void sleep_until_killed(void)
{
        assert_int_equal(write(alive[1], "r", 1), 1);
        for (;;)
                pause();
}

static void a_child_dies_with_its_parent(void **state)
{
        pid_t parent;

        pipes_open();
        parent = fork();
        if (parent == 0) {
                if (fork() == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        alarm(LIMIT_MS / 1000);
                        sleep_until_killed();
                }
                close(alive[1]);
                for (;;)
                        pause();
        }
        close(alive[1]);
        assert_int_equal(read_byte(alive[0]), 'r');
        kill_and_reap(parent);
        assert_true(readable(alive[0], LIMIT_MS));
        pipes_close();
}

static void *fork_a_child(void *arg)
{
        pid_t pid = fork();
        char c;

        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                alarm(LIMIT_MS / 1000);
                sleep_until_killed();
        }
        *(pid_t *)arg = pid;
        (void)!read(go[0], &c, 1);
        return NULL;
}

static void it_follows_the_thread_that_forked_not_the_process(void **state)
{
        pthread_t thread;
        pid_t pid = 0;
        char c;

        pipes_open();
        assert_int_equal(pthread_create(&thread, NULL, fork_a_child, &pid), 0);
        assert_int_equal(read_byte(alive[0]), 'r');
        close(alive[1]);
        assert_false(readable(alive[0], 50)); /* the thread lives, and so does the child */
        assert_int_equal(write(go[1], "g", 1), 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(readable(alive[0], LIMIT_MS));
        assert_int_equal(read(alive[0], &c, 1), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        pipes_close();
}

static void a_grandchild_does_not_inherit_it(void **state)
{
        int status, sig = -1;
        pid_t pid = fork();

        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                pid = fork();
                if (pid == 0) {
                        prctl(PR_GET_PDEATHSIG, &sig);
                        _exit(sig);
                }
                waitpid(pid, &status, 0);
                _exit(WEXITSTATUS(status));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_child_dies_with_its_parent),
                cmocka_unit_test(it_follows_the_thread_that_forked_not_the_process),
                cmocka_unit_test(a_grandchild_does_not_inherit_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
