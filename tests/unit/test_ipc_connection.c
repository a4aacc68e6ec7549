/* SPDX-License-Identifier: MIT */

/* Messages through a pipe of two ends. */

#include <brood/connection.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "ipc_rig.h"

typedef struct Ends {
        BroodConnection *a, *b;
} Ends;

static Ends connect_them(int duplex)
{
        Ends e;

        assert_int_equal(brood_pipe(&e.a, &e.b, duplex), 0);
        return e;
}

static void disconnect(Ends e)
{
        brood_connection_free(e.a);
        brood_connection_free(e.b);
}

static void say(BroodConnection *c, const char *text)
{
        assert_int_equal(brood_send(c, text, strlen(text)), 0);
}

static void expect(BroodConnection *c, const char *text)
{
        size_t size = 0;
        void *bytes;

        assert_int_equal(brood_receive(c, &bytes, &size), 0);
        assert_int_equal(size, strlen(text));
        assert_string_equal(bytes, text); /* with the 0 byte behind it */
        free(bytes);
}

static int receive_nothing(BroodConnection *c)
{
        void *bytes = NULL;
        size_t size;
        int r = brood_receive(c, &bytes, &size);

        assert_null(bytes);
        return r;
}

/* --- messages --- */

static void messages_keep_their_bounds_both_ways(void **state)
{
        Ends e = connect_them(1);

        say(e.a, "one");
        say(e.a, "");
        say(e.a, "three");
        say(e.b, "back");
        expect(e.b, "one");
        expect(e.b, "");
        expect(e.b, "three");
        expect(e.a, "back");
        disconnect(e);
        brood_connection_free(NULL);
}

static const size_t sizes[] = { 0, 1, 100, 65511, 65512, 65513, 131024, 131025, 1 << 20, 8 << 20 };

static char pattern(size_t size, size_t i)
{
        return (char)(i * 31 >> 5 ^ size);
}

static void send_all_sizes(void *context)
{
        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                char *bytes = malloc(sizes[i] + 1);

                for (size_t k = 0; k < sizes[i]; k++)
                        bytes[k] = pattern(sizes[i], k);
                CLAIM(brood_send(context, sizes[i] ? bytes : NULL, sizes[i]) == 0);
                free(bytes);
        }
}

static void check(const char *bytes, size_t size, size_t expected)
{
        assert_int_equal(size, expected);
        for (size_t k = 0; k < size; k++)
                if (bytes[k] != pattern(expected, k))
                        fail_msg("byte %zu of %zu", k, expected);
}

static void messages_of_every_size_arrive_whole(void **state)
{
        Ends e = connect_them(0);
        pid_t pid = child(send_all_sizes, e.b);

        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                size_t size = 0;
                void *bytes;

                assert_int_equal(brood_receive(e.a, &bytes, &size), 0);
                check(bytes, size, sizes[i]);
                free(bytes);
        }
        must_end_well(pid);
        disconnect(e);
}

static void receives_into_memory_of_the_caller(void **state)
{
        Ends e = connect_them(0);
        pid_t pid = child(send_all_sizes, e.b);

        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                char *bytes = malloc(sizes[i] + 1);
                size_t size = 0;

                assert_int_equal(brood_receive_into(e.a, sizes[i] ? bytes : NULL, sizes[i], &size),
                                 sizes[i]);
                check(bytes, size, sizes[i]);
                free(bytes);
        }
        must_end_well(pid);
        disconnect(e);
}

static void what_has_no_room_is_dropped_and_the_next_is_whole(void **state)
{
        Ends e = connect_them(0);
        pid_t pid = child(send_all_sizes, e.b);
        char bytes[16];

        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                size_t size = 77;
                int64_t r = brood_receive_into(e.a, bytes, sizeof(bytes), &size);

                assert_int_equal(size, sizes[i]);
                assert_int_equal(r, sizes[i] > sizeof(bytes) ? -EMSGSIZE : (int64_t)sizes[i]);
        }
        must_end_well(pid);
        disconnect(e);
}

