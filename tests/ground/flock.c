/* SPDX-License-Identifier: MIT */

/* The state directory's lock belongs to the open file, so whoever inherits the descriptor holds it
 * too: flock(2). That is how a new daemon knows that the old tree is gone. */

#include <fcntl.h>
#include <sys/file.h>

#include "ground.h"

static char path[] = "/tmp/brood-ground-XXXXXX";

static int another(void)
{
        int fd = open(path, O_RDWR | O_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static void a_lock_is_held_until_the_last_inherited_descriptor_is_closed(void **state)
{
        int first = mkstemp(path), second = another();
        pid_t pid;

        assert_int_equal(flock(first, LOCK_EX | LOCK_NB), 0);
        pid = start_sleeper(); /* it inherits `first` */
        close(first);
        assert_int_equal(flock(second, LOCK_EX | LOCK_NB), -1);
        assert_int_equal(errno, EWOULDBLOCK);
        kill_and_reap(pid);
        assert_int_equal(flock(second, LOCK_EX | LOCK_NB), 0);
        close(second);
        unlink(path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_lock_is_held_until_the_last_inherited_descriptor_is_closed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
