# SPDX-License-Identifier: MIT
"""Shared memory."""
from multiprocessing import Array, Pipe, RawArray, Value, get_context, heap

from cases import case, child, child_by, ended, for_ever, say, word, yes


@case
def value_is_shared():
    v = Value("i")
    say("%d", v.value)

    def change():
        v.value = 42
    ended(child(change))
    say("%d", v.value)


@case
def value_and_copy():
    v, copy = Value("i", 1), [1]

    def change():
        v.value = copy[0] = 2
    ended(child(change))
    say("shared %d, copied %d", v.value, copy[0])


@case
def value_lock():
    v = Value("i")

    def add():
        for _ in range(500):
            with v.get_lock():
                v.value += 1
    for p in [child(add) for _ in range(4)]:
        ended(p)
    say("%d", v.value)


@case
def value_lock_is_recursive():
    v = Value("i")
    lock = v.get_lock()
    say("%s %s", word(lock.acquire), word(lock.acquire))
    ended(child(lambda: say("%s", word(lock.acquire, False))))
    say("%s %s", word(lock.release), word(lock.release))
    say("%s", word(lock.release))


@case
def value_lock_timeout():
    v = Value("i")
    v.get_lock().acquire()
    ended(child(lambda: say("%s", word(v.get_lock().acquire, True, 0.05))))


@case
def value_locked_by_a_dead_process():
    v = Value("i")
    got, put = Pipe(False)

    def hold():
        v.get_lock().acquire()
        put.send_bytes(b"")
        for_ever()
    p = child(hold)
    got.recv_bytes()
    p.kill()
    ended(p)
    say("%s", word(v.get_lock().acquire, True, 0.5))


@case
def value_by_start_method():
    for method in "fork", "spawn", "forkserver":
        v = get_context(method).Value("i", 1)
        ended(child_by(method, double, v))
        say("%d", v.value)


def double(v):
    v.value *= 2


@case
def array_is_shared():
    a = Array("d", [0.5, 1.5, 2.5])

    def square():
        for i in range(len(a)):
            a[i] **= 2
    ended(child(square))
    say("%.4f %.4f %.4f", *a)


@case
def array_length():
    a = Array("i", 10)
    say("%d", len(a))
    say("%s", yes(sum(a) == 0))
    try:
        a[10] = 1
        say("there is something behind it")
    except IndexError:
        say("beyond its end")


@case
def array_of_elements():
    a = Array("i", range(1000))
    ps = [child(increment, a, i) for i in range(4)]
    for p in ps:
        p.join()
    say("%d", sum(a))


def increment(a, first):
    for i in range(first, 1000, 4):
        a[i] += 1


@case
def raw_memory():
    m = RawArray("c", 100000)
    say("%d bytes, of zeros: %s", len(m), yes(not any(m.raw)))

    def fill():
        m[99990:99995] = b"hello"
    ended(child(fill))
    say("%s", m[99990:99995].decode())


@case
def heap_blocks():
    h = heap.Heap(1 << 16)
    blocks = [h.malloc(n) for n in (1, 100, 1000, 5000)]
    spans = sorted((start, stop) for _, start, stop in blocks)
    say("apart: %s", yes(all(a[1] <= b[0] for a, b in zip(spans, spans[1:]))))
    say("large enough: %s", yes(all(b[2] - b[1] >= n
                                    for b, n in zip(blocks, (1, 100, 1000, 5000)))))
    h.free(blocks[1])
    again = h.malloc(100)
    say("used again: %s", yes(again[1:] == blocks[1][1:]))
