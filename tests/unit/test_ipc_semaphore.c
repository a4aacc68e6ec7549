/* SPDX-License-Identifier: MIT */

/* Semaphores and locks, between threads and processes that come and die. */

#include <brood/semaphore.h>

#include <pthread.h>
#include <sched.h>

#include "ipc_rig.h"

static BroodSemaphore *make(unsigned value, int bounded)
{
        BroodSemaphore *s;

        assert_int_equal(brood_semaphore_new(&s, value, bounded), 0);
        return s;
}

/* --- units --- */

static void gives_out_as_many_units_as_it_has(void **state)
{
        BroodSemaphore *s = make(2, 0);

        assert_int_equal(brood_semaphore_value(s), 2);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        assert_int_equal(brood_semaphore_acquire(s, -1), 0);
        assert_int_equal(brood_semaphore_value(s), 0);
        assert_int_equal(brood_semaphore_acquire(s, 0), -ETIMEDOUT);
        assert_int_equal(brood_semaphore_release(s), 0);
        assert_int_equal(brood_semaphore_value(s), 1);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        brood_semaphore_free(s);
        brood_semaphore_free(NULL);
}

static void a_semaphore_of_none_counts_releases(void **state)
{
        BroodSemaphore *s = make(0, 0);

        assert_int_equal(brood_semaphore_acquire(s, 0), -ETIMEDOUT);
        for (int i = 1; i <= 3; i++) {
                assert_int_equal(brood_semaphore_release(s), 0);
                assert_int_equal(brood_semaphore_value(s), i);
        }
        for (int i = 2; i >= 0; i--) {
                assert_int_equal(brood_semaphore_acquire(s, 0), 0);
                assert_int_equal(brood_semaphore_value(s), i);
        }
        brood_semaphore_free(s);
}

static void a_bounded_one_has_no_more_than_at_first(void **state)
{
        BroodSemaphore *s = make(1, 1);

        assert_int_equal(brood_semaphore_release(s), -EPERM);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        assert_int_equal(brood_semaphore_release(s), 0);
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        assert_int_equal(brood_semaphore_value(s), 1);
        brood_semaphore_free(s);
}

static void there_is_a_greatest_value(void **state)
{
        BroodSemaphore *s = NULL;

        assert_int_equal(brood_semaphore_new(&s, BROOD_SEMAPHORE_MAX + 1, 0), -EINVAL);
        assert_null(s);
        s = make(BROOD_SEMAPHORE_MAX, 0);
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        assert_int_equal(brood_semaphore_release(s), 0);
        assert_int_equal(brood_semaphore_value(s), BROOD_SEMAPHORE_MAX);
        brood_semaphore_free(s);
}

static void waits_as_long_as_it_should(void **state)
{
        static const int64_t waits[] = { 1, 30000, 250000 };
        BroodSemaphore *s = make(0, 0);

        for (size_t i = 0; i < ELEMENTS(waits); i++) {
                usec_t began = clock_monotonic(), took;

                assert_int_equal(brood_semaphore_acquire(s, waits[i]), -ETIMEDOUT);
                took = clock_monotonic() - began;
                assert_true(took >= (usec_t)waits[i] && took < (usec_t)waits[i] + LONG);
        }
        brood_semaphore_free(s);
}

static void *release_later(void *context)
{
        usleep(A_WHILE);
        assert_int_equal(brood_semaphore_release(context), 0);
        return NULL;
}

static void a_release_ends_a_wait_at_once(void **state)
{
        BroodSemaphore *s = make(0, 0);
        usec_t fastest = USEC_INFINITY;
        pthread_t thread;

        for (int i = 0; i < 5; i++) {
                usec_t began;

                assert_int_equal(pthread_create(&thread, NULL, release_later, s), 0);
                began = clock_monotonic();
                assert_int_equal(brood_semaphore_acquire(s, LONG), 0);
                fastest = MIN(fastest, clock_monotonic() - began);
                assert_int_equal(pthread_join(thread, NULL), 0);
        }
        assert_true(fastest < 95000); /* by a wake-up: who only looked would need 100 ms */
        brood_semaphore_free(s);
}

/* --- processes --- */

static void acquire(void *context)
{
        CLAIM(brood_semaphore_acquire(context, LONG) == 0);
}

static void release(void *context)
{
        CLAIM(brood_semaphore_release(context) == 0);
}

static void expect_none(void *context)
{
        CLAIM(brood_semaphore_acquire(context, 0) == -ETIMEDOUT);
        CLAIM(brood_semaphore_value(context) == 0);
}

