# SPDX-License-Identifier: MIT
"""Pools."""
import multiprocessing
import os
import signal
import threading
from multiprocessing import Pool

from cases import case, child, ended, ends_within, for_ever, nap, say, text_of, word, yes

SECOND = 1.0  # after which something that should be there at once does not come


# --- functions of the workers ---

def square(x):
    return x * x


def odd_fails(x):
    if x % 2:
        raise RuntimeError("%d is odd" % x)
    return x


def three_fails(x):
    if x == 3:
        raise RuntimeError("three is")
    return x


def pid_of(_):
    return os.getpid()


def length(text):
    return len(text)


def twice(text):
    return text * 2


def add(a, b):
    return a + b


def late(x):
    nap(0.3)
    return x


def first_is_late(x):
    if x == 0:
        nap(0.3)
    return x


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(_):
    os._exit(3)


def three_dies(x):
    if x == 3:
        die(x)
    return x


def stay(_):
    for_ever()


prepared = 0


def prepare(n):
    global prepared
    prepared = n


def add_prepared(x):
    return x + prepared


def fail_to_prepare():
    raise RuntimeError("on purpose")


def said(values):
    say("%s", " ".join(str(v) for v in values))


def exists(pid):
    """Whether it runs; one that nobody has reaped does not."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def failure_of(call, *arguments):
    """What it raised, in words, or its value."""
    try:
        return str(call(*arguments))
    except multiprocessing.TimeoutError:
        return "nothing comes"
    except RuntimeError as e:
        return "failed: %s" % e


# --- map ---

@case
def map_is_in_order():
    with Pool(3) as pool:
        said(pool.map(square, range(20)))


@case
def map_of_nothing():
    with Pool(2) as pool:
        say("%d", len(pool.map(square, [])))


@case
def map_by_chunks():
    with Pool(2) as pool:
        for chunk in 1, 3, 7, 100:
            said(pool.map(square, range(10), chunk))


@case
def map_of_many():
    with Pool(2) as pool:
        say("%d", sum(pool.map(square, range(20000))))


@case
def map_waits_for_the_late():
    with Pool(2) as pool:
        said(pool.map(first_is_late, range(5), 1))


@case
def map_with_a_failure():
    with Pool(2) as pool:
        say("%s", failure_of(pool.map, three_fails, range(5), 1))


@case
def map_after_failures():
    with Pool(2) as pool:
        failure_of(pool.map, odd_fails, range(5), 1)
        said(pool.map(square, range(5)))


@case
def map_by_two_threads():
    with Pool(2) as pool:
        sums = [0, 0]

        def work(i):
            sums[i] = sum(pool.map(square, range(500 * i, 1000), 10))
        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        said(sums)


@case
def starmap():
    with Pool(2) as pool:
        said(pool.starmap(add, [(1, 2), (10, 20), (-1, 1)]))


@case
def map_of_json():
    with Pool(2) as pool:
        say("%s", text_of(pool.map(twice, ["a", "ü", [1, None], ""])))


# --- apply ---

@case
def apply():
    with Pool(2) as pool:
        for x in range(3):
            say("%d", pool.apply(square, (x,)))


@case
def apply_that_fails():
    with Pool(2) as pool:
        say("%s", failure_of(pool.apply, odd_fails, (7,)))
        say("%s", failure_of(pool.apply, odd_fails, (8,)))


@case
def apply_to_large_input():
    with Pool(2) as pool:
        say("%d", pool.apply(length, (b"x" * (5 << 20),)))


@case
def apply_with_large_result():
    with Pool(2) as pool:
        say("%d", len(pool.apply(twice, (b"x" * (3 << 20),))))


@case
def apply_async():
    with Pool(2) as pool:
        later = pool.apply_async(late, (7,))
        say("ready: %s", yes(later.ready()))
        say("%s", failure_of(later.get, 0.02))
        later.wait()
        say("ready: %s", yes(later.ready()))
        say("%s", failure_of(later.get, 5))


@case
def apply_async_of_many():
    with Pool(2) as pool:
        said(r.get(20) for r in [pool.apply_async(square, (i,)) for i in range(50)])


@case
def apply_async_with_callback():
    called = threading.Event()

    def callback(value):
        say("called with %d", value)
        called.set()
    with Pool(2) as pool:
        pool.apply_async(square, (9,), callback=callback)
        say("%s", yes(called.wait(20)))


@case
def apply_async_with_error_callback():
    called = threading.Event()

    def callback(error):
        say("called with: %s", error)
        called.set()
    with Pool(2) as pool:
        pool.apply_async(odd_fails, (9,), error_callback=callback)
        say("%s", yes(called.wait(20)))


# --- imap ---

@case
def imap_is_in_order():
    with Pool(2) as pool:
        said(pool.imap(first_is_late, range(10)))


@case
def imap_by_chunks():
    with Pool(2) as pool:
        said(pool.imap(square, range(10), 3))


@case
def imap_unordered():
    with Pool(2) as pool:
        said(sorted(pool.imap_unordered(square, range(20))))


@case
def imap_unordered_does_not_wait_for_the_late():
    with Pool(2) as pool:
        results = list(pool.imap_unordered(first_is_late, range(4)))
        say("the last is %d", results[-1])


@case
def imap_with_failures():
    with Pool(2) as pool:
        results = pool.imap(odd_fails, range(5))
        for _ in range(5):
            say("%s", failure_of(results.next))
        say("%s", word(results.next))


@case
def imap_timeout():
    with Pool(2) as pool:
        results = pool.imap(late, [5])
        say("%s", failure_of(results.next, 0.02))
        say("%s", failure_of(results.next, 20))


@case
def imap_at_the_end():
    with Pool(2) as pool:
        results = pool.imap(square, range(1))
        say("%s", failure_of(results.next))
        say("%s", word(results.next))
        say("%s", word(results.next))


# --- workers ---

@case
def workers_are_used_again():
    with Pool(2) as pool:
        pids = set(pool.map(pid_of, range(50), 1))
        say("at most two: %s, not mine: %s", yes(len(pids) <= 2), yes(os.getpid() not in pids))


@case
def workers_as_many_as_wanted():
    with Pool(3):
        say("%d", len(multiprocessing.active_children()))


@case
def tasks_per_child():
    for n in 1, 2, 3:
        with Pool(1, maxtasksperchild=n) as pool:
            pids = pool.map(pid_of, range(6), 1)
            say("%d tasks: %d processes", n, len(set(pids)))


@case
def initializer():
    with Pool(2, prepare, (1000,)) as pool:
        said(pool.map(add_prepared, range(5), 1))


@case
def initializer_of_replacements():
    with Pool(1, prepare, (1000,), 1) as pool:
        said(pool.map(add_prepared, range(3), 1))


@case
def initializer_that_fails():
    with Pool(1, fail_to_prepare) as pool:
        say("%s", failure_of(pool.apply_async(square, (1,)).get, SECOND))


@case
def pool_by_start_method():
    for method in "fork", "spawn", "forkserver":
        with multiprocessing.get_context(method).Pool(2) as pool:
            said(pool.map(square, range(5)))


@case
def pool_in_a_child():
    def work():
        with Pool(2) as pool:
            said(pool.map(square, range(5)))
    ended(child(work))


# --- deaths ---

@case
def worker_killed_at_work():
    with Pool(2) as pool:
        say("%s", failure_of(pool.map_async(three_dies, range(6), 1).get, SECOND))


@case
def worker_killed_by_its_task():
    with Pool(1) as pool:
        say("%s", failure_of(pool.apply_async(die, (1,)).get, SECOND))


@case
def worker_left_by_its_task():
    with Pool(1) as pool:
        say("%s", failure_of(pool.apply_async(leave, (1,)).get, SECOND))


@case
def next_task_after_a_death():
    with Pool(1) as pool:
        pool.apply_async(die, (1,)).wait(SECOND)
        say("%s", failure_of(pool.apply_async(square, (5,)).get, 20))


@case
def idle_worker_killed():
    with Pool(1) as pool:
        pid = pool.apply(pid_of, (0,))
        nap(0.1)
        os.kill(pid, signal.SIGKILL)
        nap(0.3)
        say("%s", failure_of(pool.apply_async(square, (5,)).get, SECOND))
        for p in multiprocessing.active_children():
            p.kill()
        os._exit(0)  # Pool.terminate() would hang


# --- the end ---

@case
def submit_after_close():
    pool = Pool(1)
    pool.close()
    say("%s", word(pool.apply, square, (1,)))
    say("%s", word(pool.map, square, [1]))
    pool.join()


@case
def submit_after_terminate():
    pool = Pool(1)
    pool.terminate()
    say("%s", word(pool.apply_async, square, (1,)))
    pool.join()


@case
def close_runs_what_is_there():
    pool = Pool(1)
    results = [pool.apply_async(late, (i,)) for i in range(3)]
    pool.close()
    pool.join()
    said(r.get(0) for r in results)


@case
def close_twice():
    pool = Pool(1)
    pool.close()
    pool.close()
    pool.join()
    pool.join()
    say("joined")


@case
def join_before_close():
    pool = Pool(1)
    say("%s", word(pool.join))
    pool.close()
    pool.join()


@case
def terminate_while_a_task_runs():
    pool = Pool(2)
    for _ in range(2):
        pool.apply_async(stay, (0,))
    nap(0.2)
    pool.terminate()
    pool.join()
    say("joined")


@case
def terminate_twice():
    pool = Pool(2)
    pool.terminate()
    pool.terminate()
    pool.join()
    say("joined")


@case
def close_after_terminate():
    pool = Pool(2)
    pool.terminate()
    pool.close()
    pool.join()
    say("%s", word(pool.apply, square, (1,)))


@case
def result_after_terminate():
    pool = Pool(1)
    later = pool.apply_async(stay, (0,))
    nap(0.2)
    pool.terminate()
    pool.join()
    say("%s", failure_of(later.get, SECOND))


@case
def workers_are_gone_after_join():
    pool = Pool(2)
    pids = set(pool.map(pid_of, range(20), 1))
    pool.close()
    pool.join()
    say("gone: %s", yes(not any(exists(pid) for pid in pids)))


@case
def pool_that_is_forgotten():
    global forgotten
    forgotten = Pool(2)
    said(forgotten.map(square, range(3)))


@case
def pool_of_a_killed_process():
    got, put = multiprocessing.Pipe(False)

    def work():
        with Pool(1) as pool:
            put.send_bytes(b"%d" % pool.apply(pid_of, (0,)))
            for_ever()
    p = child(work)
    pid = int(got.recv_bytes())
    p.kill()
    ended(p)
    for _ in range(100):
        if not exists(pid):
            break
        nap(0.01)
    say("its worker is gone: %s", yes(not exists(pid)))
    if exists(pid):
        os.kill(pid, signal.SIGKILL)
