/* SPDX-License-Identifier: MIT */

/* Processes. */

#include "cases.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const BroodStartMethod METHODS[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };

static int no_op(BroodChild *self)
{
        (void)self;
        return 0;
}

/* Its context is the exit code. */
static int returns(BroodChild *self)
{
        return *(int *)self->context;
}

static BroodProcess *child_that_returns(int code)
{
        return child(returns, &code);
}

/* --- exit codes --- */

CASE(exit_of_return)
{
        ended(child(no_op, NULL));
}

static int exits(BroodChild *self)
{
        exit(*(int *)self->context);
}

CASE(exit_with_a_number)
{
        ended(child(exits, (int[]){ 7 }));
}

static int leaves(BroodChild *self)
{
        _exit(*(int *)self->context);
}

CASE(exit_without_return)
{
        ended(child(leaves, (int[]){ 5 }));
}

CASE(exit_of_failure)
{
        ended(child(exits, (int[]){ EXIT_FAILURE }));
}

CASE(exit_low_eight_bits)
{
        static const int codes[] = { 255, 256, 263, -1 };

        for (unsigned i = 0; i < LENGTH(codes); i++)
                ended(child_that_returns(codes[i]));
}

static int kill_oneself(BroodChild *self)
{
        return raise(*(int *)self->context);
}

CASE(exit_by_signal)
{
        int numbers[] = { SIGTERM, SIGKILL, SIGUSR1, SIGHUP };

        for (unsigned i = 0; i < LENGTH(numbers); i++)
                ended(child(kill_oneself, &numbers[i]));
}

CASE(exit_code_while_it_runs)
{
        BroodProcess *p = child(for_ever, NULL);

        say_exit("", p);
        brood_process_kill(p);
        ended(p);
}

CASE(exit_codes_of_many)
{
        BroodProcess *p[10];

        for (int i = 0; i < 10; i++)
                p[i] = child_that_returns(i);
        for (int i = 0; i < 10; i++)
                ended(p[i]);
}

static pid_t main_pid;

static void at_exit(void)
{
        say("at exit of the parent: %s", yes(getpid() == main_pid));
}

CASE(atexit_is_the_parents)
{
        main_pid = getpid();
        (void)atexit(at_exit);
        ended(child(no_op, NULL));
}

/* --- join --- */

CASE(join_with_timeout)
{
        BroodProcess *p = child(for_ever, NULL);

        (void)brood_process_join(p, usec(0.05));
        say_exit("after 0.05 s: ", p);
        (void)brood_process_join(p, 0);
        say_exit("after 0 s: ", p);
        brood_process_kill(p);
        (void)brood_process_join(p, usec(10));
        say_exit("after the kill: ", p);
        brood_process_free(p);
}

CASE(join_twice)
{
        BroodProcess *p = child_that_returns(3);

        MUST(brood_process_join(p, -1));
        say_exit("", p);
        MUST(brood_process_join(p, -1));
        MUST(brood_process_join(p, 0));
        say_exit("", p);
        brood_process_free(p);
}

CASE(join_long_after_the_end)
{
        BroodProcess *p = child_that_returns(4);

        nap(0.2);
        ended(p);
}

CASE(join_of_one_reaps_no_other)
{
        BroodProcess *first = child_that_returns(1), *second = child_that_returns(2);

        nap(0.1);
        ended(second);
        ended(first);
}

/* --- ending it --- */

CASE(terminate)
{
        BroodProcess *p = child(for_ever, NULL);

        MUST(brood_process_terminate(p));
        ended(p);
}

CASE(kill)
{
        BroodProcess *p = child(for_ever, NULL);

        MUST(brood_process_kill(p));
        ended(p);
}

static int ignore(BroodChild *self)
{
        (void)signal(SIGTERM, SIG_IGN);
        MUST(brood_send(self->context, "", 0));
        return for_ever(self);
}

