/* SPDX-License-Identifier: MIT */

/* A worker's death is known by its pidfd: pidfd_open(2), poll(2). */

#include "ground.h"

static void a_killed_process_makes_its_pidfd_readable(void **state)
{
        pid_t pid = start_sleeper();
        int fd = open_pidfd(pid);

        assert_false(readable(fd, 0));
        kill(pid, SIGKILL);
        assert_true(readable(fd, LIMIT_MS));
        close(fd);
        kill_and_reap(pid);
}

static void a_pidfd_stays_readable_after_the_process_is_reaped(void **state)
{
        pid_t pid = start_sleeper();
        int fd = open_pidfd(pid);

        kill_and_reap(pid);
        assert_true(readable(fd, 0));
        assert_int_equal(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), -1);
        assert_int_equal(errno, ESRCH);
        close(fd);
}

static void a_stopped_process_does_not_make_its_pidfd_readable(void **state)
{
        pid_t pid = start_sleeper();
        int fd = open_pidfd(pid);
        siginfo_t info = { 0 };

        kill(pid, SIGSTOP); /* stopped is not dead */
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
        assert_false(readable(fd, 0));
        kill(pid, SIGKILL); /* and SIGKILL ends what is stopped */
        assert_true(readable(fd, LIMIT_MS));
        close(fd);
        kill_and_reap(pid);
}

static void waitid_by_pidfd_tells_the_signal(void **state)
{
        pid_t pid = start_sleeper();
        int fd = open_pidfd(pid);
        siginfo_t info = { 0 };

        kill(pid, SIGKILL);
        assert_int_equal(waitid((idtype_t)3 /* P_PIDFD */, (id_t)fd, &info, WEXITED), 0);
        assert_int_equal(info.si_code, CLD_KILLED);
        assert_int_equal(info.si_status, SIGKILL);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_killed_process_makes_its_pidfd_readable),
                cmocka_unit_test(a_pidfd_stays_readable_after_the_process_is_reaped),
                cmocka_unit_test(a_stopped_process_does_not_make_its_pidfd_readable),
                cmocka_unit_test(waitid_by_pidfd_tells_the_signal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
