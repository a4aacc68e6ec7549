# SPDX-License-Identifier: MIT
"""Death: of workers, of the fork server, of the supervisor."""

import contextlib
import os
import random
import re
import signal
import threading
import time

from harness import *
from test_exec import DAEMONIZE, read_pid


def test_an_idle_worker_is_killed():
    """The next job is answered by its replacement, and one death is counted."""
    with Daemon() as d:
        victim = d.pids()[0]
        os.kill(victim, signal.SIGKILL)
        assert d.run("echo")["state"] == "succeeded"
        until(lambda: len(d.pids()) == 2 and victim not in d.pids(), "a replacement")
        assert d.pool_status()["deaths"] == 1 and d.pool_status()["state"] == "running"


def test_a_busy_worker_is_killed():
    """Its job is tried again at once, and the certificate names the signal and the worker."""
    with Daemon({"diag": diag(backoff="30s")}) as d:
        id = d.submit("sleep", {"seconds": 0.5})
        worker = d.worker_of(id)
        os.kill(worker["pid"], signal.SIGKILL)
        job = d.wait(id)
        assert job["state"] == "succeeded", job
        first, second = job["attempts"]
        assert first["outcome"] == "worker_died" and first["signal"] in ("KILL", "SIGKILL"), first
        assert first["pid"] == worker["pid"] and first["worker"] == worker["name"]
        assert first["number"] == 1 and second["number"] == 2
        assert second["outcome"] == "succeeded"
        # the first retry after a worker's death does not wait for the backoff
        assert second["started_usec"] - first["ended_usec"] < slow(500000)


def test_generations():
    """A replacement sits in the same seat, one generation later."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        before, = d.workers()
        os.kill(before["pid"], signal.SIGKILL)
        after = until(lambda: next((w for w in d.workers() if w["pid"] != before["pid"]
                                    and w["state"] == "idle"), None), "a replacement")
        assert after["generation"] > before["generation"]


def test_crash():
    """A handler's own signal is named; the job is quarantined after PoisonDeaths= workers."""
    with Daemon() as d:
        for name in "SEGV", "ABRT", "KILL", "TERM":
            job = d.run("crash", {"signal": name}, max_attempts=1)
            attempt, = job["attempts"]
            assert job["state"] == "failed" and attempt["outcome"] == "worker_died", job
            assert attempt["signal"] in (name, "SIG" + name), attempt
            assert attempt.get("exit_status") is None
            assert attempt["cpu_usec"] is not None and attempt["peak_memory_bytes"] > 0, attempt


def test_exit():
    """A handler that exits has its status in the certificate."""
    with Daemon() as d:
        for status in 0, 3, 255:
            job = d.run("exit", {"status": status}, max_attempts=1)
            attempt, = job["attempts"]
            assert job["state"] == "failed" and attempt["outcome"] == "worker_died", job
            assert attempt["exit_status"] == status and attempt.get("signal") is None, attempt


def test_stderr_tail():
    """The last lines that a worker wrote to stderr are in the certificate."""
    with Daemon() as d:
        job = d.run("crash", {"signal": "ABRT"}, max_attempts=1)
        assert "crash" in job["attempts"][0]["stderr_tail"], job["attempts"][0]


def test_poison():
    """A job that kills its workers is quarantined after PoisonDeaths= of them; Retry frees it."""
    with Daemon({"diag": diag(poison_deaths=3)}) as d:
        job = d.run("crash", {"signal": "KILL"}, max_attempts=20)
        assert job["state"] == "quarantined" and len(job["attempts"]) == 3, job
        assert d.pool_status()["deaths"] == 3
        assert d.run("echo")["state"] == "succeeded"
        d.call("Retry", id=job["id"])
        job = d.wait(job["id"])
        assert job["state"] == "quarantined"
        assert [a["number"] for a in job["attempts"]] == list(range(1, len(job["attempts"]) + 1))
        assert len(job["attempts"]) > 3


def test_poison_off():
    """PoisonDeaths=0: only the budget of attempts bounds it."""
    with Daemon({"diag": diag(poison_deaths=0)}) as d:
        job = d.run("crash", {"signal": "KILL"}, max_attempts=6)
        assert job["state"] == "failed" and len(job["attempts"]) == 6, job


def test_a_spare_takes_over():
    """The next job after a SIGKILL is run by a spare, which was there before: nobody waits for a
    worker to be born."""
    with Daemon({"diag": diag(min_workers=1, spare_workers=2)}) as d, d.connect() as c:
        for _ in range(30):
            until(lambda: sum(w["state"] == "spare" for w in d.workers()) == 2, "two spares")
            spares = [w["pid"] for w in d.workers() if w["state"] == "spare"]
            os.kill(next(w["pid"] for w in d.workers() if w["state"] == "idle"), signal.SIGKILL)
            job = c.call("Submit", job={"handler": "echo", "durability": "memory"}, wait=True)
            assert job["job"]["state"] == "succeeded"
            assert job["job"]["attempts"][-1]["pid"] in spares, job