CASE(terminate_when_ignored)
{
        BroodConnection *ready, *set_ready;
        BroodProcess *p;
        void *message;
        size_t size;

        MUST(brood_pipe(&ready, &set_ready, false));
        p = child_with(ignore, set_ready, 1, set_ready);
        MUST(brood_receive(ready, &message, &size));
        free(message);
        MUST(brood_process_terminate(p));
        (void)brood_process_join(p, usec(0.1));
        say_exit("", p);
        MUST(brood_process_kill(p));
        ended(p);
}

CASE(terminate_after_the_end)
{
        BroodProcess *p = child_that_returns(6);

        MUST(brood_process_join(p, -1));
        MUST(brood_process_terminate(p));
        MUST(brood_process_kill(p));
        say_exit("", p);
        brood_process_free(p);
}

CASE(kill_twice)
{
        BroodProcess *p = child(for_ever, NULL);

        MUST(brood_process_kill(p));
        MUST(brood_process_kill(p));
        MUST(brood_process_join(p, -1));
        MUST(brood_process_kill(p));
        ended(p);
}

CASE(is_alive)
{
        BroodProcess *p = child(for_ever, NULL);

        say("it runs: %s", yes(brood_process_is_alive(p)));
        MUST(brood_process_kill(p));
        MUST(brood_process_join(p, -1));
        say("it has ended: %s", yes(brood_process_is_alive(p)));
        brood_process_free(p);
}

CASE(is_alive_sees_the_end)
{
        BroodProcess *p = child_that_returns(2);

        while (brood_process_is_alive(p))
                nap(0.01);
        say_exit("", p);
        brood_process_free(p);
}

/* --- names --- */

static int say_name(BroodChild *self)
{
        say("I am %s", self->name);
        return 0;
}

CASE(name_by_default)
{
        for (int i = 0; i < 3; i++) {
                BroodProcess *p = child(say_name, NULL);

                MUST(brood_process_join(p, -1));
                say("it is %s", brood_process_name(p));
                ended(p);
        }
}

static BroodProcess *child_named(BroodTarget target, const char *name, bool daemon)
{
        BroodProcess *p;

        MUST(brood_process_start(&p, &(BroodProcessSpec){ .method = BROOD_FORK,
                                                          .function = target,
                                                          .name = name,
                                                          .daemon = daemon }));
        return p;
}

CASE(name_given)
{
        BroodProcess *p = child_named(say_name, "bob", false);

        MUST(brood_process_join(p, -1));
        say("it is %s", brood_process_name(p));
        ended(p);
}

static int have_child_say_its_name(BroodChild *self)
{
        (void)self;
        return brood_process_free(child(say_name, NULL));
}

CASE(name_of_a_grandchild)
{
        brood_process_free(child(have_child_say_its_name, NULL));
}

static int send_pid(BroodChild *self)
{
        return brood_send(self->context, &(pid_t){ getpid() }, sizeof(pid_t));
}

CASE(pid_is_its_own)
{
        BroodConnection *got, *put;
        BroodProcess *p;
        pid_t pid = 0;

        MUST(brood_pipe(&got, &put, false));
        p = child_with(send_pid, put, 1, put);
        (void)brood_receive_into(got, &pid, sizeof(pid), NULL);
        say("the same pid: %s", yes(pid == brood_process_pid(p)));
        ended(p);
}

/* --- daemons, and what the end of a parent means --- */

CASE(daemon_flag)
{
        for (int flag = 0; flag < 2; flag++) {
                BroodProcess *p = child_named(for_ever, NULL, flag);

                say("%s", yes(brood_process_daemon(p)));
                MUST(brood_process_kill(p));
                brood_process_free(p);
        }
}

static void say_received(BroodConnection *c, const char *before)
{
        void *message;
        size_t size;
        int r = brood_receive(c, &message, &size);

        say("%s%s", before, r < 0 ? word(r) : (char *)message);
        if (r == 0)
                free(message);
}

static int leave_a_daemon(BroodChild *self)
{
        BroodProcess *p;

        MUST(brood_process_start(&p, &(BroodProcessSpec){ .method = BROOD_FORK,
                                                          .function = for_ever,
                                                          .daemon = true,
                                                          .fds = self->fds,
                                                          .n_fds = self->n_fds }));
        return 0;
}

