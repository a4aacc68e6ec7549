# SPDX-License-Identifier: MIT
"""Processes."""
import atexit
import fcntl
import multiprocessing
import os
import signal
import sys
from multiprocessing import connection

from cases import (case, child, child_by, ended, ends_within, exit_of, for_ever, nap, say, text_of,
                   word, yes)


# --- exit codes ---

@case
def exit_of_return():
    ended(child(lambda: None))


@case
def exit_with_a_number():
    ended(child(lambda: sys.exit(7)))


@case
def exit_without_return():
    ended(child(lambda: os._exit(5)))


@case
def exit_of_failure():
    def fail():
        raise RuntimeError("on purpose")
    ended(child(fail))


@case
def exit_low_eight_bits():
    for code in 255, 256, 263, -1:
        ended(child(lambda: sys.exit(code)))


@case
def exit_by_signal():
    for number in signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGHUP:
        ended(child(lambda: os.kill(os.getpid(), number)))


@case
def exit_code_while_it_runs():
    p = child(for_ever)
    say("%s", exit_of(p))
    p.kill()
    ended(p)


@case
def exit_codes_of_many():
    for p in [child(lambda i=i: sys.exit(i)) for i in range(10)]:
        ended(p)


@case
def atexit_is_the_parents():
    def at_exit():
        say("at exit of the parent: %s", yes(os.getpid() == main))
    main = os.getpid()
    atexit.register(at_exit)
    ended(child(lambda: None))


# --- join ---

@case
def join_with_timeout():
    p = child(for_ever)
    p.join(0.05)
    say("after 0.05 s: %s", exit_of(p))
    p.join(0)
    say("after 0 s: %s", exit_of(p))
    p.kill()
    p.join(10)
    say("after the kill: %s", exit_of(p))


@case
def join_twice():
    p = child(lambda: sys.exit(3))
    p.join()
    say("%s", exit_of(p))
    p.join()
    p.join(0)
    say("%s", exit_of(p))


@case
def join_long_after_the_end():
    p = child(lambda: sys.exit(4))
    nap(0.2)
    ended(p)


@case
def join_of_one_reaps_no_other():
    first, second = child(lambda: sys.exit(1)), child(lambda: sys.exit(2))
    nap(0.1)
    ended(second)
    ended(first)


# --- ending it ---

@case
def terminate():
    p = child(for_ever)
    p.terminate()
    ended(p)


@case
def kill():
    p = child(for_ever)
    p.kill()
    ended(p)


@case
def terminate_when_ignored():
    ready, set_ready = multiprocessing.Pipe(False)

    def ignore():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        set_ready.send_bytes(b"")
        for_ever()
    p = child(ignore)
    ready.recv_bytes()
    p.terminate()
    p.join(0.1)
    say("%s", exit_of(p))
    p.kill()
    ended(p)


@case
def terminate_after_the_end():
    p = child(lambda: sys.exit(6))
    p.join()
    p.terminate()
    p.kill()
    say("%s", exit_of(p))


@case
def kill_twice():
    p = child(for_ever)
    p.kill()
    p.kill()
    p.join()
    p.kill()
    ended(p)


@case
def is_alive():
    p = child(for_ever)
    say("it runs: %s", yes(p.is_alive()))
    p.kill()
    p.join()
    say("it has ended: %s", yes(p.is_alive()))


@case
def is_alive_sees_the_end():
    p = child(lambda: sys.exit(2))
    while p.is_alive():
        nap(0.01)
    say("%s", exit_of(p))


# --- names ---

def say_name():
    say("I am %s", multiprocessing.current_process().name)


@case
def name_by_default():
    for _ in range(3):
        p = child(say_name)
        p.join()
        say("it is %s", p.name)
        ended(p)


@case
def name_given():
    p = child(say_name, name="bob")
    p.join()
    say("it is %s", p.name)
    ended(p)


@case
def name_of_a_grandchild():
    child(lambda: child(say_name).join()).join()


@case
def pid_is_its_own():
    got, put = multiprocessing.Pipe(False)
    p = child(lambda: put.send(os.getpid()))
    say("the same pid: %s", yes(got.recv() == p.pid))
    ended(p)


# --- daemons, and what the end of a parent means ---

@case
def daemon_flag():
    for flag in False, True:
        p = child(for_ever, daemon=flag)
        say("%s", yes(p.daemon))
        p.kill()
        p.join()


@case
def daemon_is_ended_with_its_parent():
    end, held = multiprocessing.Pipe(False)

    def middle():
        child(for_ever, daemon=True)
    p = child(middle)
    held.close()
    ended(p)
    say("it has ended: %s", word(end.recv_bytes))


@case
def others_are_waited_for():
    def late():
        nap(0.3)
        say("the grandchild is done")
    ended(child(lambda: child(late)))


@case
def others_are_waited_for_by_main():
    def late():
        nap(0.3)
        say("the child is done")
    child(late)
    say("main returns")


@case
def daemon_is_ended_by_main():
    def late():
        nap(2)
        say("it lives on")
    child(late, daemon=True)
    say("main returns")


@case
def daemon_with_children():
    def middle():
        say("%s", word(child, lambda: None))
    p = child(middle, daemon=True)
    ended(p)