static void a_limit_ends_the_connection(void **state)
{
        Ends e = connect_them(0);

        brood_connection_limit(e.a, 5);
        say(e.b, "12345");
        say(e.b, "123456");
        say(e.b, "1");
        expect(e.a, "12345");
        assert_int_equal(receive_nothing(e.a), -EMSGSIZE);
        assert_int_equal(receive_nothing(e.a), -EPROTO);
        disconnect(e);
}

static void is_json_too(void **state)
{
        json_t *value = json_pack("{s:[i,n,s%]}", "a", 1, "nul\0 within", (size_t)11), *found;
        Ends e = connect_them(1);

        assert_int_equal(brood_send_json(e.a, value), 0);
        assert_int_equal(brood_send_json(e.a, json_false()), 0);
        say(e.a, "{no json");
        say(e.a, "after it");
        assert_int_equal(brood_receive_json(e.b, &found), 0);
        assert_true(json_equal(value, found));
        json_decref(found);
        json_decref(value);
        assert_int_equal(brood_receive_json(e.b, &found), 0);
        assert_true(json_is_false(found));
        assert_int_equal(brood_receive_json(e.b, &found), -EPROTO);
        expect(e.b, "after it");
        assert_int_equal(brood_send_json(e.a, NULL), -EINVAL);
        disconnect(e);
}

/* --- ends --- */

static void an_end_that_is_gone_is_told(void **state)
{
        Ends e = connect_them(1);

        say(e.a, "last");
        brood_connection_free(e.a);
        expect(e.b, "last");
        assert_int_equal(brood_poll(e.b, -1), 1);
        assert_int_equal(receive_nothing(e.b), -ECONNRESET);
        assert_int_equal(receive_nothing(e.b), -ECONNRESET);
        assert_int_equal(brood_send(e.b, "x", 1), -EPIPE); /* and no SIGPIPE */
        brood_connection_free(e.b);
}

/* The kernel tells of unread messages before it gives those that came. */
static void what_an_end_had_sent_is_not_lost_with_what_it_had_not_read(void **state)
{
        Ends e = connect_them(1);
        int64_t r;
        char c;

        say(e.b, "never read");
        say(e.a, "one");
        say(e.a, "two");
        brood_connection_free(e.a);
        expect(e.b, "one");
        r = brood_receive_into(e.b, &c, 1, NULL);
        assert_int_equal(r, -EMSGSIZE);
        assert_int_equal(receive_nothing(e.b), -ECONNRESET);
        brood_connection_free(e.b);

        e = connect_them(1);
        say(e.b, "never read");
        brood_connection_free(e.a);
        assert_int_equal(brood_send(e.b, "x", 1), -EPIPE);
        assert_int_equal(receive_nothing(e.b), -ECONNRESET);
        brood_connection_free(e.b);
}

static void a_one_way_pipe_has_one_direction(void **state)
{
        Ends e = connect_them(0);
        size_t size = 0;
        void *bytes;

        assert_int_equal(brood_send(e.a, "x", 1), -EBADF);
        assert_int_equal(receive_nothing(e.b), -EBADF);
        assert_int_equal(brood_receive_into(e.b, &size, 1, NULL), -EBADF);
        assert_int_equal(brood_poll(e.b, 0), -EBADF);
        say(e.b, "x");
        assert_int_equal(brood_poll(e.a, 0), 1);
        assert_int_equal(brood_receive(e.a, &bytes, &size), 0);
        free(bytes);
        disconnect(e);
}

