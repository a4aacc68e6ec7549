/* SPDX-License-Identifier: MIT */

/* Who shares an object, and who of them lives. */

#include "ipc/members.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "ipc_rig.h"

enum { KIND = 0x74657374, SIZE = sizeof(MemberTable) + 64 };

typedef struct Object {
        Members members; /* first */
        unsigned repairs, burials, buried;
} Object;

static void repair(Members *m)
{
        ((Object *)(void *)m)->repairs++;
}

static void bury(Members *m, unsigned slot)
{
        ((Object *)(void *)m)->burials++;
        ((Object *)(void *)m)->buried = slot;
}

static void object_new(Object *o)
{
        *o = (Object){ .members = { .repair = repair, .bury = bury } };
        assert_int_equal(members_new(&o->members, "test", SIZE), 0);
        members_complete(&o->members, KIND);
}

static int join(Members *m)
{
        int slot;

        members_lock(m);
        slot = members_join(m);
        members_unlock(m);
        return slot;
}

static bool is_dead(Members *m, unsigned slot)
{
        bool dead;

        members_lock(m);
        dead = members_is_dead(m, slot);
        members_unlock(m);
        return dead;
}

/* --- slots --- */

static void join_and_stay(void *context)
{
        void **both = context;

        CLAIM(join(both[0]) == 0);
        ring(both[1]);
        for (;;)
                pause();
}

static void a_member_is_dead_when_its_process_is_and_not_before(void **state)
{
        Bell joined = bell();
        siginfo_t info;
        Object o;
        pid_t pid;

        object_new(&o);
        pid = child(join_and_stay, (void *[]){ &o.members, &joined });
        hear(&joined);
        assert_false(is_dead(&o.members, 0));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        assert_true(is_dead(&o.members, 0)); /* and nobody has reaped it */
        must_be_killed(pid);
        assert_true(is_dead(&o.members, 0));
        members_fini(&o.members);
        bell_free(&joined);
}

static void takes_a_slot_of_its_own(void *context)
{
        Members *m = context;

        CLAIM(m->own == -1);
        CLAIM(join(m) == 1);
        CLAIM(join(m) == 1);
        CLAIM(!is_dead(m, 0));
}

static void a_child_is_a_member_of_its_own(void **state)
{
        Object o;

        object_new(&o);
        assert_int_equal(join(&o.members), 0);
        in_child(takes_a_slot_of_its_own, &o.members);
        assert_false(is_dead(&o.members, 0));
        assert_true(is_dead(&o.members, 1));
        members_fini(&o.members);
}

static void join_and_leave_a_child(void *context)
{
        void **all = context;
        pid_t pid;

        CLAIM(join(all[0]) == 0);
        pid = fork();
        CLAIM(pid >= 0);
        if (pid == 0) { /* has the descriptors that its parent had, but one */
                ring(all[1]);
                hear(all[2]);
                _exit(0);
        }
        hear(all[1]);
        die();
}

static void a_child_does_not_keep_its_parent_alive(void **state)
{
        Bell there = bell(), end = bell();
        Object o;

        object_new(&o);
        must_be_killed(child(join_and_leave_a_child, (void *[]){ &o.members, &there, &end }));
        assert_true(is_dead(&o.members, 0));
        ring(&end);
        members_fini(&o.members);
        bell_free(&there);
        bell_free(&end);
}

static void join_it(void *context)
{
        CLAIM(join(context) >= 0);
}

static void slots_of_the_dead_are_taken_when_there_is_no_other(void **state)
{
        Object o;

        object_new(&o);
        in_child(join_it, &o.members);
        memset(o.members.table->used, 1, MEMBERS_MAX);
        o.members.table->used[7] = 0;
        assert_int_equal(join(&o.members), 7);
        assert_int_equal(o.burials, 0);
        in_child(join_it, &o.members); /* over the dead one in slot 0 */
        members_fini(&o.members);

        object_new(&o);
        memset(o.members.table->used, 1, MEMBERS_MAX);
        assert_int_equal(join(&o.members), 0);
        assert_int_equal(o.burials, 1);
        assert_int_equal(o.buried, 0);
        members_fini(&o.members);
}

static void too_many_members_are_refused(void **state)
{
        struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = MEMBERS_MAX };
        unsigned fds = count_fds();
        char path[64];
        Object o;
        int fd;

        object_new(&o);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", o.members.fd);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
        assert_int_equal(join(&o.members), -ENOSPC);
        close(fd);
        assert_int_equal(join(&o.members), 0);
        members_fini(&o.members);
        assert_int_equal(count_fds(), fds);
}

static void who_forgets_it_gives_its_slot_back(void **state)
{
        Members other = { .repair = repair, .bury = bury };
        Object o;

        object_new(&o);
        assert_int_equal(members_open(&other, duplicate(o.members.fd), KIND, SIZE), 0);
        assert_int_equal(join(&o.members), 0);
        assert_int_equal(join(&other), 1); /* two in one process */
        assert_false(is_dead(&o.members, 1));
        other.bury = NULL;
        members_fini(&other);
        assert_int_equal(o.members.table->used[1], 0);
        assert_true(is_dead(&o.members, 1));
        members_fini(&o.members);
        assert_int_equal(o.burials, 1);
}

/* --- the lock --- */

static void die_in_the_lock(void *context)
{
        members_lock(context);
        die();
}