@case
def parent_killed():
    end, held = multiprocessing.Pipe(False)

    def grandchild():
        held.send_bytes(b"it runs")
        nap(2)
        held.send_bytes(b"it outlived its parent")

    def middle():
        child(grandchild)
        for_ever()
    p = child(middle)
    held.close()
    say("%s", end.recv_bytes().decode())
    p.kill()
    ended(p)
    try:
        say("%s", end.recv_bytes().decode())
    except EOFError:
        say("it has ended")


# --- the parent ---

@case
def parent_of_main():
    say("%s", multiprocessing.parent_process() and "somebody" or "nobody")


@case
def parent_name_and_pid():
    def look():
        parent = multiprocessing.parent_process()
        say("%s, of this pid: %s", parent.name, yes(parent.pid == os.getppid()))

    def middle():
        look()
        ended(child(look))
    ended(child(middle, name="middle"))


@case
def parent_sentinel():
    end, held = multiprocessing.Pipe(False)

    def grandchild():
        sentinel = multiprocessing.parent_process().sentinel
        held.send_bytes(b"runs" if not connection.wait([sentinel], 0) else b"ended")
        held.send_bytes(b"ended" if connection.wait([sentinel], 20) else b"runs")

    def middle():
        child(grandchild)
        for_ever()
    p = child(middle)
    held.close()
    say("the parent %s", end.recv_bytes().decode())
    p.kill()
    ended(p)
    say("the parent %s", end.recv_bytes().decode())


# --- children, and waiting for them ---

def say_children():
    say("%s", ",".join(sorted(p.name for p in multiprocessing.active_children())) or "none")


@case
def active_children():
    say_children()
    ps = [child(for_ever, name=name) for name in "abc"]
    say_children()
    for p in ps:
        p.kill()
        p.join()
        say_children()


@case
def active_children_of_a_child():
    p = child(for_ever)
    ended(child(say_children))
    p.kill()
    p.join()


@case
def sentinels():
    gates, ps = [], []

    def wait_at(gate):
        gate.recv_bytes()
    for _ in range(3):
        gate, opener = multiprocessing.Pipe(False)
        gates.append(opener)
        ps.append(child(wait_at, gate))
    fds = [p.sentinel for p in ps]
    say("ready: %d", len(connection.wait(fds, 0.05)))
    for i in 1, 0, 2:
        gates[i].send_bytes(b"")
        ps[i].join()
        say("ready: %s", "".join(yes(fd in connection.wait(fds, 5)) + " " for fd in fds))


@case
def sentinel_or_message():
    got, put = multiprocessing.Pipe(False)

    def talk():
        put.send_bytes(b"hello")
        for_ever()
    p = child(talk)
    ready = connection.wait([p.sentinel, got], 10)
    say("child %s, message %s", yes(p.sentinel in ready), yes(got in ready))
    got.recv_bytes()
    say("ready: %d", len(connection.wait([p.sentinel, got], 0)))
    p.kill()
    ready = connection.wait([p.sentinel, got], 10)
    say("child %s, message %s", yes(p.sentinel in ready), yes(got in ready))


@case
def free_of_one_that_runs():
    p = child(lambda: nap(0.2))
    say("%s", word(p.close))


# --- start methods ---

METHODS = "fork", "spawn", "forkserver"
number = 1


def greet(args):
    say("%s: %s", multiprocessing.current_process().name, text_of(args))
    sys.exit(3)


def say_number():
    say("the child sees %d", number)


def write_to(connection_):
    connection_.send_bytes(b"through the pipe")


def change_number(address):
    global number
    say("same address: %s", yes(id(number_box) == address))
    number_box.append(2)
    number = 3
    say("the child has %d", number)


number_box = [1]


@case
def start_methods():
    for method in METHODS:
        args = {"who": "world", "n": [1, 2.5, None, True, "ü"]}
        ended(child_by(method, greet, args, name="greeter"))


@case
def start_with_a_descriptor():
    for method in METHODS:
        got, put = multiprocessing.Pipe(False)
        p = child_by(method, write_to, put)
        put.close()
        say("%s", got.recv_bytes().decode())
        ended(p)
        say("%s", word(got.recv_bytes))


@case
def start_of_what_is_not_there():
    say("%s", "refused" if word(child_by, "spawn", lambda: None) != "ok" else "ok")


@case
def memory_is_a_copy():
    ended(child(change_number, id(number_box)))
    say("the parent has %d", number)


@case
def memory_by_start_method():
    global number
    number = 7
    for method in METHODS:
        ended(child_by(method, say_number))


def say_inherited(fd):
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
        say("it is here")
    except OSError:
        say("it is not here")


@case
def descriptors_that_were_not_given():
    os.dup2(0, 77, inheritable=True)
    for method in METHODS:
        ended(child_by(method, say_inherited, 77))


@case
def standard_input_is_empty():
    def read():
        say("%d bytes", len(sys.stdin.read()))
    ended(child(read))
    say("the parent's: %s", os.read(0, 100).decode().strip())


@case
def directory_goes_along():
    os.chdir("/usr")
    for method in "fork", "spawn":
        ended(child_by(method, say_directory))


def say_directory():
    say("%s", os.getcwd())


@case
def join_in_any_order():
    ps = [child(lambda i=i: nap(0.05 * (3 - i))) for i in range(3)]
    say("%s", " ".join(yes(ends_within(p, 20)) for p in ps))