static void a_forked_child_shares_it(void **state)
{
        BroodSemaphore *s = make(1, 0);

        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        in_child(expect_none, s);
        in_child(release, s); /* a unit of ours */
        assert_int_equal(brood_semaphore_value(s), 1);
        in_child(release, s); /* nobody's: there is one more */
        assert_int_equal(brood_semaphore_value(s), 2);
        brood_semaphore_free(s);
}

static void open_and_release(void *context)
{
        BroodConnection *c = context;
        unsigned fds = count_fds();
        BroodSemaphore *s;

        CLAIM(brood_semaphore_open(&s, receive_fd(c)) == 0);
        CLAIM(brood_semaphore_acquire(s, 0) == -ETIMEDOUT);
        CLAIM(brood_semaphore_release(s) == 0);
        CLAIM(brood_semaphore_acquire(s, LONG) == 0);
        CLAIM(brood_semaphore_release(s) == 0);
        brood_semaphore_free(s);
        CLAIM(count_fds() == fds);
}

static void is_handed_on_as_a_descriptor(void **state)
{
        unsigned fds = count_fds();
        BroodConnection *ours, *theirs;
        BroodSemaphore *s;
        pid_t pid;

        assert_int_equal(brood_pipe(&ours, &theirs, 1), 0);
        pid = child(open_and_release, theirs);
        s = make(1, 1);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        send_fd(ours, brood_semaphore_fd(s));
        must_end_well(pid);
        assert_int_equal(brood_semaphore_value(s), 1);
        brood_semaphore_free(s);
        brood_connection_free(ours);
        brood_connection_free(theirs);
        assert_int_equal(count_fds(), fds);
}

static void what_is_no_semaphore_is_refused(void **state)
{
        unsigned fds = count_fds();
        BroodSemaphore *s = NULL;
        int ends[2];

        assert_int_equal(brood_semaphore_open(&s, memfd_create("other", 0)), -EBADMSG);
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(brood_semaphore_open(&s, ends[0]), -EBADMSG);
        close(ends[1]);
        assert_int_equal(brood_semaphore_open(&s, -1), -EBADF);
        assert_null(s);
        assert_int_equal(count_fds(), fds);
}

static void a_child_that_forgets_it_takes_nothing_along(void *context)
{
        brood_semaphore_free(context);
}

static void the_handle_of_a_child_is_its_own(void **state)
{
        BroodSemaphore *s = make(1, 1);

        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        in_child(a_child_that_forgets_it_takes_nothing_along, s);
        assert_int_equal(brood_semaphore_value(s), 0);
        assert_int_equal(brood_semaphore_acquire(s, 150000), -ETIMEDOUT);
        assert_int_equal(brood_semaphore_release(s), 0);
        brood_semaphore_free(s);
}

/* --- deaths --- */

static void acquire_two_and_die(void *context)
{
        CLAIM(brood_semaphore_acquire(context, 0) == 0);
        CLAIM(brood_semaphore_acquire(context, 0) == 0);
        die();
}

static void acquire_and_die(void *context)
{
        CLAIM(brood_semaphore_acquire(context, 0) == 0);
        die();
}

static void units_of_the_dead_come_back_and_are_told_once_each(void **state)
{
        BroodSemaphore *s = make(3, 1);

        must_be_killed(child(acquire_two_and_die, s));
        assert_int_equal(brood_semaphore_value(s), 1);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0); /* nobody has had to look */
        assert_int_equal(brood_semaphore_acquire(s, LONG), BROOD_OWNER_DIED);
        assert_int_equal(brood_semaphore_acquire(s, LONG), BROOD_OWNER_DIED);
        assert_int_equal(brood_semaphore_acquire(s, 0), -ETIMEDOUT);
        for (int i = 0; i < 3; i++)
                assert_int_equal(brood_semaphore_release(s), 0);
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        for (int i = 0; i < 3; i++)
                assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        brood_semaphore_free(s);
}

static void acquire_and_stay(void *context)
{
        void **both = context;

        CLAIM(brood_semaphore_acquire(both[0], 0) == 0);
        ring(both[1]);
        for (;;)
                pause();
}

static void *kill_later(void *context)
{
        usleep(A_WHILE);
        (void)kill(*(pid_t *)context, SIGKILL);
        return NULL;
}

static void who_waits_notices_a_death(void **state)
{
        BroodSemaphore *s;
        Bell there = bell();
        pthread_t thread;
        usec_t began;
        pid_t pid;

        assert_int_equal(brood_lock_new(&s), 0);
        pid = child(acquire_and_stay, (void *[]){ s, &there });
        hear(&there);
        assert_int_equal(brood_semaphore_acquire(s, A_WHILE), -ETIMEDOUT);
        began = clock_monotonic();
        assert_int_equal(pthread_create(&thread, NULL, kill_later, &pid), 0);
        assert_int_equal(brood_semaphore_acquire(s, LONG), BROOD_OWNER_DIED);
        assert_true(clock_monotonic() - began < 2000000);
        assert_int_equal(pthread_join(thread, NULL), 0);
        must_be_killed(pid);
        assert_int_equal(brood_semaphore_release(s), 0);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        brood_semaphore_free(s);
        bell_free(&there);
}

