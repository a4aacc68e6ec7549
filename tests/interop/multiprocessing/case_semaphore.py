# SPDX-License-Identifier: MIT
"""Semaphores and locks."""
import threading
import time
from multiprocessing import BoundedSemaphore, Lock, Pipe, RLock, Semaphore, get_context

from cases import case, child, child_by, ended, ends_within, for_ever, nap, say, word, yes


@case
def semaphore_counts():
    s = Semaphore(2)
    for _ in range(3):
        say("%s", word(s.acquire, False))
    s.release()
    say("%s", word(s.acquire, False))


@case
def semaphore_value():
    s = Semaphore(3)
    say("%d", s.get_value())
    s.acquire()
    s.acquire()
    say("%d", s.get_value())
    s.release()
    say("%d", s.get_value())


@case
def semaphore_of_nothing():
    s = Semaphore(0)
    say("%s", word(s.acquire, False))
    s.release()
    say("%s", word(s.acquire, False))


@case
def semaphore_timeout():
    s = Semaphore(0)
    begin = time.monotonic()
    say("%s", word(s.acquire, True, 0.3))
    say("not too early: %s", yes(time.monotonic() - begin > 0.29))


@case
def semaphore_grows():
    s = Semaphore(1)
    s.release()
    s.release()
    say("%d", s.get_value())
    for _ in range(4):
        say("%s", word(s.acquire, False))


@case
def semaphore_bounded():
    s = BoundedSemaphore(2)
    say("%s", word(s.release))
    s.acquire()
    say("%s", word(s.release))
    say("%s", word(s.release))
    say("%d", s.get_value())


@case
def semaphore_wakes():
    s = Semaphore(0)

    def wait():
        say("%s", word(s.acquire, True, 20))
    p = child(wait)
    nap(0.2)
    say("release")
    s.release()
    ended(p)


@case
def semaphore_wakes_as_many():
    s = Semaphore(0)
    ps = [child(s.acquire) for _ in range(5)]
    nap(0.1)
    for _ in ps:
        s.release()
    say("%d", sum(ends_within(p, 20) for p in ps))


@case
def semaphore_of_two_processes():
    s = Semaphore(2)
    gate, opener = Pipe(False)

    def hold():
        s.acquire()
        opener.send_bytes(b"")
        nap(0.2)
        s.release()
    p = child(hold)
    gate.recv_bytes()
    say("%d", s.get_value())
    ended(p)
    say("%d", s.get_value())


@case
def semaphore_too_large():
    say("%s", word(Semaphore, 40000))


@case
def semaphore_waiter_killed():
    s = Semaphore(0)
    p = child(s.acquire)
    nap(0.2)
    p.kill()
    ended(p)
    s.release()
    say("%s", word(s.acquire, True, 20))


@case
def lock_is_not_recursive():
    lock = Lock()
    say("%s", word(lock.acquire, False))
    say("%s", word(lock.acquire, False))
    say("%s", word(lock.acquire, True, 0.05))


@case
def lock_released_too_often():
    lock = Lock()
    say("%s", word(lock.release))
    lock.acquire()
    say("%s", word(lock.release))
    say("%s", word(lock.release))


@case
def lock_excludes():
    lock = Lock()
    got, put = Pipe()
    put.send_bytes(b"0")

    def add():
        for _ in range(300):
            lock.acquire()
            put.send_bytes(b"%d" % (int(got.recv_bytes()) + 1))
            lock.release()
    ps = [child(add) for _ in range(4)]
    for p in ps:
        ended(p)
    say("%s", got.recv_bytes().decode())


@case
def lock_released_by_another_process():
    lock = Lock()
    lock.acquire()
    ended(child(lambda: say("%s", word(lock.release))))
    say("%s", word(lock.acquire, False))


@case
def lock_released_by_another_thread():
    lock = Lock()
    lock.acquire()
    t = threading.Thread(target=lambda: say("%s", word(lock.release)))
    t.start()
    t.join()
    say("%s", word(lock.acquire, False))


@case
def lock_by_start_method():
    for method in "fork", "spawn", "forkserver":
        lock = get_context(method).Lock()
        lock.acquire()
        ended(child_by(method, try_lock, lock))
        lock.release()
        ended(child_by(method, try_lock, lock))


def try_lock(lock):
    r = word(lock.acquire, False)
    say("%s", r)
    if r == "ok":
        lock.release()


@case
def lock_of_a_killed_process():
    lock = Lock()
    gate, opener = Pipe(False)

    def hold():
        lock.acquire()
        opener.send_bytes(b"")
        for_ever()
    p = child(hold)
    gate.recv_bytes()
    p.kill()
    ended(p)
    say("%s", word(lock.acquire, True, 0.5))


@case
def lock_of_an_ended_process():
    lock = Lock()
    ended(child(lock.acquire))
    say("%s", word(lock.acquire, True, 0.5))


@case
def rlock_is_recursive():
    lock = RLock()
    for _ in range(3):
        say("%s", word(lock.acquire, False))
    for _ in range(4):
        say("%s", word(lock.release))


@case
def rlock_is_free_after_the_last():
    lock = RLock()
    lock.acquire()
    lock.acquire()
    for _ in range(3):
        ended(child(lambda: say("%s", word(lock.acquire, False)) or
                    (word(lock.release))))
        word(lock.release)


@case
def rlock_of_another_process():
    lock = RLock()
    lock.acquire()
    ended(child(lambda: say("%s", word(lock.release))))
    say("%s", word(lock.release))


@case
def rlock_of_another_thread():
    lock = RLock()

    def look():
        say("%s", word(lock.acquire, False))
        say("%s", word(lock.release))
    lock.acquire()
    t = threading.Thread(target=look)
    t.start()
    t.join()
    say("%s", word(lock.release))


@case
def rlock_released_unheld():
    say("%s", word(RLock().release))
