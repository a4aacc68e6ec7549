# SPDX-License-Identifier: MIT
"""Pipes."""
import os
import select
import signal
from multiprocessing import Pipe, connection, reduction

from cases import case, child, ended, for_ever, nap, say, text_of, word, yes


def say_received(c):
    try:
        say("%s", c.recv_bytes().decode())
    except Exception as e:
        def again():
            raise e
        say("%s", word(again))


@case
def pipe_both_ways():
    first, second = Pipe()
    first.send_bytes(b"there")
    second.send_bytes(b"and back")
    say_received(second)
    say_received(first)


@case
def pipe_one_way():
    receiver, sender = Pipe(False)
    sender.send_bytes(b"this way")
    say_received(receiver)
    say("sent by the receiver: %s", word(receiver.send_bytes, b"x"))
    say("received by the sender: %s", word(sender.recv_bytes))


@case
def pipe_order():
    got, put = Pipe(False)

    def count():
        for i in range(1000):
            put.send_bytes(b"%d" % i)
    p = child(count)
    say("in order: %s", yes(all(got.recv_bytes() == b"%d" % i for i in range(1000))))
    ended(p)


@case
def pipe_boundaries():
    got, put = Pipe(False)
    sizes = 1, 0, 3, 4096, 2, 16384, 0, 7
    for size in sizes:
        put.send_bytes(b"x" * size)
    for _ in sizes:
        say("%d", len(got.recv_bytes()))


@case
def pipe_empty_message():
    got, put = Pipe(False)
    put.send_bytes(b"")
    say("there is something: %s", yes(got.poll(0)))
    say("%d bytes", len(got.recv_bytes()))
    put.close()
    say("%s", word(got.recv_bytes))


@case
def pipe_zero_bytes():
    got, put = Pipe(False)
    put.send_bytes(b"a\0b\0")
    say("%s", yes(got.recv_bytes() == b"a\0b\0"))


