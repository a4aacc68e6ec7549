/* SPDX-License-Identifier: MIT */

/* Plain shared memory, and values with a lock. */

#include <brood/semaphore.h>
#include <brood/shared.h>

#include <fcntl.h>
#include <pthread.h>

#include "ipc_rig.h"

/* --- shared memory --- */

static void write_into(void *context)
{
        char *data = brood_shared_data(context);

        CLAIM(data[0] == 'a');
        data[99] = 'z';
}

static void is_zeros_and_shared_with_children(void **state)
{
        unsigned fds = count_fds();
        BroodShared *s = NULL;
        char *data;

        assert_int_equal(brood_shared_new(&s, 0), -EINVAL);
        assert_int_equal(brood_shared_new(&s, SIZE_MAX), -ENOMEM);
        assert_int_equal(brood_shared_new(&s, PTRDIFF_MAX), -ENOMEM);
        assert_null(s);
        assert_int_equal(brood_shared_new(&s, 100), 0);
        assert_int_equal(brood_shared_size(s), 100);
        assert_true(fcntl(brood_shared_fd(s), F_GETFD) & FD_CLOEXEC);
        data = brood_shared_data(s);
        for (size_t i = 0; i < 100; i++)
                assert_int_equal(data[i], 0);
        data[0] = 'a';
        in_child(write_into, s);
        assert_int_equal(data[99], 'z');
        brood_shared_free(s);
        brood_shared_free(NULL);
        assert_int_equal(count_fds(), fds);
}

static void open_and_write(void *context)
{
        BroodConnection *c = context;
        BroodShared *s;

        CLAIM(brood_shared_open(&s, receive_fd(c), 0) == 0);
        CLAIM(brood_shared_size(s) == 5000);
        write_into(s);
        brood_shared_free(s);
}

static void is_handed_on_as_a_descriptor(void **state)
{
        BroodConnection *ours, *theirs;
        BroodShared *s;
        pid_t pid;

        assert_int_equal(brood_pipe(&ours, &theirs, 1), 0);
        pid = child(open_and_write, theirs);
        assert_int_equal(brood_shared_new(&s, 5000), 0);
        *(char *)brood_shared_data(s) = 'a';
        send_fd(ours, brood_shared_fd(s));
        must_end_well(pid);
        assert_int_equal(((char *)brood_shared_data(s))[99], 'z');
        brood_shared_free(s);
        brood_connection_free(ours);
        brood_connection_free(theirs);
}

static void its_size_can_not_be_changed(void **state)
{
        BroodShared *s;

        assert_int_equal(brood_shared_new(&s, 5000), 0);
        assert_int_equal(ftruncate(brood_shared_fd(s), 1), -1);
        assert_int_equal(ftruncate(brood_shared_fd(s), 50000), -1);
        brood_shared_free(s);
}

static void what_is_no_memory_is_refused(void **state)
{
        unsigned fds = count_fds();
        BroodShared *s = NULL;
        int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_int_equal(brood_shared_open(&s, -1, 0), -EBADF);
        assert_int_equal(brood_shared_open(&s, open("/dev/null", O_RDWR), 0), -EINVAL);
        assert_int_equal(ftruncate(fd, 4096), 0);
        assert_int_equal(brood_shared_open(&s, dup(fd), 0), -EINVAL); /* it could shrink */
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        assert_int_equal(brood_shared_open(&s, fd, 0), 0);
        brood_shared_free(s);
        fd = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        s = NULL;
        assert_int_equal(brood_shared_open(&s, fd, 0), -EINVAL);
        assert_null(s);
        assert_int_equal(count_fds(), fds);
}

static void write_to_it(void *context)
{
        *(volatile char *)brood_shared_data(context) = 'x';
}