CASE(daemon_is_ended_with_its_parent)
{
        BroodConnection *end, *held;
        BroodProcess *p;

        MUST(brood_pipe(&end, &held, false));
        p = child_with(leave_a_daemon, NULL, 1, held);
        brood_connection_free(held);
        ended(p);
        say_received(end, "it has ended: ");
}

static int late(BroodChild *self)
{
        nap(0.3);
        say("%s", (char *)self->context);
        return 0;
}

static int leave_one_that_is_late(BroodChild *self)
{
        (void)child(late, self->context);
        return 0;
}

CASE(others_are_waited_for)
{
        ended(child(leave_one_that_is_late, (void *)"the grandchild is done"));
}

CASE(others_are_waited_for_by_main)
{
        (void)child(late, (void *)"the child is done");
        say("main returns");
}

static int too_late(BroodChild *self)
{
        (void)self;
        nap(2);
        say("it lives on");
        return 0;
}

CASE(daemon_is_ended_by_main)
{
        (void)child_named(too_late, NULL, true);
        say("main returns");
}

static int daemon_with_child(BroodChild *self)
{
        BroodProcess *p;
        int r = brood_process_start(
                &p, &(BroodProcessSpec){ .method = BROOD_FORK, .function = no_op });

        (void)self;
        say("%s", word(r));
        return 0;
}

CASE(daemon_with_children)
{
        ended(child_named(daemon_with_child, NULL, true));
}

static int talk_for_long(BroodChild *self)
{
        MUST(brood_send(self->context, "it runs", 7));
        nap(2);
        return brood_send(self->context, "it outlived its parent", 22);
}

static int have_child_talk(BroodChild *self)
{
        (void)child_with(talk_for_long, self->context, 1, self->context);
        return for_ever(self);
}

CASE(parent_killed)
{
        BroodConnection *end, *held;
        BroodProcess *p;
        void *message;
        size_t size;
        int r;

        MUST(brood_pipe(&end, &held, false));
        p = child_with(have_child_talk, held, 1, held);
        brood_connection_free(held);
        say_received(end, "");
        MUST(brood_process_kill(p));
        ended(p);
        r = brood_receive(end, &message, &size);
        say("%s", r < 0 ? "it has ended" : (char *)message);
}

/* --- the parent --- */

CASE(parent_of_main)
{
        say("%s", brood_process_parent() || brood_process_self() ? "somebody" : "nobody");
}

static int look_at_parent(BroodChild *self)
{
        const BroodParent *parent = brood_process_parent();

        (void)self;
        say("%s, of this pid: %s", parent->name, yes(parent->pid == getppid()));
        return 0;
}

static int have_child_look(BroodChild *self)
{
        look_at_parent(self);
        ended(child(look_at_parent, NULL));
        return 0;
}

CASE(parent_name_and_pid)
{
        ended(child_named(have_child_look, "middle", false));
}

static int watch_parent(BroodChild *self)
{
        int sentinel = brood_process_parent()->sentinel;
        uint64_t ready;
        bool over = MUST(brood_wait(&sentinel, 1, 0, &ready));

        MUST(brood_send(self->context, over ? "ended" : "runs", over ? 5 : 4));
        over = MUST(brood_wait(&sentinel, 1, usec(20), &ready));
        return brood_send(self->context, over ? "ended" : "runs", over ? 5 : 4);
}

static int have_child_watch(BroodChild *self)
{
        BroodProcess *p;

        MUST(brood_process_start(&p, &(BroodProcessSpec){ .method = BROOD_FORK,
                                                          .function = watch_parent,
                                                          .context = self->context,
                                                          .fds = self->fds,
                                                          .n_fds = self->n_fds,
                                                          .outlive = true }));
        return for_ever(self);
}

