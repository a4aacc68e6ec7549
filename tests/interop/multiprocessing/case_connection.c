/* SPDX-License-Identifier: MIT */

/* Pipes. */

#include "cases.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef BroodConnection Connection;

static void send_text(Connection *c, const char *text)
{
        MUST(brood_send(c, text, strlen(text)));
}

static int drop(Connection *c)
{
        void *message;
        int r = brood_receive(c, &message, &(size_t){ 0 });

        if (r == 0)
                free(message);
        return r;
}

static void say_received(Connection *c)
{
        void *message;
        size_t size;
        int r = brood_receive(c, &message, &size);

        say("%s", r < 0 ? word(r) : (char *)message);
        if (r == 0)
                free(message);
}

static size_t received_size(Connection *c)
{
        void *message;
        size_t size;

        MUST(brood_receive(c, &message, &size));
        free(message);
        return size;
}

static void send_x(Connection *c, size_t size)
{
        char *x = malloc(size + 1);

        memset(x, 'x', size);
        MUST(brood_send(c, x, size));
        free(x);
}

CASE(pipe_both_ways)
{
        Connection *first, *second;

        MUST(brood_pipe(&first, &second, true));
        send_text(first, "there");
        send_text(second, "and back");
        say_received(second);
        say_received(first);
}

CASE(pipe_one_way)
{
        Connection *receiver, *sender;

        MUST(brood_pipe(&receiver, &sender, false));
        send_text(sender, "this way");
        say_received(receiver);
        say("sent by the receiver: %s", word(brood_send(receiver, "x", 1)));
        say("received by the sender: %s", word(drop(sender)));
}

static int count(BroodChild *self)
{
        char text[16];

        for (int i = 0; i < 1000; i++) {
                (void)snprintf(text, sizeof(text), "%d", i);
                send_text(self->context, text);
        }
        return 0;
}

CASE(pipe_order)
{
        Connection *got, *put;
        BroodProcess *p;
        bool good = true;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(count, put, 1, put);
        for (int i = 0; i < 1000; i++) {
                void *message;

                MUST(brood_receive(got, &message, &(size_t){ 0 }));
                good = good && strtol(message, NULL, 10) == i;
                free(message);
        }
        say("in order: %s", yes(good));
        ended(p);
}

CASE(pipe_boundaries)
{
        static const size_t sizes[] = { 1, 0, 3, 4096, 2, 16384, 0, 7 };
        Connection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        for (unsigned i = 0; i < LENGTH(sizes); i++)
                send_x(put, sizes[i]);
        for (unsigned i = 0; i < LENGTH(sizes); i++)
                say("%zu", received_size(got));
}

CASE(pipe_empty_message)
{
        Connection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        MUST(brood_send(put, "", 0));
        say("there is something: %s", yes(MUST(brood_poll(got, 0))));
        say("%zu bytes", received_size(got));
        brood_connection_free(put);
        say("%s", word(drop(got)));
}

CASE(pipe_zero_bytes)
{
        Connection *got, *put;
        void *message;
        size_t size;

        MUST(brood_pipe(&got, &put, false));
        MUST(brood_send(put, "a\0b\0", 4));
        MUST(brood_receive(got, &message, &size));
        say("%s", yes(size == 4 && memcmp(message, "a\0b\0", 4) == 0));
        free(message);
}

enum { LARGE = 8 << 20 };

static int send_large(BroodChild *self)
{
        char *large = malloc(LARGE);

        for (size_t i = 0; i < LARGE; i += 16)
                memcpy(large + i, "0123456789abcdef", 16);
        MUST(brood_send(self->context, large, LARGE));
        free(large);
        return brood_send(self->context, "behind it", 9);
}

CASE(pipe_large)
{
        Connection *got, *put;
        BroodProcess *p;
        void *message;
        size_t size, sum = 0;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(send_large, put, 1, put);
        MUST(brood_receive(got, &message, &size));
        for (size_t i = 0; i < size; i++)
                sum += ((unsigned char *)message)[i];
        free(message);
        say("%zu bytes, sum %zu", size, sum);
        say_received(got);
        ended(p);
}

static int echo(BroodChild *self)
{
        void *message;
        size_t size;

        MUST(brood_receive(self->context, &message, &size));
        return brood_send(self->context, message, size);
}

CASE(pipe_large_both_ways)
{
        enum { SIZE = 3000000 };
        Connection *here, *there;
        char *message = malloc(SIZE);
        BroodProcess *p;
        void *back;
        size_t size;

        for (size_t i = 0; i < SIZE; i++)
                message[i] = "abc"[i % 3];
        MUST(brood_pipe(&here, &there, true));
        p = child_with(echo, there, 1, there);
        MUST(brood_send(here, message, SIZE));
        MUST(brood_receive(here, &back, &size));
        say("the same: %s", yes(size == SIZE && memcmp(message, back, SIZE) == 0));
        free(message);
        free(back);
        ended(p);
}