static void acquire_and_leave_a_child(void *context)
{
        void **all = context;
        pid_t pid;

        CLAIM(brood_semaphore_acquire(all[0], 0) == 0);
        pid = fork();
        CLAIM(pid >= 0);
        if (pid == 0) {
                hear(all[1]);
                _exit(0);
        }
        die();
}

static void a_grandchild_does_not_hold_what_its_parent_held(void **state)
{
        BroodSemaphore *s;
        Bell end = bell();

        assert_int_equal(brood_lock_new(&s), 0);
        must_be_killed(child(acquire_and_leave_a_child, (void *[]){ s, &end }));
        assert_int_equal(brood_semaphore_acquire(s, LONG), BROOD_OWNER_DIED);
        ring(&end);
        brood_semaphore_free(s);
        bell_free(&end);
}

static void the_unit_of_a_dead_one_is_not_released_by_another(void **state)
{
        BroodSemaphore *s;

        assert_int_equal(brood_lock_new(&s), 0);
        must_be_killed(child(acquire_and_die, s));
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        assert_int_equal(brood_semaphore_acquire(s, 0), BROOD_OWNER_DIED);
        brood_semaphore_free(s);
}

static void what_is_forgotten_while_held_comes_back(void **state)
{
        BroodSemaphore *s, *other;

        assert_int_equal(brood_lock_new(&s), 0);
        assert_int_equal(brood_semaphore_open(&other, duplicate(brood_semaphore_fd(s))), 0);
        assert_int_equal(brood_semaphore_acquire(other, 0), 0);
        assert_int_equal(brood_semaphore_acquire(s, 0), -ETIMEDOUT);
        brood_semaphore_free(other);
        assert_int_equal(brood_semaphore_acquire(s, 0), BROOD_OWNER_DIED);
        assert_int_equal(brood_semaphore_release(s), 0);
        brood_semaphore_free(s);
}

/* --- locks --- */

static void a_lock_is_not_recursive_and_anybodys_to_release(void **state)
{
        BroodSemaphore *s;

        assert_int_equal(brood_lock_new(&s), 0);
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        assert_int_equal(brood_semaphore_acquire(s, 0), -ETIMEDOUT);
        in_child(release, s);
        assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        brood_semaphore_free(s);
}

static void release_is_refused(void *context)
{
        CLAIM(brood_semaphore_release(context) == -EPERM);
        CLAIM(brood_semaphore_acquire(context, 0) == -ETIMEDOUT);
}

static void *refused_in_a_thread(void *context)
{
        release_is_refused(context);
        return NULL;
}

static void a_recursive_lock_is_its_threads(void **state)
{
        BroodSemaphore *s;
        pthread_t thread;

        assert_int_equal(brood_recursive_lock_new(&s), 0);
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        for (int i = 0; i < 3; i++)
                assert_int_equal(brood_semaphore_acquire(s, 0), 0);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(brood_semaphore_value(s), 0);
                in_child(release_is_refused, s);
                assert_int_equal(pthread_create(&thread, NULL, refused_in_a_thread, s), 0);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_int_equal(brood_semaphore_release(s), 0);
        }
        assert_int_equal(brood_semaphore_value(s), 1);
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        in_child(acquire, s); /* and ends with it */
        assert_int_equal(brood_semaphore_acquire(s, LONG), BROOD_OWNER_DIED);
        assert_int_equal(brood_semaphore_release(s), 0);
        brood_semaphore_free(s);
}

static void acquire_deep_and_die(void *context)
{
        for (int i = 0; i < 5; i++)
                CLAIM(brood_semaphore_acquire(context, 0) == 0);
        die();
}

static void a_recursive_lock_of_the_dead_is_had_once(void **state)
{
        BroodSemaphore *s;

        assert_int_equal(brood_recursive_lock_new(&s), 0);
        must_be_killed(child(acquire_deep_and_die, s));
        assert_int_equal(brood_semaphore_acquire(s, LONG), BROOD_OWNER_DIED);
        assert_int_equal(brood_semaphore_release(s), 0);
        assert_int_equal(brood_semaphore_release(s), -EPERM);
        brood_semaphore_free(s);
}

/* --- many --- */