CASE(parent_sentinel)
{
        BroodConnection *end, *held;
        BroodProcess *p;

        MUST(brood_pipe(&end, &held, false));
        p = child_with(have_child_watch, held, 1, held);
        brood_connection_free(held);
        say_received(end, "the parent ");
        MUST(brood_process_kill(p));
        ended(p);
        say_received(end, "the parent ");
}

/* --- children, and waiting for them --- */

static int by_name(const void *a, const void *b)
{
        return strcmp(brood_process_name(*(BroodProcess *const *)a),
                      brood_process_name(*(BroodProcess *const *)b));
}

static int say_children(BroodChild *self)
{
        BroodProcess *p[8];
        unsigned n = brood_process_children(p, LENGTH(p));
        char text[256] = "none";
        size_t at = 0;

        (void)self;
        qsort(p, n, sizeof(p[0]), by_name);
        for (unsigned i = 0; i < n; i++)
                at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? "," : "",
                                       brood_process_name(p[i]));
        say("%s", text);
        return 0;
}

CASE(active_children)
{
        BroodProcess *p[3];

        say_children(NULL);
        p[0] = child_named(for_ever, "a", false);
        p[1] = child_named(for_ever, "b", false);
        p[2] = child_named(for_ever, "c", false);
        say_children(NULL);
        for (unsigned i = 0; i < LENGTH(p); i++) {
                MUST(brood_process_kill(p[i]));
                MUST(brood_process_join(p[i], -1));
                say_children(NULL);
        }
}

CASE(active_children_of_a_child)
{
        BroodProcess *p = child(for_ever, NULL);

        ended(child(say_children, NULL));
        MUST(brood_process_kill(p));
        brood_process_free(p);
}

static int wait_at_gate(BroodChild *self)
{
        return (int)brood_receive_into(self->context, (char[1]){ 0 }, 1, NULL);
}

CASE(sentinels)
{
        static const int order[] = { 1, 0, 2 };
        BroodConnection *gate, *opener[3];
        BroodProcess *p[3];
        uint64_t ready;
        int fds[3];

        for (int i = 0; i < 3; i++) {
                MUST(brood_pipe(&gate, &opener[i], false));
                p[i] = child_with(wait_at_gate, gate, 1, gate);
                fds[i] = brood_process_sentinel(p[i]);
        }
        say("ready: %d", brood_wait(fds, 3, usec(0.05), &ready));
        for (int i = 0; i < 3; i++) {
                MUST(brood_send(opener[order[i]], "", 0));
                MUST(brood_process_join(p[order[i]], -1));
                (void)brood_wait(fds, 3, usec(5), &ready);
                say("ready: %s %s %s ", yes(ready & 1), yes(ready & 2), yes(ready & 4));
        }
}

static int talk(BroodChild *self)
{
        MUST(brood_send(self->context, "hello", 5));
        return for_ever(self);
}

CASE(sentinel_or_message)
{
        BroodConnection *got, *put;
        BroodProcess *p;
        uint64_t ready;
        char hello[8];
        int fds[2];

        MUST(brood_pipe(&got, &put, false));
        p = child_with(talk, put, 1, put);
        fds[0] = brood_process_sentinel(p);
        fds[1] = brood_connection_fd(got);
        (void)brood_wait(fds, 2, usec(10), &ready);
        say("child %s, message %s", yes(ready & 1), yes(ready & 2));
        (void)brood_receive_into(got, hello, sizeof(hello), NULL);
        say("ready: %d", brood_wait(fds, 2, 0, &ready));
        MUST(brood_process_kill(p));
        (void)brood_wait(fds, 2, usec(10), &ready);
        say("child %s, message %s", yes(ready & 1), yes(ready & 2));
}

static int nap_a_while(BroodChild *self)
{
        (void)self;
        nap(0.2);
        return 0;
}

CASE(free_of_one_that_runs)
{
        say("%s", word(brood_process_free(child(nap_a_while, NULL))));
}

/* --- start methods --- */

static int number = 1;

static int greet(BroodChild *self)
{
        char *text = json_dumps(self->args, JSON_COMPACT | JSON_SORT_KEYS);

        say("%s: %s", self->name, text);
        free(text);
        return 3;
}
BROOD_ENTRY(greet)

