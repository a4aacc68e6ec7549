/* SPDX-License-Identifier: MIT */

/* What a process wrote into shared memory before it was killed is there afterwards:
 * memfd_create(2), mmap(2). So a worker can leave word of what it was doing without a call. */

#include <stdatomic.h>
#include <sys/mman.h>

#include "ground.h"

typedef _Atomic uint64_t Cell;

static Cell *map(int fd)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        assert_ptr_not_equal(page, MAP_FAILED);
        return page;
}

static int make_page(void)
{
        int fd = memfd_create("ground", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 4096), 0);
        return fd;
}

static void the_last_store_of_a_killed_process_is_seen(void **state)
{
        int fd = make_page(), pipes[2];
        Cell *page = map(fd);
        pid_t pid;

        assert_int_equal(pipe(pipes), 0);
        pid = fork();
        if (pid == 0) {
                Cell *mine = map(fd);

                child_begin();
                atomic_store(mine, 4711);
                assert_int_equal(write(pipes[1], "w", 1), 1);
                for (;;)
                        pause();
        }
        assert_int_equal(read_byte(pipes[0]), 'w');
        kill_and_reap(pid);
        assert_int_equal(atomic_load(page), 4711);
        munmap((void *)page, 4096);
        close(fd);
        close(pipes[0]);
        close(pipes[1]);
}

/* The second cell is stored after the first, so it is never ahead, wherever the kill falls. */
static void stores_of_a_process_killed_anywhere_are_seen_in_their_order(void **state)
{
        for (int round = 0; round < 20; round++) {
                int fd = make_page();
                Cell *page = map(fd);
                pid_t pid = fork();
                uint64_t first, second;

                if (pid == 0) {
                        child_begin();
                        for (uint64_t i = 1;; i++) {
                                atomic_store(&page[0], i);
                                atomic_store(&page[1], i);
                        }
                }
                while (atomic_load(&page[1]) == 0)
                        ; /* until it has begun */
                kill_and_reap(pid);
                first = atomic_load(&page[0]);
                second = atomic_load(&page[1]);
                assert_true(first == second || first == second + 1);
                munmap((void *)page, 4096);
                close(fd);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_last_store_of_a_killed_process_is_seen),
                cmocka_unit_test(stores_of_a_process_killed_anywhere_are_seen_in_their_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