static void a_death_in_the_lock_is_repaired_once(void **state)
{
        Object o;

        object_new(&o);
        must_be_killed(child(die_in_the_lock, &o.members));
        members_lock(&o.members);
        assert_int_equal(o.repairs, 1);
        members_unlock(&o.members);
        members_lock(&o.members);
        assert_int_equal(o.repairs, 1);
        members_unlock(&o.members);
        members_fini(&o.members);
}

static void die_in_the_repair(Members *m)
{
        die();
}

static void lock_and_die_in_the_repair(void *context)
{
        ((Members *)context)->repair = die_in_the_repair;
        members_lock(context);
}

static void a_death_in_the_repair_is_repaired(void **state)
{
        Object o;

        object_new(&o);
        must_be_killed(child(die_in_the_lock, &o.members));
        must_be_killed(child(lock_and_die_in_the_repair, &o.members));
        members_lock(&o.members);
        assert_int_equal(o.repairs, 1);
        members_unlock(&o.members);
        members_fini(&o.members);
}

/* --- what is opened --- */

static int open_it(int fd, size_t least)
{
        Members m = { .repair = repair };
        int r = members_open(&m, fd, KIND, least);

        if (r == 0)
                members_fini(&m);
        return r;
}

static int memory(size_t size, int seals)
{
        int fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

static void what_is_something_else_is_refused_and_closed(void **state)
{
        const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
        unsigned fds = count_fds();
        Members other = { .repair = repair };
        Object o;

        object_new(&o);
        assert_int_equal(open_it(duplicate(o.members.fd), SIZE), 0);
        assert_int_equal(open_it(duplicate(o.members.fd), SIZE + 1), -EBADMSG);
        assert_int_equal(open_it(open("/dev/null", O_RDWR), SIZE), -EBADMSG);
        assert_int_equal(open_it(memory(SIZE, seals), SIZE), -EBADMSG);     /* zeros */
        assert_int_equal(open_it(memory(0, seals), SIZE), -EBADMSG);
        assert_int_equal(open_it(memory(SIZE, F_SEAL_GROW), SIZE), -EBADMSG); /* may shrink */
        assert_int_equal(open_it(-1, SIZE), -EBADF);
        members_fini(&o.members);

        assert_int_equal(members_new(&other, "incomplete", SIZE), 0);
        assert_int_equal(open_it(duplicate(other.fd), SIZE), -EBADMSG);
        members_complete(&other, KIND + 1);
        assert_int_equal(open_it(duplicate(other.fd), SIZE), -EBADMSG);
        members_fini(&other);
        assert_int_equal(count_fds(), fds);
}

static void its_size_can_not_be_changed(void **state)
{
        Object o;

        object_new(&o);
        assert_int_equal(ftruncate(o.members.fd, 0), -1);
        assert_int_equal(ftruncate(o.members.fd, 1 << 20), -1);
        assert_true(fcntl(o.members.fd, F_GETFD) & FD_CLOEXEC);
        members_fini(&o.members);
}

/* --- threads --- */

typedef struct Churn {
        Object *o;
        bool stop;
} Churn;

static void *come_and_go(void *context)
{
        Churn *churn = context;

        while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
                Members m = { .repair = repair };

                if (members_open(&m, dup(churn->o->members.fd), KIND, SIZE) < 0)
                        abort();
                if (join(&m) < 0)
                        abort();
                members_fini(&m);
        }
        return NULL;
}

typedef struct Onlookers {
        Bell there, end;
} Onlookers;

static void look_on(void *context)
{
        Onlookers *o = context;

        ring(&o->there);
        hear(&o->end);
}

static void a_fork_amid_other_threads_keeps_no_slot(void **state)
{
        Onlookers onlookers = { bell(), bell() };
        pthread_t thread;
        pid_t pids[40];
        Churn churn;
        Object o;

        object_new(&o);
        churn = (Churn){ &o, false };
        assert_int_equal(pthread_create(&thread, NULL, come_and_go, &churn), 0);
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                pids[i] = child(look_on, &onlookers);
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                hear(&onlookers.there);
        __atomic_store_n(&churn.stop, true, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (unsigned i = 0; i < MEMBERS_MAX; i++)
                assert_true(is_dead(&o.members, i)); /* nobody has any */
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                ring(&onlookers.end);
        for (size_t i = 0; i < ELEMENTS(pids); i++)
                must_end_well(pids[i]);
        members_fini(&o.members);
        bell_free(&onlookers.there);
        bell_free(&onlookers.end);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_member_is_dead_when_its_process_is_and_not_before),
                cmocka_unit_test(a_child_is_a_member_of_its_own),
                cmocka_unit_test(a_child_does_not_keep_its_parent_alive),
                cmocka_unit_test(slots_of_the_dead_are_taken_when_there_is_no_other),
                cmocka_unit_test(too_many_members_are_refused),
                cmocka_unit_test(who_forgets_it_gives_its_slot_back),
                cmocka_unit_test(a_death_in_the_lock_is_repaired_once),
                cmocka_unit_test(a_death_in_the_repair_is_repaired),
                cmocka_unit_test(what_is_something_else_is_refused_and_closed),
                cmocka_unit_test(its_size_can_not_be_changed),
                cmocka_unit_test(a_fork_amid_other_threads_keeps_no_slot),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