static int say_number(BroodChild *self)
{
        (void)self;
        say("the child sees %d", number);
        return 0;
}
BROOD_ENTRY(say_number)

static int write_to(BroodChild *self)
{
        BroodConnection *c;

        MUST(brood_connection_open(&c, self->fds[0]));
        return brood_send(c, "through the pipe", 16);
}
BROOD_ENTRY(write_to)

static int change_number(BroodChild *self)
{
        say("same address: %s", yes(self->context == &number));
        number = 3;
        say("the child has %d", number);
        return 0;
}

CASE(start_methods)
{
        for (unsigned i = 0; i < LENGTH(METHODS); i++) {
                BroodProcess *p;

                MUST(brood_process_start(
                        &p, &(BroodProcessSpec){
                                    .method = METHODS[i],
                                    .target = "greet",
                                    .name = "greeter",
                                    .args = json_pack("{s:s,s:[i,f,n,b,s]}", "who", "world", "n",
                                                      1, 2.5, 1, "ü"),
                            }));
                ended(p);
        }
}

CASE(start_with_a_descriptor)
{
        for (unsigned i = 0; i < LENGTH(METHODS); i++) {
                BroodConnection *got, *put;
                BroodProcess *p;

                MUST(brood_pipe(&got, &put, false));
                p = child_by(METHODS[i], "write_to", NULL, (int[]){ brood_connection_fd(put) }, 1);
                brood_connection_free(put);
                say_received(got, "");
                ended(p);
                say_received(got, "");
        }
}

CASE(start_of_what_is_not_there)
{
        BroodProcess *p;

        say("%s", word(brood_process_start(&p, &(BroodProcessSpec){ .method = BROOD_SPAWN,
                                                                    .target = "nobody" })));
}

CASE(memory_is_a_copy)
{
        ended(child(change_number, &number));
        say("the parent has %d", number);
}

CASE(memory_by_start_method)
{
        number = 7;
        for (unsigned i = 0; i < LENGTH(METHODS); i++)
                ended(child_by(METHODS[i], "say_number", NULL, NULL, 0));
}

static int say_inherited(BroodChild *self)
{
        (void)self;
        say("%s", fcntl(77, F_GETFD) >= 0 ? "it is here" : "it is not here");
        return 0;
}
BROOD_ENTRY(say_inherited)

CASE(descriptors_that_were_not_given)
{
        (void)dup2(0, 77);
        for (unsigned i = 0; i < LENGTH(METHODS); i++)
                ended(child_by(METHODS[i], "say_inherited", NULL, NULL, 0));
}

static int read_input(BroodChild *self)
{
        char bytes[100];

        (void)self;
        say("%d bytes", (int)read(0, bytes, sizeof(bytes)));
        return 0;
}

CASE(standard_input_is_empty)
{
        char bytes[100] = "";
        ssize_t n;

        ended(child(read_input, NULL));
        n = read(0, bytes, sizeof(bytes));
        say("the parent's: %.*s", (int)(n > 0 ? n - 1 : 0), bytes);
}

static int say_directory(BroodChild *self)
{
        char path[256];

        (void)self;
        say("%s", getcwd(path, sizeof(path)) ? path : "none");
        return 0;
}
BROOD_ENTRY(say_directory)

CASE(directory_goes_along)
{
        if (chdir("/usr") < 0)
                return;
        for (unsigned i = 0; i < 2; i++)
                ended(child_by(METHODS[i], "say_directory", NULL, NULL, 0));
}

static int nap_by_number(BroodChild *self)
{
        nap(0.05 * *(int *)self->context);
        return 0;
}

CASE(join_in_any_order)
{
        BroodProcess *p[3];
        bool over[3];

        for (int i = 0; i < 3; i++)
                p[i] = child(nap_by_number, &(int){ 3 - i });
        for (int i = 0; i < 3; i++)
                over[i] = ends_within(p[i], 20);
        say("%s %s %s", yes(over[0]), yes(over[1]), yes(over[2]));
}
