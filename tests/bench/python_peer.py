# SPDX-License-Identifier: MIT
"""No-op jobs through a pool of 2 Python workers, from the first submit to the last result.

    python_peer.py map|unordered|many|asyncio SOCKET DURABILITY N     brood's clients
    python_peer.py apply_async|executor N                             CPython's own pools
    python_peer.py celery|rq REDIS N                                  the results are fetched

Prints `RATE VALUE UNIT`."""
import sys
import time

from python_jobs import noop

WORKERS = 2
WINDOW = 256
PAYLOAD = {"path": "/var/spool/images/2026/11/holiday-0815.jpeg", "width": 640, "height": 480}
now = time.perf_counter


def timed(run, n):
    """After a short run to warm it up."""
    run(min(n, 100))
    begin = now()
    run(n)
    print("rate %.6g jobs/s" % (n / (now() - begin)))


def brood_map(ordered, path, durability, n):
    import brood
    with brood.Client(path) as client:
        timed(lambda n: exhaust(n, client.map("noop", (PAYLOAD for _ in range(n)), window=WINDOW,
                                              ordered=ordered, durability=durability)), n)


def brood_many(path, durability, n):
    import brood
    with brood.Client(path) as client:
        def run(n):
            for at in range(0, n, 500):  # the daemon keeps 1000 that have ended
                ids = client.submit_many(brood.Spec("noop", PAYLOAD, durability=durability)
                                         for _ in range(min(500, n - at)))
                exhaust(len(ids), client.wait_many(ids))
        timed(run, n)


def brood_asyncio(path, durability, n):
    import asyncio
    import brood.aio

    async def run(n):
        async with brood.aio.Client(path) as client:
            got = 0
            async for _ in client.map("noop", (PAYLOAD for _ in range(n)), window=WINDOW,
                                      durability=durability):
                got += 1
            assert got == n
    timed(lambda n: asyncio.run(run(n)), n)


def exhaust(n, results):
    got = sum(1 for _ in results)
    assert got == n, (got, n)


def apply_async(n):
    import multiprocessing
    with multiprocessing.Pool(WORKERS) as pool:
        def run(n):
            for result in [pool.apply_async(noop, (PAYLOAD,)) for _ in range(n)]:
                result.get()
        timed(run, n)


def executor(n):
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(WORKERS) as pool:
        def run(n):
            for result in [pool.submit(noop, PAYLOAD) for _ in range(n)]:
                result.result()
        timed(run, n)


def celery(_, n):
    from python_jobs import celery_noop
    celery_noop.delay(PAYLOAD).get(timeout=60)

    def run(n):
        for result in [celery_noop.delay(PAYLOAD) for _ in range(n)]:
            result.get(timeout=60)
    timed(run, n)


def rq(path, n):
    import redis
    import rq as rq_module
    connection = redis.Redis(unix_socket_path=path)
    queue = rq_module.Queue(connection=connection)
    while rq_module.Worker.count(connection=connection) < WORKERS:
        time.sleep(0.02)

    def run(n):
        jobs = [queue.enqueue(noop, PAYLOAD) for _ in range(n)]
        while any(job.get_status() not in ("finished", "failed") for job in jobs[-2 * WORKERS:]):
            time.sleep(0.005)
        assert all(job.get_status() == "finished" for job in jobs[-WORKERS:])
    timed(run, n)


def main():
    what, *words, n = sys.argv[1:]
    {"map": lambda *w: brood_map(True, *w), "unordered": lambda *w: brood_map(False, *w),
     "many": brood_many, "asyncio": brood_asyncio, "apply_async": apply_async,
     "executor": executor, "celery": celery, "rq": rq}[what](*words, int(n))


if __name__ == "__main__":
    main()
