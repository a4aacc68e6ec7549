# SPDX-License-Identifier: MIT
"""The peer of mp.c: the same benches with Python's multiprocessing.

    mp_peer.py apply|map|queue|pipe100|pipe1m|recover N | start|memory METHOD

Prints `METRIC VALUE UNIT`, as mp.c does."""
import multiprocessing
import os
import signal
import statistics
import sys
import time

WORKERS = 2
STARTS = 8  # of start
now = time.perf_counter


def show(metric, value, unit):
    print(metric, "%.6g" % value, unit)


def no_op(x):
    return x


def pid_of(_):
    return os.getpid()


def nothing():
    pass


def wait_for(connection):
    connection.recv_bytes()


def apply(n):
    with multiprocessing.Pool(WORKERS) as pool:
        pool.map(no_op, range(WORKERS * 8), 1)
        begin = now()
        for i in range(n):
            pool.apply(no_op, (i,))
        show("apply", n / (now() - begin), "tasks/s")


def map_(n):
    with multiprocessing.Pool(WORKERS) as pool:
        pool.map(no_op, range(WORKERS * 8), 1)
        begin = now()
        pool.map(no_op, range(n))
        show("map", n / (now() - begin), "tasks/s")


def put(q, n):
    element = b"x" * 100
    for _ in range(n + 1):
        q.put(element)


def queue(n):
    q = multiprocessing.Queue(1000)
    p = multiprocessing.Process(target=put, args=(q, n))
    p.start()
    q.get()
    begin = now()
    for _ in range(n):
        q.get()
    show("queue", n / (now() - begin), "elements/s")
    p.join()


def send(c, size, n):
    message = b"x" * size
    for _ in range(n + 1):
        c.send_bytes(message)


def pipe(metric, size, n):
    got, sender = multiprocessing.Pipe(False)
    p = multiprocessing.Process(target=send, args=(sender, size, n))
    p.start()
    got.recv_bytes()
    begin = now()
    for _ in range(n):
        got.recv_bytes()
    show(metric, n / (now() - begin), "messages/s")
    p.join()


def start(method):
    """Start of 8, until all have run and are joined. The fork server is there already."""
    context = multiprocessing.get_context(method)
    for measured in False, True:
        begin = now()
        ps = [context.Process(target=nothing) for _ in range(STARTS if measured else 1)]
        for p in ps:
            p.start()
        for p in ps:
            p.join()
    show("start8-" + method, (now() - begin) * 1e3, "ms")


def recover(n):
    """From the SIGKILL of one of two workers, at work, until tasks have run on its replacement."""
    times = []
    for _ in range(n):
        with multiprocessing.Pool(WORKERS) as pool:
            known = set()
            while len(known) < WORKERS:
                known.update(pool.map(pid_of, range(WORKERS * 4), 1))
            victim = min(known)
            # at work: an idle one may hold the lock of the queue, and all hang after its death
            busy = [pool.apply_async(work_until_killed, (victim,)) for _ in range(WORKERS)]
            while not any(r.ready() for r in busy):
                time.sleep(0.001)
            begin = now()
            os.kill(victim, signal.SIGKILL)
            while not set(pool.map(pid_of, range(4), 1)) - known:
                pass
            times.append(now() - begin)
    show("recover", statistics.median(times) * 1e3, "ms")


def work_until_killed(victim):
    time.sleep(60 if os.getpid() == victim else 0.05)


def pss(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def memory(method):
    """Proportional set size of an idle worker of two."""
    with multiprocessing.get_context(method).Pool(WORKERS) as pool:
        pids = set()
        while len(pids) < WORKERS:
            pids.update(pool.map(pid_of, range(WORKERS * 4), 1))
        show("memory-" + method, sum(map(pss, pids)) / len(pids), "KiB")


def main():
    name, what = sys.argv[1:]
    if name in ("start", "memory"):
        return {"start": start, "memory": memory}[name](what)
    {"apply": apply, "map": map_, "queue": queue, "recover": recover,
     "pipe100": lambda n: pipe("pipe100", 100, n),
     "pipe1m": lambda n: pipe("pipe1m", 1 << 20, n)}[name](int(what))


if __name__ == "__main__":
    main()