static void an_opened_end_of_a_one_way_pipe_says_so_otherwise(void **state)
{
        Ends e = connect_them(0);
        BroodConnection *a, *b;

        assert_int_equal(brood_connection_open(&a, duplicate(brood_connection_fd(e.a))), 0);
        assert_int_equal(brood_connection_open(&b, duplicate(brood_connection_fd(e.b))), 0);
        assert_int_equal(brood_send(a, "x", 1), -EPIPE);
        assert_int_equal(receive_nothing(b), -ECONNRESET);
        say(b, "x");
        expect(a, "x");
        brood_connection_free(a);
        brood_connection_free(b);
        disconnect(e);
}

static void what_is_no_connection_is_refused(void **state)
{
        unsigned fds = count_fds();
        BroodConnection *c = NULL;
        int ends[2];

        assert_int_equal(brood_connection_open(&c, -1), -EBADF);
        assert_int_equal(brood_connection_open(&c, open("/dev/null", O_RDWR)), -EBADMSG);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        assert_int_equal(brood_connection_open(&c, ends[0]), -EBADMSG);
        close(ends[1]);
        assert_null(c);
        assert_int_equal(count_fds(), fds);
}

/* --- torn and false ones --- */

enum { TORN = 4 << 20 };

static void send_until_the_end(void *context)
{
        Ends *e = context;
        char *bytes = calloc(1, TORN);

        brood_connection_free(e->a);
        CLAIM(brood_send(e->b, bytes, TORN) == -EPIPE); /* so far it waits in the middle */
}

static void a_sender_killed_in_a_message_is_told(void **state)
{
        for (int into = 0; into < 2; into++) {
                Ends e = connect_them(0);
                pid_t pid = child(send_until_the_end, &e);
                static char room[TORN];

                brood_connection_free(e.b);
                assert_int_equal(brood_poll(e.a, LONG), 1);
                kill_child(pid);
                if (into)
                        assert_int_equal(brood_receive_into(e.a, room, TORN, NULL), -EPROTO);
                else
                        assert_int_equal(receive_nothing(e.a), -EPROTO);
                assert_int_equal(receive_nothing(e.a), -EPROTO);
                brood_connection_free(e.a);
        }
}

static void a_receiver_that_is_gone_ends_a_send(void **state)
{
        Ends e = connect_them(0);
        pid_t pid = child(send_until_the_end, &e);

        assert_int_equal(brood_poll(e.a, LONG), 1);
        disconnect(e);
        must_end_well(pid);
}

/* As connection.c has it. */
typedef struct PacketHead {
        uint32_t magic, n_fds;
        uint64_t size, offset;
} PacketHead;

enum { MAGIC = 0x62726f6f };

static void packets_that_lie_are_refused(void **state)
{
        static const struct {
                PacketHead head;
                size_t n; /* bytes that come with it */
                int r;
        } cases[] = {
                { { MAGIC, 0, 3, 0 }, 3, 0 },
                { { MAGIC + 1, 0, 3, 0 }, 3, -EPROTO },
                { { MAGIC, 17, 3, 0 }, 3, -EPROTO },
                { { MAGIC, 0, 2, 0 }, 3, -EPROTO },
                { { MAGIC, 0, 5, 2 }, 3, -EPROTO },          /* begins in the middle */
                { { MAGIC, 0, 3, 4 }, 3, -EPROTO },
                { { MAGIC, 0, UINT64_MAX, 0 }, 3, -EPROTO },
                { { MAGIC, 0, 1ULL << 63, 0 }, 3, -EPROTO },
                { { MAGIC, 0, 100000, 0 }, 100000, -EPROTO },  /* larger than any packet */
                { { MAGIC, 0, 100, 0 }, 3, -EPROTO },        /* and then the end */
        };
        static char packet[1 << 17];

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Ends e = connect_them(0);
                void *bytes = NULL;
                size_t size;

                memcpy(packet, &cases[i].head, sizeof(PacketHead));
                assert_int_equal(send(brood_connection_fd(e.b), packet,
                                      sizeof(PacketHead) + cases[i].n, 0),
                                 sizeof(PacketHead) + cases[i].n);
                brood_connection_free(e.b);
                assert_int_equal(brood_receive(e.a, &bytes, &size), cases[i].r);
                free(bytes);
                brood_connection_free(e.a);
        }
}