def test_all_workers_at_once():
    """All workers killed at once, again and again: their jobs and others go on."""
    with Daemon({"diag": diag(min_workers=4, poison_deaths=0)}) as d:
        for _ in range(5):
            ids = [d.submit("sleep", {"seconds": 0.1}, max_attempts=20) for _ in range(8)]
            until(lambda: d.pool_status()["busy"] == 4, "all busy")
            for pid in d.pids():
                os.kill(pid, signal.SIGKILL)
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
        until(lambda: d.pool_status()["idle"] == 4, "all are back")


def test_a_stopped_worker():
    """A worker that is stopped (SIGSTOP) is no dead one; at its job's timeout it is killed."""
    with Daemon({"diag": diag(kill_after="100ms")}) as d:
        id = d.submit("sleep", {"seconds": 50}, timeout_usec=300000, max_attempts=1)
        worker = d.worker_of(id)
        os.kill(worker["pid"], signal.SIGSTOP)
        job = d.wait(id)
        assert job["state"] == "failed" and job["attempts"][0]["outcome"] == "timeout", job
        assert not alive(worker["pid"])


@alone
@limit(120)
def test_ten_thousand_jobs_under_fire():
    """10,000 jobs of 0 to 5 ms with a worker killed every 20 ms: all succeed, none runs more
    often than its attempts say."""
    dice = random.Random(20)
    total = 2000 if SANITIZED else 10000
    with Daemon({"count": pool("count", "count.so", min_workers=4, spare_workers=2,
                               poison_deaths=0, backoff="1ms", backoff_max="10ms")},
                log_level="warning") as d:
        marks = d.path("marks")
        os.mkdir(marks)
        stop = threading.Event()
        killed = []

        def shoot():
            with d.connect() as c:
                while not stop.wait(0.02):
                    workers = [w for w in c.call("ListWorkers")["workers"]
                               if w["state"] in ("idle", "busy", "spare")]
                    if workers:
                        victim = dice.choice(workers)["pid"]
                        if os.getpid() in _ancestors(victim):
                            os.kill(victim, signal.SIGKILL)
                            killed.append(victim)

        def _ancestors(pid):
            found = []
            while pid and pid != 1:
                pid = parent_of(pid)
                found.append(pid)
            return found

        shooter = threading.Thread(target=shoot)
        shooter.start()
        try:
            ids = []
            with d.connect(100) as c:
                while len(ids) < total:
                    ids += c.call("SubmitMany", jobs=[
                        {"handler": "count", "max_attempts": 20, "durability": "memory",
                         "args": {"directory": marks, "seconds": dice.random() * 0.005}}
                        for _ in range(500)])["ids"]
                jobs = [r["job"] for r in c.more("WaitMany", ids=ids)]
        finally:
            stop.set()
            shooter.join()
        assert len(jobs) == total
        bad = [j for j in jobs if j["state"] != "succeeded"]
        assert not bad, bad[:2]
        assert len(killed) > 20, len(killed)
        for job in jobs:
            runs = os.path.getsize(os.path.join(marks, job["id"]))
            assert 1 <= runs <= len(job["attempts"]), (runs, job)
            assert [a["number"] for a in job["attempts"]] == list(
                range(1, len(job["attempts"]) + 1))
        assert d.pool_status("count")["deaths"] >= len(killed) * 0.9
        d.call("Status")


@alone
@limit(120)
def test_the_supervisor_is_killed():
    """SIGKILL to the supervisor while handlers spin, commands sleep and a command has daemonized a
    grandchild: everything is gone within 100 ms. 50 times."""
    for round in range(10 if SANITIZED else 50):
        with Daemon({"diag": diag(), "exec": commands()}) as d:
            path, main = d.path("pid"), d.path("main")
            jobs = [d.submit("spin", {"seconds": 100}), d.submit("sleep", {"seconds": 100}),
                    d.submit("exec", {"argv": ["/bin/sh", "-c", DAEMONIZE % path
                                               + "echo $$ >%s; exec sleep 1000" % main]}),
                    d.submit("exec", {"argv": ["sleep", "1000"]})]
            pids = [read_pid(path), read_pid(main)]
            for id in jobs:
                d.worker_of(id)
            tree = d.tree()
            assert set(pids) <= set(tree) and set(d.pids()) <= set(tree)
            watch = Watch(tree)
            d.kill()
            began = time.monotonic()
            left = watch.wait(slow(0.1))
            names = [(p, command_line(p)) for p in left]
            late = watch.wait(5)
            watch.close()
            assert not left, "round %d: alive after %.0f ms: %s (for ever: %s)" % (
                round, (time.monotonic() - began) * 1000, names, late)
            # what a killed daemon leaves in its directories, its successor sweeps
            d.end()