typedef struct Crowd {
        BroodSemaphore *s;
        int most;
        int *inside, *seen; /* shared */
} Crowd;

static void go_in_and_out(void *context)
{
        Crowd *crowd = context;

        for (int i = 0; i < 500; i++) {
                int inside;

                CLAIM(brood_semaphore_acquire(crowd->s, LONG) == 0);
                inside = __atomic_add_fetch(crowd->inside, 1, __ATOMIC_SEQ_CST);
                CLAIM(inside <= crowd->most);
                __atomic_add_fetch(crowd->seen, 1, __ATOMIC_SEQ_CST);
                if (i % 16 == 0)
                        (void)sched_yield();
                __atomic_sub_fetch(crowd->inside, 1, __ATOMIC_SEQ_CST);
                CLAIM(brood_semaphore_release(crowd->s) == 0);
        }
}

static void *go_in_and_out_in_a_thread(void *context)
{
        go_in_and_out(context);
        return NULL;
}

static void never_lets_in_more_than_it_has_units(void **state)
{
        for (int most = 1; most <= 2; most++) {
                int *numbers = common(4096);
                Crowd crowd = { make((unsigned)most, 1), most, numbers, numbers + 1 };
                pthread_t threads[2];
                pid_t pids[3];

                for (size_t i = 0; i < ELEMENTS(pids); i++)
                        pids[i] = child(go_in_and_out, &crowd);
                for (size_t i = 0; i < ELEMENTS(threads); i++)
                        assert_int_equal(pthread_create(&threads[i], NULL,
                                                        go_in_and_out_in_a_thread, &crowd), 0);
                for (size_t i = 0; i < ELEMENTS(threads); i++)
                        assert_int_equal(pthread_join(threads[i], NULL), 0);
                for (size_t i = 0; i < ELEMENTS(pids); i++)
                        must_end_well(pids[i]);
                assert_int_equal(numbers[1], 5 * 500);
                assert_int_equal(brood_semaphore_value(crowd.s), most);
                assert_int_equal(brood_semaphore_release(crowd.s), -EPERM);
                brood_semaphore_free(crowd.s);
                munmap(numbers, 4096);
        }
}

static void use_it(void *context)
{
        CLAIM(brood_semaphore_acquire(context, LONG) == 0);
        CLAIM(brood_semaphore_release(context) == 0);
}

typedef struct Busy {
        BroodSemaphore *s;
        bool stop;
} Busy;

static void *use_it_all_the_time(void *context)
{
        Busy *busy = context;

        while (!__atomic_load_n(&busy->stop, __ATOMIC_RELAXED))
                use_it(busy->s);
        return NULL;
}

static void a_fork_amid_an_operation_of_another_thread_works(void **state)
{
        Busy busy = { make(1, 1), false };
        unsigned fds = count_fds();
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, use_it_all_the_time, &busy), 0);
        for (int i = 0; i < 50; i++)
                in_child(use_it, busy.s);
        __atomic_store_n(&busy.stop, true, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(brood_semaphore_value(busy.s), 1);
        assert_true(count_fds() <= fds + 1); /* that of the slot */
        brood_semaphore_free(busy.s);
        assert_int_equal(count_fds(), fds - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gives_out_as_many_units_as_it_has),
                cmocka_unit_test(a_semaphore_of_none_counts_releases),
                cmocka_unit_test(a_bounded_one_has_no_more_than_at_first),
                cmocka_unit_test(there_is_a_greatest_value),
                cmocka_unit_test(waits_as_long_as_it_should),
                cmocka_unit_test(a_release_ends_a_wait_at_once),
                cmocka_unit_test(a_forked_child_shares_it),
                cmocka_unit_test(is_handed_on_as_a_descriptor),
                cmocka_unit_test(what_is_no_semaphore_is_refused),
                cmocka_unit_test(the_handle_of_a_child_is_its_own),
                cmocka_unit_test(units_of_the_dead_come_back_and_are_told_once_each),
                cmocka_unit_test(who_waits_notices_a_death),
                cmocka_unit_test(a_grandchild_does_not_hold_what_its_parent_held),
                cmocka_unit_test(the_unit_of_a_dead_one_is_not_released_by_another),
                cmocka_unit_test(what_is_forgotten_while_held_comes_back),
                cmocka_unit_test(a_lock_is_not_recursive_and_anybodys_to_release),
                cmocka_unit_test(a_recursive_lock_is_its_threads),
                cmocka_unit_test(a_recursive_lock_of_the_dead_is_had_once),
                cmocka_unit_test(never_lets_in_more_than_it_has_units),
                cmocka_unit_test(a_fork_amid_an_operation_of_another_thread_works),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