static void what_does_not_continue_a_message_is_refused(void **state)
{
        static const PacketHead seconds[] = {
                { MAGIC, 0, 6, 2 }, { MAGIC, 0, 7, 3 }, { MAGIC, 0, 6, 0 }, { MAGIC, 0, 6, 4 },
        };

        for (size_t i = 0; i < ELEMENTS(seconds); i++) {
                PacketHead first = { MAGIC, 0, 6, 0 };
                Ends e = connect_them(0);
                char packet[27] = { 0 };

                memcpy(packet, &first, sizeof(first));
                assert_int_equal(send(brood_connection_fd(e.b), packet, 27, 0), 27);
                memcpy(packet, &seconds[i], sizeof(first));
                assert_int_equal(send(brood_connection_fd(e.b), packet, 26, 0), 26);
                assert_int_equal(receive_nothing(e.a), -EPROTO);
                disconnect(e);
        }
}

/* --- descriptors --- */

static void descriptors_arrive_with_bytes_and_none_is_left(void **state)
{
        unsigned fds = count_fds();
        Ends e = connect_them(1);
        int sent[16], found[16];
        static char large[200000];
        static const struct {
                unsigned n;
                size_t size;
        } cases[] = { { 1, 0 }, { 1, 5 }, { 16, 5 }, { 3, sizeof(large) } };

        for (unsigned i = 0; i < 16; i++)
                assert_true((sent[i] = memfd_create("sent", MFD_CLOEXEC)) >= 0);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                unsigned n = 16;
                size_t size = 0;
                void *bytes;

                assert_int_equal(brood_send_fds(e.a, sent, cases[i].n, large, cases[i].size), 0);
                assert_int_equal(brood_receive_fds(e.b, found, &n, &bytes, &size), 0);
                assert_int_equal(n, cases[i].n);
                assert_int_equal(size, cases[i].size);
                free(bytes);
                for (unsigned k = 0; k < n; k++) {
                        assert_true(fcntl(found[k], F_GETFD) & FD_CLOEXEC);
                        close(found[k]);
                }
        }
        for (unsigned i = 0; i < 16; i++)
                close(sent[i]);
        disconnect(e);
        assert_int_equal(count_fds(), fds);
}

static void descriptors_that_nobody_takes_are_closed(void **state)
{
        static char large[200000];
        unsigned fds = count_fds(), n = 1;
        Ends e = connect_them(1);
        int sent[2] = { 0, 1 }, found[1];
        void *bytes = NULL;
        size_t size = 0;

        assert_int_equal(brood_send_fds(e.a, sent, 0, NULL, 0), -EINVAL);
        assert_int_equal(brood_send_fds(e.a, sent, 17, NULL, 0), -EINVAL);
        assert_int_equal(brood_send_fds(e.a, (int[]){ -1 }, 1, NULL, 0), -EBADF);
        for (int i = 0; i < 4; i++)
                assert_int_equal(brood_send_fds(e.a, sent, 2, large, i == 3 ? sizeof(large) : 2),
                                 0);
        assert_int_equal(brood_receive_fds(e.b, found, &n, &bytes, &size), -EXFULL);
        assert_null(bytes);
        assert_int_equal(brood_receive(e.b, &bytes, &size), 0);
        free(bytes);
        assert_int_equal(brood_receive_into(e.b, large, sizeof(large), &size), 2);
        assert_int_equal(brood_receive_into(e.b, large, 1, &size), -EMSGSIZE);
        say(e.a, "none");
        n = 1;
        assert_int_equal(brood_receive_fds(e.b, found, &n, &bytes, &size), 0);
        assert_int_equal(n, 0);
        free(bytes);
        assert_int_equal(brood_send_fds(e.a, sent, 2, "x", 1), 0); /* and never received */
        disconnect(e);
        assert_int_equal(count_fds(), fds);
}