@alone
def test_the_supervisor_is_killed_while_workers_are_born():
    """SIGKILL to the supervisor at any moment of its start leaves nothing."""
    for round in range(20):
        d = Daemon({"diag": diag(min_workers=4), "spawn": pool("celsius", "celsius.so",
                                                               start_method="spawn")},
                   ready=False)
        time.sleep(round * 0.002)  # the moment is the case, not a wait
        tree = d.tree()
        watch = Watch(tree)
        d.kill()
        left = watch.wait(slow(0.5))
        watch.close()
        assert not left, [(p, command_line(p)) for p in left]
        until(lambda: not [p for p in d.marked() if alive(p)], "nothing is left", 1)
        d.end()


def test_a_fork_server_is_killed():
    """Everything below it is ended and reaped, its jobs are retried with that cause, a new one
    is up; another pool does not notice."""
    with Daemon({"diag": diag(), "exec": commands(max_attempts=3)}) as d:
        path = d.path("pid")
        held = d.submit("exec", {"argv": ["/bin/sh", "-c",
                                          DAEMONIZE % path + "exec sleep 1000"]})
        first = read_pid(path)
        id = d.submit("sleep", {"seconds": 0.7})
        worker = d.worker_of(id)
        other = d.pids("exec")
        server = parent_of(worker["pid"])
        below = descendants(server)
        assert server in d.fork_servers() and worker["pid"] in below
        os.kill(server, signal.SIGKILL)
        wait_gone(below, 1)
        job = d.wait(id)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 2, job
        died = job["attempts"][0]
        assert died["outcome"] == "worker_died" and died["signal"] in ("KILL", "SIGKILL"), died
        assert re.search("fork.?server", died["error"] or ""), died
        until(lambda: len(d.fork_servers()) == 2 and server not in d.fork_servers(), "a new one")
        until(lambda: d.pool_status()["idle"] == 2, "its workers are there")
        assert d.pids("exec") == other  # the other pool's are untouched
        assert alive(first)
        # and now the one of exec, with a command and a daemonized grandchild
        os.unlink(path)
        server = parent_of(other[0])
        below = descendants(server)
        assert first in below
        os.kill(server, signal.SIGKILL)
        wait_gone([*below, first], 1)
        again = read_pid(path)
        assert again != first
        until(lambda: not [p for p in d.tree() if not alive(p)], "all zombies are reaped", 2)
        assert len(d.get(held)["attempts"]) == 2
        d.call("Cancel", id=held, force=True)
        d.wait(held)


def test_fork_servers_killed_again_and_again():
    """Ten times the fork server, with jobs under way: nothing is lost, nothing is left."""
    with Daemon({"diag": diag(poison_deaths=0)}) as d, d.steady_descriptors():
        for _ in range(10):
            ids = [d.submit("sleep", {"seconds": 0.05}, max_attempts=30) for _ in range(4)]
            until(d.fork_servers, "a fork server")
            os.kill(d.fork_servers()[0], signal.SIGKILL)
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
        until(lambda: d.pool_status()["idle"] == 2 and len(d.tree()) == 3, "all is as before")


def test_zombies_are_reaped():
    """Dead workers do not stay as zombies."""
    with Daemon() as d:
        for _ in range(5):
            victims = d.pids()
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            until(lambda: not set(victims) & set(d.pids()) and d.pool_status()["idle"] == 2,
                  "replaced")
        until(lambda: len(d.tree()) == 3, "one fork server, two workers")
        assert all(alive(p) for p in d.tree())


def test_children_that_the_daemon_was_born_with_are_left_alone():
    """A shell that starts something and then becomes broodd leaves it a child; the death of a
    fork server, after which broodd ends what falls to it, is none of that child's business."""
    d = Daemon({"diag": diag()}, start=False)
    path = d.path("stranger")
    d.start(command=["/bin/sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >%s; "
                                      'exec "$@"' % path, "sh", *d.command()])
    stranger = read_pid(path)
    try:
        with d:
            server = d.fork_servers()[0]
            os.kill(server, signal.SIGKILL)
            until(lambda: d.fork_servers() not in ([], [server]), "a new fork server")
            assert d.run("echo")["state"] == "succeeded"
            assert alive(stranger)
            os.kill(stranger, signal.SIGKILL)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(stranger, signal.SIGKILL)
