/* SPDX-License-Identifier: MIT */

/* The children of a fork server. The server is this process; a request is a letter. */

#include "process/nursery.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "process/orphans.h"
#include "process/sentinel.h"

#include "unit.h"

typedef struct Rig {
        Nursery nursery;
        char request;
        int ours;                  /* the parent's end of the channel */
        int leave_after;           /* deaths */
        int error;                 /* of the last birth */
        unsigned heard, n_fds;     /* requests; the descriptors that the last one found */
        unsigned n_mourned;
        NurseryChild mourned[64];
        ExitVerdict verdicts[64];
} Rig;

static void mourn(Nursery *n, const NurseryChild *child, const ExitVerdict *verdict)
{
        Rig *rig = CONTAINER_OF(n, Rig, nursery);

        rig->mourned[rig->n_mourned] = *child;
        rig->verdicts[rig->n_mourned++] = *verdict;
        if (--rig->leave_after == 0)
                rig->ours = fd_close(rig->ours);
}

/* As a worker does whose job has detached something: it holds the descriptor, and waits. */
static void leave_something_behind(int fd)
{
        if (fork() == 0) {
                (void)setsid();
                (void)dup2(fd, STDERR_FILENO + 1);
                for (;;)
                        (void)pause();
        }
        _exit(0);
}

static void become(const Rig *rig, char letter)
{
        if (letter == 'k')
                (void)raise(SIGKILL);
        if (letter == 'o')
                leave_something_behind(rig->nursery.fds[0]);
        if (letter == 's')
                for (;;)
                        (void)pause();
        _exit(letter - '0');
}

static void give_birth(Rig *rig)
{
        pid_t pid = fork();
        int pidfd = -1;

        if (pid == 0)
                become(rig, rig->request);
        rig->error = nursery_take(&rig->nursery, pid, 0x100000000 + (uint64_t)rig->request,
                                  &pidfd);
        assert_true((rig->error == 0) == (pidfd >= 0));
        fd_close(pidfd);
}

/* '+' is a part of a request, 'q' the end of all. */
static bool hear(Nursery *n, ssize_t size)
{
        Rig *rig = CONTAINER_OF(n, Rig, nursery);

        if (size != 1 || rig->request == 'q')
                return false;
        rig->heard++;
        rig->n_fds = n->n_fds;
        if (rig->request == '+')
                return true;
        give_birth(rig);
        nursery_close_fds(n);
        return true;
}

static int set_up(void **state)
{
        Rig *rig = calloc(1, sizeof(*rig));
        int ends[2];

        if (!rig || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -1;
        rig->ours = ends[0];
        rig->nursery = (Nursery){ .channel = ends[1], .sentinel = -1,
                                  .request = &rig->request, .request_size = 1,
                                  .hear = hear, .mourn = mourn };
        *state = rig;
        return nursery_init(&rig->nursery);
}

static int tear_down(void **state)
{
        Rig *rig = *state;
        int channel = rig->nursery.channel;

        nursery_fini(&rig->nursery);
        fd_close(rig->ours);
        fd_close(channel);
        free(rig);
        return waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD ? 0 : -1;
}

static void ask(Rig *rig, const char *letters, int fd)
{
        for (; *letters; letters++)
                assert_int_equal(fd_send(rig->ours, letters, 1, &fd, fd >= 0, 0), 1);
}

static void each_child_is_mourned_under_its_key_with_how_it_ended(void **state)
{
        Rig *rig = *state;
        int codes[128] = { 0 };

        rig->leave_after = 3;
        ask(rig, "07k", -1);
        nursery_serve(&rig->nursery);
        assert_int_equal(rig->n_mourned, 3);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(rig->mourned[i].key >> 32 == 1);
                codes[rig->mourned[i].key & 127] = exit_verdict_code(&rig->verdicts[i]);
        }
        assert_int_equal(codes['0'], 0);
        assert_int_equal(codes['7'], 7);
        assert_int_equal(codes['k'], -SIGKILL);
        assert_int_equal(rig->nursery.n_children, 0);
}

static void there_is_room_for_many(void **state)
{
        Rig *rig = *state;

        rig->leave_after = 50;
        for (int i = 0; i < 50; i++)
                ask(rig, "s", -1);
        ask(rig, "q", -1);
        nursery_serve(&rig->nursery);
        assert_int_equal(rig->nursery.n_children, 50);
        for (unsigned i = 0; i < 50; i++)
                assert_int_equal(kill(rig->nursery.children[i].pid, SIGKILL), 0);
        nursery_serve(&rig->nursery);
        assert_int_equal(rig->n_mourned, 50);
}

static void descriptors_of_a_request_in_parts_stay_together(void **state)
{
        Rig *rig = *state;
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        rig->leave_after = 1;
        ask(rig, "++0", fd);
        close(fd);
        nursery_serve(&rig->nursery);
        assert_int_equal(rig->heard, 3);
        assert_int_equal(rig->n_fds, 3);
        assert_int_equal(rig->nursery.n_fds, 0);
}

static void a_child_that_gets_no_pidfd_is_undone(void **state)
{
        Rig *rig = *state;
        struct rlimit limit, none;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = (struct rlimit){ 0, limit.rlim_max };
        rig->request = 's';
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        give_birth(rig);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(rig->error, -EMFILE);
        assert_int_equal(rig->nursery.n_children, 0);
        assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void it_serves_no_more_when_its_parent_has_gone(void **state)
{
        Rig *rig = *state;
        Sentinel parent;

        assert_int_equal(sentinel_init(&parent), 0);
        rig->nursery.sentinel = parent.watch;
        parent.hold = fd_close(parent.hold);
        ask(rig, "0", -1);
        nursery_serve(&rig->nursery);
        assert_int_equal(rig->heard, 0);
        sentinel_fini(&parent);
}

static void what_a_child_leaves_behind_is_killed_where_it_adopts(void **state)
{
        Rig *rig = *state;
        int ends[2];
        char byte;

        assert_int_equal(orphans_adopt(), 0);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        rig->nursery.adopts = true;
        rig->leave_after = 1;
        ask(rig, "o", ends[1]);
        close(ends[1]);
        nursery_serve(&rig->nursery);
        assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody holds it any more */
        close(ends[0]);
        assert_int_equal(rig->n_mourned, 1);
        assert_int_equal(orphans_end_all(), 0);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(each_child_is_mourned_under_its_key_with_how_it_ended),
                TEST(there_is_room_for_many),
                TEST(descriptors_of_a_request_in_parts_stay_together),
                TEST(a_child_that_gets_no_pidfd_is_undone),
                TEST(it_serves_no_more_when_its_parent_has_gone),
                TEST(what_a_child_leaves_behind_is_killed_where_it_adopts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