static void too_many_descriptors_for_a_process_are_told(void **state)
{
        struct rlimit saved, few;
        Ends e = connect_them(1);
        unsigned n = 2;
        int sent[2] = { 0, 1 }, found[2];
        void *bytes = NULL;
        size_t size;

        assert_int_equal(brood_send_fds(e.a, sent, 2, "x", 1), 0);
        say(e.a, "next");
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
        few = (struct rlimit){ (rlim_t)brood_connection_fd(e.b) + 1, saved.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(brood_receive_fds(e.b, found, &n, &bytes, &size), -EMFILE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
        assert_null(bytes);
        expect(e.b, "next");
        disconnect(e);
}

static void an_end_is_sent_through_another(void **state)
{
        Ends e = connect_them(1), through = connect_them(1);
        unsigned fds = count_fds(), n = 1;
        BroodConnection *c;
        void *bytes;
        size_t size;
        int fd = brood_connection_fd(e.b);

        assert_int_equal(brood_send_fds(through.a, &fd, 1, NULL, 0), 0);
        assert_int_equal(brood_receive_fds(through.b, &fd, &n, &bytes, &size), 0);
        free(bytes);
        assert_int_equal(brood_connection_open(&c, fd), 0);
        say(e.a, "hello");
        expect(c, "hello");
        brood_connection_free(c);
        assert_int_equal(count_fds(), fds);
        disconnect(e);
        disconnect(through);
}

/* --- waiting --- */

static void polls_as_long_as_it_should(void **state)
{
        static const int64_t waits[] = { 0, 1, 30000, 150000 };
        Ends e = connect_them(1);

        for (size_t i = 0; i < ELEMENTS(waits); i++) {
                usec_t began = clock_monotonic(), took;

                assert_int_equal(brood_poll(e.a, waits[i]), 0);
                took = clock_monotonic() - began;
                assert_true(took >= (usec_t)waits[i] && took < (usec_t)waits[i] + LONG);
        }
        say(e.b, "x");
        assert_int_equal(brood_poll(e.a, 0), 1);
        assert_int_equal(brood_poll(e.a, -1), 1);
        disconnect(e);
}

static void small_buffers_of_the_kernel_are_enough(void **state)
{
        const int small = 4096;
        Ends e = connect_them(0);
        BroodConnection *b;
        pid_t pid;

        assert_int_equal(setsockopt(brood_connection_fd(e.b), SOL_SOCKET, SO_SNDBUF, &small,
                                    sizeof(small)), 0);
        assert_int_equal(brood_connection_open(&b, duplicate(brood_connection_fd(e.b))), 0);
        pid = child(send_all_sizes, b);
        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                size_t size = 0;
                void *bytes;

                assert_int_equal(brood_receive(e.a, &bytes, &size), 0);
                check(bytes, size, sizes[i]);
                free(bytes);
        }
        must_end_well(pid);
        brood_connection_free(b);
        disconnect(e);
}

static void *talk(void *context)
{
        BroodConnection *c = context;

        for (;;) {
                size_t size = 0;
                void *bytes;

                if (brood_receive(c, &bytes, &size) < 0)
                        return NULL;
                if (brood_send(c, bytes, size) < 0)
                        abort();
                free(bytes);
        }
}

static void use_another(void *context)
{
        Ends e = { NULL, NULL };
        size_t size = 0;
        void *bytes;

        CLAIM(brood_pipe(&e.a, &e.b, 1) == 0);
        CLAIM(brood_send(e.a, "x", 1) == 0);
        CLAIM(brood_receive(e.b, &bytes, &size) == 0);
        free(bytes);
        brood_connection_free(e.a);
        brood_connection_free(e.b);
}

enum { SHARED_MESSAGES = 4000 };

typedef struct Sharer {
        BroodConnection *c;
        uint8_t *seen;
        bool wrong;
} Sharer;

static void *receive_some(void *context)
{
        Sharer *s = context;
        size_t size = 0;
        void *bytes;
        uint32_t n;

        while (brood_receive(s->c, &bytes, &size) == 0) {
                memcpy(&n, bytes, sizeof(n));
                for (size_t i = 4; i < size; i++)
                        s->wrong |= ((char *)bytes)[i] != (char)n;
                s->wrong |= size != 4 + n % 900 || n >= SHARED_MESSAGES ||
                            __atomic_fetch_add(&s->seen[n], 1, __ATOMIC_RELAXED);
                free(bytes);
        }
        return NULL;
}

static void *send_some(void *context)
{
        char bytes[1000];

        for (uint32_t n = 0; n < SHARED_MESSAGES; n++) {
                memset(bytes, (int)n, sizeof(bytes));
                memcpy(bytes, &n, sizeof(n));
                assert_int_equal(brood_send(context, bytes, 4 + n % 900), 0);
        }
        return NULL;
}

static void threads_may_share_an_end_for_small_messages(void **state)
{
        static uint8_t seen[SHARED_MESSAGES];
        Ends e = connect_them(0);
        Sharer sharers[3];
        pthread_t threads[3];

        for (size_t i = 0; i < 3; i++) {
                sharers[i] = (Sharer){ e.a, seen, false };
                assert_int_equal(pthread_create(&threads[i], NULL, receive_some, &sharers[i]), 0);
        }
        (void)send_some(e.b);
        brood_connection_free(e.b);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                assert_false(sharers[i].wrong);
        }
        for (size_t i = 0; i < SHARED_MESSAGES; i++)
                assert_int_equal(seen[i], 1);
        brood_connection_free(e.a);
}