CASE(pipe_json)
{
        static const char *const texts[] = {
                "{\"a\":[1,2.5,true,null],\"b\":{\"c\":\"ü€\"}}", "[]", "\"text\"", "42", "null",
                "-0.5",
        };
        Connection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        for (unsigned i = 0; i < LENGTH(texts); i++) {
                json_t *value = json_loads(texts[i], JSON_DECODE_ANY, NULL), *back;
                char *text;

                MUST(brood_send_json(put, value));
                MUST(brood_receive_json(got, &back));
                text = json_dumps(back, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
                say("%s", text);
                free(text);
                json_decref(value);
                json_decref(back);
        }
}

static long number_from(Connection *c)
{
        void *message;
        long n;

        MUST(brood_receive(c, &message, &(size_t){ 0 }));
        n = strtol(message, NULL, 10);
        free(message);
        return n;
}

static void send_number(Connection *c, long n)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "%ld", n);
        send_text(c, text);
}

static int answer(BroodChild *self)
{
        while (brood_poll(self->context, usec(10)) == 1)
                send_number(self->context, number_from(self->context) + 1);
        return 0;
}

CASE(pipe_ping_pong)
{
        Connection *here, *there;
        BroodProcess *p;
        long n = 0;

        MUST(brood_pipe(&here, &there, true));
        p = child_with(answer, there, 1, there);
        while (n < 1000) {
                send_number(here, n);
                n = number_from(here);
        }
        say("%ld", n);
        MUST(brood_process_kill(p));
        ended(p);
}

/* --- poll --- */

CASE(poll_of_nothing)
{
        Connection *got, *put;
        bool first, second;

        MUST(brood_pipe(&got, &put, false));
        first = MUST(brood_poll(got, 0));
        second = MUST(brood_poll(got, usec(0.05)));
        say("%s %s", yes(first), yes(second));
        send_text(put, "x");
        first = MUST(brood_poll(got, 0));
        second = MUST(brood_poll(got, usec(5)));
        say("%s %s", yes(first), yes(second));
        drop(got);
        say("%s", yes(MUST(brood_poll(got, 0))));
}

static int send_late(BroodChild *self)
{
        nap(0.2);
        send_text(self->context, "late");
        return 0;
}

CASE(poll_waits)
{
        Connection *got, *put;
        BroodProcess *p;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(send_late, put, 1, put);
        say("%s", yes(MUST(brood_poll(got, usec(20)))));
        say_received(got);
        ended(p);
}

CASE(poll_at_the_end)
{
        Connection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        brood_connection_free(put);
        say("%s", yes(MUST(brood_poll(got, 0))));
        say("%s", word(drop(got)));
}

static void say_ready(const int *fds)
{
        uint64_t ready;

        MUST(brood_wait(fds, 3, usec(5), &ready));
        say("%s %s %s", yes(ready & 1), yes(ready & 2), yes(ready & 4));
}

CASE(wait_for_several)
{
        Connection *got[3], *put[3];
        uint64_t ready;
        int fds[3];

        for (int i = 0; i < 3; i++) {
                MUST(brood_pipe(&got[i], &put[i], false));
                fds[i] = brood_connection_fd(got[i]);
        }
        say("%d", brood_wait(fds, 3, usec(0.05), &ready));
        send_text(put[1], "x");
        say_ready(fds);
        brood_connection_free(put[2]);
        say_ready(fds);
}

CASE(descriptor_can_be_polled)
{
        Connection *got, *put;
        struct pollfd fd = { .events = POLLIN };

        MUST(brood_pipe(&got, &put, false));
        fd.fd = brood_connection_fd(got);
        say("%d", poll(&fd, 1, 0));
        send_text(put, "x");
        say("%d", poll(&fd, 1, 5000));
}

/* --- ends --- */

CASE(end_of_file)
{
        Connection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        send_text(put, "one");
        send_text(put, "two");
        brood_connection_free(put);
        for (int i = 0; i < 4; i++)
                say_received(got);
}

CASE(end_of_file_of_both_ways)
{
        Connection *here, *there;

        MUST(brood_pipe(&here, &there, true));
        send_text(there, "one");
        brood_connection_free(there);
        say_received(here);
        say("%s", word(drop(here)));
        say("%s", word(brood_send(here, "x", 1)));
}

static int send_hello(BroodChild *self)
{
        send_text(self->context, "hello");
        nap(0.1);
        return 0;
}

CASE(end_when_the_child_ends)
{
        Connection *got, *put;
        BroodProcess *p;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(send_hello, put, 1, put);
        brood_connection_free(put);
        say_received(got);
        say_received(got);
        ended(p);
}

CASE(end_when_the_child_is_killed)
{
        Connection *got, *put;
        BroodProcess *p;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(for_ever, NULL, 1, put);
        brood_connection_free(put);
        say("%s", yes(MUST(brood_poll(got, usec(0.05)))));
        MUST(brood_process_kill(p));
        say_received(got);
        ended(p);
}