@case
def pipe_large():
    size = 8 << 20
    got, put = Pipe(False)

    def send():
        put.send_bytes(b"0123456789abcdef" * (size // 16))
        put.send_bytes(b"behind it")
    p = child(send)
    message = got.recv_bytes()
    say("%d bytes, sum %d", len(message), sum(message))
    say_received(got)
    ended(p)


@case
def pipe_large_both_ways():
    here, there = Pipe()

    def echo():
        there.send_bytes(there.recv_bytes())
    p = child(echo)
    message = b"abc" * 1000000
    here.send_bytes(message)
    say("the same: %s", yes(here.recv_bytes() == message))
    ended(p)


@case
def pipe_json():
    got, put = Pipe(False)
    for value in {"a": [1, 2.5, True, None], "b": {"c": "ü€"}}, [], "text", 42, None, -0.5:
        put.send(value)
        say("%s", text_of(got.recv()))


@case
def pipe_ping_pong():
    here, there = Pipe()

    def answer():
        while there.poll(10):
            there.send_bytes(b"%d" % (int(there.recv_bytes()) + 1))

    p = child(answer)
    n = 0
    while n < 1000:
        here.send_bytes(b"%d" % n)
        n = int(here.recv_bytes())
    say("%d", n)
    p.kill()
    ended(p)


# --- poll ---

@case
def poll_of_nothing():
    got, put = Pipe(False)
    say("%s %s", yes(got.poll(0)), yes(got.poll(0.05)))
    put.send_bytes(b"x")
    say("%s %s", yes(got.poll(0)), yes(got.poll(5)))
    got.recv_bytes()
    say("%s", yes(got.poll(0)))


@case
def poll_waits():
    got, put = Pipe(False)

    def send():
        nap(0.2)
        put.send_bytes(b"late")
    p = child(send)
    say("%s", yes(got.poll(20)))
    say_received(got)
    ended(p)


@case
def poll_at_the_end():
    got, put = Pipe(False)
    put.close()
    say("%s", yes(got.poll(0)))
    say("%s", word(got.recv_bytes))


@case
def wait_for_several():
    pipes = [Pipe(False) for _ in range(3)]
    ends = [got for got, _ in pipes]
    say("%d", len(connection.wait(ends, 0.05)))
    pipes[1][1].send_bytes(b"x")
    say("%s", " ".join(yes(e in connection.wait(ends, 5)) for e in ends))
    pipes[2][1].close()
    say("%s", " ".join(yes(e in connection.wait(ends, 5)) for e in ends))


@case
def descriptor_can_be_polled():
    got, put = Pipe(False)
    say("%d", len(select.select([got.fileno()], [], [], 0)[0]))
    put.send_bytes(b"x")
    say("%d", len(select.select([got.fileno()], [], [], 5)[0]))


# --- ends ---

@case
def end_of_file():
    got, put = Pipe(False)
    put.send_bytes(b"one")
    put.send_bytes(b"two")
    put.close()
    for _ in range(4):
        say_received(got)


@case
def end_of_file_of_both_ways():
    here, there = Pipe()
    there.send_bytes(b"one")
    there.close()
    say_received(here)
    say("%s", word(here.recv_bytes))
    say("%s", word(here.send_bytes, b"x"))


@case
def end_when_the_child_ends():
    got, put = Pipe(False)

    def send():
        put.send_bytes(b"hello")
        nap(0.1)
    p = child(send)
    put.close()
    say_received(got)
    say_received(got)
    ended(p)


@case
def end_when_the_child_is_killed():
    got, put = Pipe(False)
    p = child(for_ever)
    put.close()
    say("%s", yes(got.poll(0.05)))
    p.kill()
    say_received(got)
    ended(p)


@case
def broken_pipe():
    got, put = Pipe(False)
    got.close()
    say("%s", word(put.send_bytes, b"x"))
    say("%s", word(put.send_bytes, b"x"))


@case
def broken_pipe_within_a_message():
    got, put = Pipe(False)

    def leave():
        nap(0.2)
    p = child(leave)
    got.close()
    say("%s", word(put.send_bytes, b"x" * (8 << 20)))
    ended(p)


@case
def sender_killed_within_a_message():
    got, put = Pipe(False)

    def send():
        put.send_bytes(b"x" * (8 << 20))
    p = child(send)
    put.close()
    got.poll(20)
    nap(0.2)
    p.kill()
    ended(p)
    say("%s", word(got.recv_bytes))


# --- sizes ---

@case
def receive_into():
    got, put = Pipe(False)
    room = bytearray(8)
    put.send_bytes(b"four")
    say("%d bytes: %s", got.recv_bytes_into(room), room[:4].decode())
    put.send_bytes(b"eight888")
    say("%d bytes", got.recv_bytes_into(room))


@case
def receive_into_too_little():
    got, put = Pipe(False)
    put.send_bytes(b"nine bytes, or more")
    put.send_bytes(b"next")
    say("%s", word(got.recv_bytes_into, bytearray(8)))
    say_received(got)


@case
def receive_limit():
    got, put = Pipe(False)
    put.send_bytes(b"x" * 100)
    put.send_bytes(b"y" * 101)
    say("%d bytes", len(got.recv_bytes(100)))
    say("%s", word(got.recv_bytes, 100))
    say("it goes on: %s", yes(word(got.recv_bytes, 100) == "ok"))


# --- descriptors ---

@case
def send_a_descriptor():
    here, there = Pipe()

    def write():
        fd = reduction.recv_handle(there)
        os.write(fd, b"hello")
    p = child(write)
    reader, writer = os.pipe()
    reduction.send_handle(here, writer, p.pid)
    os.close(writer)
    say("%s", os.read(reader, 100).decode())
    ended(p)
    say("%d bytes", len(os.read(reader, 100)))


@case
def send_a_connection():
    here, there = Pipe()

    def talk():
        c = there.recv()
        c.send_bytes(b"through a connection that came through a connection")
    p = child(talk)
    got, put = Pipe()
    here.send(put)
    say_received(got)
    ended(p)


@case
def end_is_shared_with_children():
    got, put = Pipe(False)

    def send(text):
        put.send_bytes(text)
    ps = [child(send, b"one") for _ in range(3)]
    put.close()
    for p in ps:
        p.join()
    for _ in range(4):
        say_received(got)


@case
def interrupted_by_a_signal():
    got, put = Pipe(False)

    def send():
        nap(0.1)
        os.kill(os.getppid(), signal.SIGUSR1)
        nap(0.1)
        put.send_bytes(b"after the signal")
    signal.signal(signal.SIGUSR1, lambda *_: say("a signal"))
    p = child(send)
    say_received(got)
    ended(p)
