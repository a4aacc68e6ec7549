# SPDX-License-Identifier: MIT
"""Queues."""
import os
import signal
from multiprocessing import JoinableQueue, Pipe, Queue, get_context

from cases import (case, child, child_by, ended, ends_within, for_ever, nap, say, text_of, word,
                   yes)


@case
def queue_order():
    q = Queue()

    def put():
        for i in range(1000):
            q.put(i)
    p = child(put)
    say("in order: %s", yes(all(q.get() == i for i in range(1000))))
    ended(p)


@case
def queue_full():
    q = Queue(2)
    say("%s %s", word(q.put, 1), word(q.put, 2))
    say("%s", word(q.put_nowait, 3))
    say("%s", word(q.put, 3, True, 0.05))
    say("%d", q.get())
    say("%s", word(q.put, 3, True, 5))
    say("%d %d", q.get(), q.get())


@case
def queue_empty():
    q = Queue()
    say("%s", word(q.get_nowait))
    say("%s", word(q.get, True, 0.05))
    q.put(1)
    say("%d", q.get(True, 5))
    say("%s", word(q.get_nowait))


@case
def queue_size():
    q = Queue()
    say("%d", q.qsize())
    for i in range(3):
        q.put(i)
    say("%d", q.qsize())
    q.get()
    say("%d", q.qsize())


@case
def queue_values():
    q = Queue()
    for value in {"a": [1, 2.5, True, None], "b": {"c": "ü€"}}, [], "text", 42, None:
        q.put(value)
        say("%s", text_of(q.get()))


@case
def queue_large_elements():
    q = Queue()

    def put():
        for i in range(20):
            q.put(b"%c" % (65 + i) * 300000)
    p = child(put)
    for i in range(20):
        element = q.get()
        say("%d %c %s", len(element), element[0], yes(element == element[:1] * 300000))
    ended(p)


@case
def queue_too_large_element():
    q = Queue()
    say("%s", word(q.put, b"x" * (2 << 20)))
    if q.qsize():
        q.get()


@case
def queue_get_wakes():
    q = Queue()

    def put():
        nap(0.2)
        q.put("late")
    p = child(put)
    say("%s", q.get(True, 20))
    ended(p)


@case
def queue_put_wakes():
    q = Queue(1)
    q.put("first")

    def get():
        nap(0.2)
        q.get()
    p = child(get)
    say("%s", word(q.put, "second", True, 20))
    ended(p)
    say("%s", q.get())


@case
def queue_many_producers():
    q = Queue(10)

    def put(number):
        for i in range(200):
            q.put((number, i))
    ps = [child(put, number) for number in range(3)]
    last, in_order = [-1] * 3, True
    for _ in range(600):
        number, i = q.get()
        in_order = in_order and i == last[number] + 1
        last[number] = i
    say("each in order: %s, the last %d %d %d", yes(in_order), *last)
    say("%d", q.qsize())
    for p in ps:
        ended(p)


@case
def queue_many_consumers():
    q, results = Queue(10), Queue()

    def get():
        total = 0
        while (i := q.get()) >= 0:
            total += i
        results.put(total)
    ps = [child(get) for _ in range(3)]
    for i in range(500):
        q.put(i)
    for _ in ps:
        q.put(-1)
    say("%d", sum(results.get() for _ in ps))
    for p in ps:
        ended(p)


@case
def queue_by_start_method():
    for method in "fork", "spawn", "forkserver":
        q = get_context(method).Queue()
        ended(child_by(method, put_hello, q))
        say("%s", q.get())


def put_hello(q):
    q.put("hello")


@case
def queue_there_and_back():
    there, back = Queue(1), Queue(1)

    def answer():
        while (n := there.get()) < 500:
            back.put(n + 1)
    p = child(answer)
    n = 0
    while n < 500:
        there.put(n)
        n = back.get()
    there.put(n)
    say("%d", n)
    ended(p)


# --- its end ---

@case
def queue_put_after_close():
    q = Queue()
    q.close()
    say("%s", word(q.put, 1))


@case
def queue_get_after_close():
    q = Queue()
    q.put("left")
    nap(0.1)
    q.close()
    say("%s", word(q.get, True, 5))
    say("%s", word(q.get, True, 5))


@case
def queue_closed_by_another():
    q = Queue()
    ended(child(q.close))
    say("%s", word(q.put, 1))


# --- deaths ---

@case
def queue_getter_terminated():
    q = Queue()
    p = child(q.get)
    nap(0.3)
    p.terminate()
    ended(p)


@case
def queue_after_a_terminated_getter():
    q = Queue()
    p = child(q.get)
    nap(0.3)
    p.terminate()
    p.join()
    q.put("hello")
    say("%s", word(q.get, True, 1))


@case
def queue_putter_killed_while_full():
    q = Queue(1)
    q.put(1)
    p = child(q.put, 2)
    nap(0.2)
    p.kill()
    ended(p)
    say("%d", q.get())
    say("%s", word(q.put, 3, True, 5))
    say("%d", q.get())


@case
def queue_element_of_a_killed_process():
    q = Queue()

    def put():
        q.put(b"x" * 500000)
        os.kill(os.getpid(), signal.SIGKILL)
    ended(child(put))
    say("%s", "it is there" if ends_within(child(q.get), 1) else "nothing comes")


@case
def queue_of_a_process_that_ends():
    q = Queue()

    def put():
        q.put(b"x" * 500000)
    say("it has ended: %s", yes(ends_within(child(put), 1)))


# --- done ---

@case
def joinable_waits():
    q = JoinableQueue()

    def work():
        for _ in range(3):
            q.get()
            nap(0.1)
            say("done")
            q.task_done()
    p = child(work)
    for i in range(3):
        q.put(i)
    q.join()
    say("joined")
    ended(p)


@case
def joinable_of_nothing():
    q = JoinableQueue()
    q.join()
    say("joined")


@case
def joinable_done_too_often():
    q = JoinableQueue()
    say("%s", word(q.task_done))
    q.put(1)
    q.get()
    say("%s", word(q.task_done))
    say("%s", word(q.task_done))


@case
def joinable_got_is_not_done():
    q = JoinableQueue()
    q.put(1)
    p = child(q.join)
    q.get()
    p.join(0.2)
    say("joined: %s", yes(p.exitcode is not None))
    q.task_done()
    ended(p)


@case
def joinable_of_a_dead_consumer():
    q = JoinableQueue()
    got, put = Pipe(False)

    def work():
        q.get()
        put.send_bytes(b"")
        for_ever()
    p = child(work)
    q.put(1)
    got.recv_bytes()
    p.kill()
    ended(p)
    say("joined: %s", yes(ends_within(child(q.join), 1)))
