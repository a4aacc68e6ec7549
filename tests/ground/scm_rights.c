/* SPDX-License-Identifier: MIT */

/* Descriptors travel with the byte that they were sent with: unix(7). */

#include <fcntl.h>
#include <sys/socket.h>

#include "ground.h"

static ssize_t send_with(int to, const char *text, int fd)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct iovec part = { (void *)text, strlen(text) };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };

        if (fd >= 0) {
                m.msg_control = control.space;
                m.msg_controllen = sizeof(control.space);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
        }
        return sendmsg(to, &m, 0);
}

/* Reads at most `size` bytes; *fd is a descriptor that came with them, or -1. */
static ssize_t receive_with(int from, char *text, size_t size, int *fd)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct iovec part = { text, size };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                            .msg_controllen = sizeof(control.space) };
        struct cmsghdr *c;
        ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);

        *fd = -1;
        c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_type == SCM_RIGHTS)
                memcpy(fd, CMSG_DATA(c), sizeof(int));
        return n;
}

static void descriptors_come_with_the_first_byte_of_their_message(void **state)
{
        char text[64];
        int pair[2], fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(send_with(pair[0], "abc", -1), 3);
        assert_int_equal(send_with(pair[0], "def", null), 3);
        /* byte by byte, since one read may run over from the first message into the second */
        assert_int_equal(receive_with(pair[1], text, 2, &fd), 2);
        assert_int_equal(fd, -1);
        assert_int_equal(receive_with(pair[1], text, 1, &fd), 1);
        assert_int_equal(fd, -1);
        assert_int_equal(receive_with(pair[1], text, 1, &fd), 1);
        assert_int_equal(text[0], 'd');
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(receive_with(pair[1], text, sizeof(text), &fd), 2);
        assert_int_equal(fd, -1);
        close(pair[0]);
        close(pair[1]);
        close(null);
}

static void one_read_never_takes_two_sets_of_descriptors(void **state)
{
        char text[64];
        int pair[2], first, second, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ssize_t n;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(send_with(pair[0], "abc", null), 3);
        assert_int_equal(send_with(pair[0], "def", null), 3);
        n = receive_with(pair[1], text, sizeof(text), &first);
        assert_int_equal(n, 3);
        n = receive_with(pair[1], text, sizeof(text), &second);
        assert_int_equal(n, 3);
        assert_true(first >= 0 && second >= 0 && first != second);
        close(first);
        close(second);
        close(pair[0]);
        close(pair[1]);
        close(null);
}

static void a_read_without_room_for_them_closes_the_descriptors(void **state)
{
        char c;
        int pair[2], pipes[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(send_with(pair[0], "a", pipes[1]), 1);
        close(pipes[1]);
        assert_false(readable(pipes[0], 0)); /* the one under way holds it open */
        assert_int_equal(recv(pair[1], &c, 1, 0), 1);
        assert_true(readable(pipes[0], LIMIT_MS));
        assert_int_equal(read(pipes[0], &c, 1), 0);
        close(pipes[0]);
        close(pair[0]);
        close(pair[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(descriptors_come_with_the_first_byte_of_their_message),
                cmocka_unit_test(one_read_never_takes_two_sets_of_descriptors),
                cmocka_unit_test(a_read_without_room_for_them_closes_the_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