CASE(broken_pipe)
{
        Connection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        brood_connection_free(got);
        say("%s", word(brood_send(put, "x", 1)));
        say("%s", word(brood_send(put, "x", 1)));
}

static int leave_late(BroodChild *self)
{
        (void)self;
        nap(0.2);
        return 0;
}

CASE(broken_pipe_within_a_message)
{
        Connection *got, *put;
        char *large = calloc(1, LARGE);
        BroodProcess *p;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(leave_late, NULL, 1, got);
        brood_connection_free(got);
        say("%s", word(brood_send(put, large, LARGE)));
        free(large);
        ended(p);
}

CASE(sender_killed_within_a_message)
{
        Connection *got, *put;
        BroodProcess *p;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(send_large, put, 1, put);
        brood_connection_free(put);
        MUST(brood_poll(got, usec(20)));
        nap(0.2);
        MUST(brood_process_kill(p));
        ended(p);
        say("%s", word(drop(got)));
}

/* --- sizes --- */

CASE(receive_into)
{
        Connection *got, *put;
        char room[8];
        int n;

        MUST(brood_pipe(&got, &put, false));
        send_text(put, "four");
        n = (int)brood_receive_into(got, room, sizeof(room), NULL);
        say("%d bytes: %.4s", n, room);
        send_text(put, "eight888");
        say("%d bytes", (int)brood_receive_into(got, room, sizeof(room), NULL));
}

CASE(receive_into_too_little)
{
        Connection *got, *put;
        char room[8];
        size_t size;
        int r;

        MUST(brood_pipe(&got, &put, false));
        send_text(put, "nine bytes, or more");
        send_text(put, "next");
        r = (int)brood_receive_into(got, room, sizeof(room), &size);
        say("%s", r == -EMSGSIZE && size == 19 ? "too long" : word(r));
        say_received(got);
}

CASE(receive_limit)
{
        Connection *got, *put;

        MUST(brood_pipe(&got, &put, false));
        send_x(put, 100);
        send_x(put, 101);
        brood_connection_limit(got, 100);
        say("%zu bytes", received_size(got));
        say("%s", word(drop(got)));
        say("it goes on: %s", yes(drop(got) == 0));
}

/* --- descriptors --- */

static int receive_fd(Connection *c)
{
        unsigned n = 1;
        void *message;
        size_t size;
        int fd = -1;

        MUST(brood_receive_fds(c, &fd, &n, &message, &size));
        free(message);
        return fd;
}

static int write_hello(BroodChild *self)
{
        return write(receive_fd(self->context), "hello", 5) == 5 ? 0 : 1;
}

CASE(send_a_descriptor)
{
        Connection *here, *there;
        char text[100];
        BroodProcess *p;
        int fds[2];

        MUST(brood_pipe(&here, &there, true));
        p = child_with(write_hello, there, 1, there);
        MUST(pipe(fds));
        MUST(brood_send_fds(here, &fds[1], 1, NULL, 0));
        (void)close(fds[1]);
        say("%.*s", (int)read(fds[0], text, sizeof(text)), text);
        ended(p);
        say("%d bytes", (int)read(fds[0], text, sizeof(text)));
}

static int talk_through(BroodChild *self)
{
        Connection *c;

        MUST(brood_connection_open(&c, receive_fd(self->context)));
        send_text(c, "through a connection that came through a connection");
        return 0;
}

CASE(send_a_connection)
{
        Connection *here, *there, *got, *put;
        BroodProcess *p;
        int fd;

        MUST(brood_pipe(&here, &there, true));
        p = child_with(talk_through, there, 1, there);
        MUST(brood_pipe(&got, &put, true));
        fd = brood_connection_fd(put);
        MUST(brood_send_fds(here, &fd, 1, NULL, 0));
        say_received(got);
        ended(p);
}

static int send_one(BroodChild *self)
{
        send_text(self->context, "one");
        return 0;
}

CASE(end_is_shared_with_children)
{
        Connection *got, *put;
        BroodProcess *p[3];

        MUST(brood_pipe(&got, &put, false));
        for (int i = 0; i < 3; i++)
                p[i] = child_with(send_one, put, 1, put);
        brood_connection_free(put);
        for (int i = 0; i < 3; i++)
                brood_process_free(p[i]);
        for (int i = 0; i < 4; i++)
                say_received(got);
}

static void on_signal(int number)
{
        (void)number;
        say("a signal");
}

static int signal_and_send(BroodChild *self)
{
        nap(0.1);
        (void)kill(getppid(), SIGUSR1);
        nap(0.1);
        send_text(self->context, "after the signal");
        return 0;
}

CASE(interrupted_by_a_signal)
{
        Connection *got, *put;
        BroodProcess *p;

        MUST(brood_pipe(&got, &put, false));
        (void)sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL);
        p = child_with(signal_and_send, put, 1, put);
        say_received(got);
        ended(p);
}