/* A write to it ends a process. */
static void must_be_readonly(BroodShared *s)
{
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                (void)signal(SIGSEGV, SIG_DFL);
                write_to_it(s);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void is_readonly_where_asked(void **state)
{
        BroodShared *s, *other;

        assert_int_equal(brood_shared_new(&s, 10), 0);
        assert_int_equal(brood_shared_open(&other, duplicate(brood_shared_fd(s)), 1), 0);
        write_to_it(s);
        assert_int_equal(*(char *)brood_shared_data(other), 'x');
        must_be_readonly(other);
        brood_shared_free(other);
        brood_shared_free(s);
}

static void who_opens_it_sealed_can_only_read(void **state)
{
        BroodShared *s, *other = NULL;

        assert_int_equal(brood_shared_new(&s, 10), 0);
        assert_int_equal(brood_shared_seal(s), 0);
        assert_int_equal(brood_shared_seal(s), 0);
        write_to_it(s); /* this one still can */
        in_child(write_to_it, s);
        assert_int_equal(brood_shared_open(&other, duplicate(brood_shared_fd(s)), 0), -EPERM);
        assert_null(other);
        assert_int_equal(write(brood_shared_fd(s), "y", 1), -1);
        assert_int_equal(brood_shared_open(&other, duplicate(brood_shared_fd(s)), 1), 0);
        assert_int_equal(*(char *)brood_shared_data(other), 'x');
        must_be_readonly(other);
        brood_shared_free(other);
        brood_shared_free(s);
}

/* --- values --- */

static BroodValue *make(size_t size, size_t n)
{
        BroodValue *v;

        assert_int_equal(brood_value_new(&v, size, n), 0);
        return v;
}

static void an_array_has_its_elements_and_no_more(void **state)
{
        unsigned fds = count_fds();
        BroodValue *v = NULL;

        assert_int_equal(brood_value_new(&v, 0, 1), -EINVAL);
        assert_int_equal(brood_value_new(&v, 1, 0), -EINVAL);
        assert_int_equal(brood_value_new(&v, SIZE_MAX / 2, 3), -ENOMEM);
        assert_int_equal(brood_value_new(&v, SIZE_MAX, 1), -ENOMEM);
        assert_null(v);
        v = make(sizeof(double), 7);
        assert_int_equal(brood_value_length(v), 7);
        assert_int_equal((uintptr_t)brood_value_at(v, 0) % 64, 0);
        for (size_t i = 0; i < 7; i++) {
                assert_ptr_equal(brood_value_at(v, i), (double *)brood_value_at(v, 0) + i);
                assert_true(*(double *)brood_value_at(v, i) == 0);
        }
        assert_null(brood_value_at(v, 7));
        assert_null(brood_value_at(v, SIZE_MAX));
        brood_value_free(v);
        brood_value_free(NULL);
        assert_int_equal(count_fds(), fds);
}

static void add(BroodValue *v)
{
        int r = brood_value_lock(v, LONG);
        volatile long *at = brood_value_at(v, 0);

        CLAIM(r == 0);
        *at = *at + 1;
        CLAIM(brood_value_unlock(v) == 0);
}

static void add_often(void *context)
{
        for (int i = 0; i < 2000; i++)
                add(context);
}

static void *add_in_a_thread(void *context)
{
        add_often(context);
        return NULL;
}

static void its_lock_keeps_counts_right(void **state)
{
        BroodValue *v = make(sizeof(long), 1);
        pthread_t thread;
        pid_t pids[3];

        assert_int_equal(pthread_create(&thread, NULL, add_in_a_thread, v), 0);
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                pids[i] = child(add_often, v);
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                must_end_well(pids[i]);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(*(long *)brood_value_at(v, 0), 4 * 2000);
        brood_value_free(v);
}

static void open_and_add(void *context)
{
        BroodConnection *c = context;
        unsigned fds = count_fds();
        BroodValue *v;

        CLAIM(brood_value_open(&v, receive_fd(c)) == 0);
        CLAIM(brood_value_length(v) == 3);
        CLAIM(brood_value_lock(v, 0) == -ETIMEDOUT);
        CLAIM(brood_value_unlock(v) == -EPERM);
        *(long *)brood_value_at(v, 2) = 5;
        brood_value_free(v);
        CLAIM(count_fds() == fds);
}

static void a_value_is_handed_on_as_a_descriptor(void **state)
{
        BroodConnection *ours, *theirs;
        BroodValue *v;
        pid_t pid;

        assert_int_equal(brood_pipe(&ours, &theirs, 1), 0);
        pid = child(open_and_add, theirs);
        v = make(sizeof(long), 3);
        assert_int_equal(brood_value_lock(v, 0), 0);
        assert_int_equal(brood_value_lock(v, 0), 0); /* recursive */
        send_fd(ours, brood_value_fd(v));
        must_end_well(pid);
        assert_int_equal(*(long *)brood_value_at(v, 2), 5);
        assert_int_equal(brood_value_unlock(v), 0);
        assert_int_equal(brood_value_unlock(v), 0);
        assert_int_equal(brood_value_unlock(v), -EPERM);
        brood_value_free(v);
        brood_connection_free(ours);
        brood_connection_free(theirs);
}

static void lock_twice_and_die(void *context)
{
        CLAIM(brood_value_lock(context, 0) == 0);
        CLAIM(brood_value_lock(context, 0) == 0);
        die();
}

static void the_death_of_its_owner_is_told(void **state)
{
        BroodValue *v = make(1, 1);

        must_be_killed(child(lock_twice_and_die, v));
        assert_int_equal(brood_value_lock(v, LONG), BROOD_OWNER_DIED);
        assert_int_equal(brood_value_unlock(v), 0);
        assert_int_equal(brood_value_lock(v, 0), 0);
        brood_value_free(v);
}

static void what_is_no_value_is_refused(void **state)
{
        unsigned fds = count_fds();
        BroodSemaphore *semaphore;
        BroodValue *v = NULL;

        assert_int_equal(brood_lock_new(&semaphore), 0);
        assert_int_equal(brood_value_open(&v, duplicate(brood_semaphore_fd(semaphore))), -EBADMSG);
        assert_int_equal(brood_value_open(&v, -1), -EBADF);
        assert_null(v);
        brood_semaphore_free(semaphore);
        assert_int_equal(count_fds(), fds);
}

/* A descriptor of a value whose memory says, in the word behind its lock, what is not so. */
static void a_value_that_is_longer_than_its_memory_is_refused(void **state)
{
        BroodValue *v = make(8, 1000), *other = NULL;
        uint64_t *n = (uint64_t *)brood_value_at(v, 0), *found = NULL;

        for (size_t back = 1; back <= 16 && !found; back++)
                if (n[-(ptrdiff_t)back] == 1000)
                        found = n - back;
        assert_non_null(found);
        for (uint64_t lie = 1001; lie; lie *= 1 << 10) {
                *found = lie;
                assert_int_equal(brood_value_open(&other, duplicate(brood_value_fd(v))), -EBADMSG);
        }
        *found = 0;
        assert_int_equal(brood_value_open(&other, duplicate(brood_value_fd(v))), -EBADMSG);
        *found = 1000;
        assert_int_equal(brood_value_open(&other, duplicate(brood_value_fd(v))), 0);
        *found = 1 << 30;
        assert_null(brood_value_at(other, 1000)); /* nor can it be made longer later */
        brood_value_free(other);
        brood_value_free(v);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(is_zeros_and_shared_with_children),
                cmocka_unit_test(is_handed_on_as_a_descriptor),
                cmocka_unit_test(its_size_can_not_be_changed),
                cmocka_unit_test(what_is_no_memory_is_refused),
                cmocka_unit_test(is_readonly_where_asked),
                cmocka_unit_test(who_opens_it_sealed_can_only_read),
                cmocka_unit_test(an_array_has_its_elements_and_no_more),
                cmocka_unit_test(its_lock_keeps_counts_right),
                cmocka_unit_test(a_value_is_handed_on_as_a_descriptor),
                cmocka_unit_test(the_death_of_its_owner_is_told),
                cmocka_unit_test(what_is_no_value_is_refused),
                cmocka_unit_test(a_value_that_is_longer_than_its_memory_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