static void a_fork_amid_an_operation_of_another_thread_works(void **state)
{
        Ends e = connect_them(1);
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, talk, e.b), 0);
        for (int i = 0; i < 50; i++) {
                pid_t pid;

                say(e.a, "hello");
                pid = child(use_another, NULL);
                expect(e.a, "hello");
                must_end_well(pid);
        }
        assert_int_equal(shutdown(brood_connection_fd(e.a), SHUT_RDWR), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        disconnect(e);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_keep_their_bounds_both_ways),
                cmocka_unit_test(messages_of_every_size_arrive_whole),
                cmocka_unit_test(receives_into_memory_of_the_caller),
                cmocka_unit_test(what_has_no_room_is_dropped_and_the_next_is_whole),
                cmocka_unit_test(a_limit_ends_the_connection),
                cmocka_unit_test(is_json_too),
                cmocka_unit_test(an_end_that_is_gone_is_told),
                cmocka_unit_test(what_an_end_had_sent_is_not_lost_with_what_it_had_not_read),
                cmocka_unit_test(a_one_way_pipe_has_one_direction),
                cmocka_unit_test(an_opened_end_of_a_one_way_pipe_says_so_otherwise),
                cmocka_unit_test(what_is_no_connection_is_refused),
                cmocka_unit_test(a_sender_killed_in_a_message_is_told),
                cmocka_unit_test(a_receiver_that_is_gone_ends_a_send),
                cmocka_unit_test(packets_that_lie_are_refused),
                cmocka_unit_test(what_does_not_continue_a_message_is_refused),
                cmocka_unit_test(descriptors_arrive_with_bytes_and_none_is_left),
                cmocka_unit_test(descriptors_that_nobody_takes_are_closed),
                cmocka_unit_test(too_many_descriptors_for_a_process_are_told),
                cmocka_unit_test(an_end_is_sent_through_another),
                cmocka_unit_test(polls_as_long_as_it_should),
                cmocka_unit_test(small_buffers_of_the_kernel_are_enough),
                cmocka_unit_test(threads_may_share_an_end_for_small_messages),
                cmocka_unit_test(a_fork_amid_an_operation_of_another_thread_works),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
