# SPDX-License-Identifier: MIT
"""Python: brood.Client, brood.aio.Client and brood.worker against the daemon."""

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from harness import *

sys.path.insert(0, source("lib", "python"))

import brood  # noqa: E402
import brood.aio  # noqa: E402

# Debian's, or one without a wrapper in front of it: the worker is the process that was started
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) \
    else os.path.realpath(sys.executable)
HANDLERS = ("echo add settings fail flaky nap anap deaf stubborn steps say die child big")


def work(**keys):
    """A pool of handlers.py."""
    given = {"handlers": HANDLERS,
             "command": "%s -m brood.worker %s" % (PYTHON, os.path.join(HERE, "handlers.py")),
             "process": "Environment=PYTHONPATH=%s PYTHONDONTWRITEBYTECODE=1"
                        % source("lib", "python"),
             "min_workers": 2, "spare_workers": 0, "kill_after": slow_span(1), "backoff": "10ms"}
    given.update(keys)
    return pool(**given)


def slow_span(seconds):
    return "%dms" % (slow(seconds) * 1000)


@contextlib.contextmanager
def served(**keys):
    """A daemon with that pool, and a client."""
    with Daemon({"work": work(**keys)}) as d, brood.Client(d.socket_path) as client:
        yield d, client


@contextlib.contextmanager
def raises(kind):
    """Expects an exception; gives a list with it afterwards."""
    caught = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    else:
        raise AssertionError("expected %s" % kind.__name__)


# --- the worker ---

def test_results():
    """Arguments go in as keywords or as a job; results come out as they are."""
    with served(settings="colour=red\nSize=a b") as (d, c):
        assert c.run("add", {"a": 1})["sum"] == 2
        assert c.run("add", {"a": 1, "b": 2.5})["pid"] in d.pids()
        odd = {"text": "ä\U0001f600\n\"", "n": [None, True, -2**63, 1e300], "o": {"": {}}}
        assert c.run("echo", odd) == odd
        assert c.run("echo", [1, 2]) == {"value": [1, 2]}
        assert c.run("settings") == {"colour": "red", "Size": "a b"}
        assert len(c.run("big", {"size": 3 << 20})["text"]) == 3 << 20


def test_errors():
    """An exception is an error with its traceback; Retry, NoRetry and wrong arguments say more."""
    with served() as (d, c):
        with raises(brood.JobFailed) as e:
            c.run("fail", {"message": "no luck"}, max_attempts=2)
        job = e[0].job
        assert job.state == "failed" and job.error == "RuntimeError: no luck", job
        assert [a.outcome for a in job.attempts] == ["error", "error"]
        assert "raise RuntimeError(message)" in job.result["traceback"]
        d.wait_log("RuntimeError: no luck")
        for retry, n in (True, 3), (False, 1):
            with raises(brood.JobFailed) as e:
                c.run("fail", {"message": "so", "retry": retry}, max_attempts=3)
            assert len(e[0].job.attempts) == n and e[0].job.result == {"kept": True}
        for args in {}, {"a": 1, "c": 1}:
            with raises(brood.JobFailed) as e:
                c.run("add", args, max_attempts=3)
            assert len(e[0].job.attempts) == 1 and "argument" in str(e[0]), e[0]
        assert d.pool_status("work")["deaths"] == 0


def test_a_result_that_can_not_be_said():
    """What is no message is an error of the job, and harms no worker."""
    with served() as (d, c):
        with raises(brood.JobFailed) as e:
            c.run("big", {"size": 17 << 20})
        assert "bytes" in str(e[0]) and len(e[0].job.attempts) == 1
        assert d.pool_status("work")["deaths"] == 0


def test_retry():
    """The attempts of a job have their numbers."""
    with served() as (_, c):
        assert c.run("flaky", {"until": 3}, max_attempts=3) == {"attempt": 3}


def test_timeouts():
    """A handler that sleeps is interrupted; one that is deaf is ended, and its worker replaced."""
    with served() as (d, c):
        for handler in "nap", "anap":
            job = c.wait(c.submit(handler, {"seconds": 50}, timeout=0.1, max_attempts=1))
            assert [a.outcome for a in job.attempts] == ["timeout"], job
        assert d.pool_status("work")["deaths"] == 0
        job = c.wait(c.submit("deaf", {"seconds": 50}, timeout=0.1, max_attempts=1))
        assert [a.outcome for a in job.attempts] == ["timeout"], job
        assert c.run("add", {"a": 1})["sum"] == 2


def test_cancel():
    """A handler that sleeps is interrupted, and its worker lives on; one may catch it."""
    with served(min_workers=1) as (d, c):
        before = d.pids()
        for handler in "nap", "anap":
            id = c.submit(handler, {"seconds": 50})
            d.worker_of(id)
            c.cancel(id)
            assert c.wait(id).state == "cancelled"
        id = c.submit("stubborn")
        d.worker_of(id)
        c.cancel(id)
        c.wait(id)
        assert c.run("add", {"a": 1})["sum"] == 2 and d.pids() == before
        id = c.submit("deaf", {"seconds": 50})
        d.worker_of(id)
        c.cancel(id)
        assert c.wait(id).state == "cancelled"
        assert c.run("add", {"a": 1})["sum"] == 2 and d.pids() != before


def test_progress_and_output():
    """Progress is in the record; output goes to whoever follows."""
    with served(min_workers=1) as (d, c):
        id = c.submit("steps", {"n": 4})
        assert c.wait(id).progress == 1.0
        gate = d.path("gate")
        id = c.submit("say", {"pieces": ["one\n", "ä"], "gate": gate})
        pieces = c.follow(id)
        d.worker_of(id)
        d.connect().call("Status")
        opened = threading.Timer(0, lambda: open(gate, "w").close())
        opened.start()
        got = list(pieces)
        opened.join()
        assert "".join(p.text for p in got if p.stream == "stdout") == "one\nä", got
        assert b"".join(p.data for p in got if p.stream == "stderr") == b"\xff\0", got


def test_crashes():
    """A worker that dies costs its job an attempt; the certificate says how."""
    with served() as (d, c):
        for how, status, name in ("7", 7, None), ("abort", None, "ABRT"):
            with raises(brood.JobFailed) as e:
                c.run("die", {"how": how}, max_attempts=2)
            attempts = e[0].job.attempts
            assert [a.outcome for a in attempts] == ["worker_died"] * 2, attempts
            assert attempts[0].exit_status == status and attempts[0].signal == name, attempts
            assert "last words" in attempts[0].stderr_tail
        assert c.run("add", {"a": 1})["sum"] == 2


def test_orphans():
    """What a handler has started is gone with its worker."""
    with served() as (d, c):
        file = d.path("pid")
        id = c.submit("child", {"file": file}, max_attempts=1)
        until(lambda: os.path.exists(file), "a child")
        with open(file, encoding="ascii") as f:
            pid = int(f.read())
        assert alive(pid)
        os.kill(d.worker_of(id)["pid"], signal.SIGKILL)
        assert c.wait(id).attempts[0].signal == "KILL"
        until(lambda: not alive(pid), "its child is gone")


def test_drain_and_stop():
    """A running handler ends before the daemon does."""
    with served() as (d, c):
        id = c.submit("nap", {"seconds": 0.4})
        d.worker_of(id)
        d.signal(signal.SIGTERM)
        assert c.wait(id).state == "succeeded"
        assert d.wait_exit() == 0
        d.prove_clean()


def test_a_killed_daemon():
    """Workers are gone with it, in the middle of a handler; their jobs come back."""
    d = Daemon({"work": work()})
    with brood.Client(d.socket_path) as c:
        id = c.submit("nap", {"seconds": 50}, timeout=100, max_attempts=2)
        worker = d.worker_of(id)["pid"]
        below = d.tree()
        d.kill()
        wait_gone(below, 5)
        assert not alive(worker)
        d.start()
        until(lambda: len(c.get(id).attempts) == 2, "a second attempt")
        assert c.get(id).attempts[0].outcome == "supervisor_died"
        c.cancel(id)
        assert c.wait(id).state == "cancelled"
    d.stop()


def test_a_restart_of_the_pool():
    """Workers leave when new ones are there, and no job notices."""
    with served() as (d, c):
        before = d.pids()
        held = c.submit("nap", {"seconds": 0.5})
        d.worker_of(held)
        c.call("RestartPool", pool="work")
        assert [r["sum"] for r in c.map("add", ({"a": i} for i in range(50)))] == list(range(1, 51))
        assert c.wait(held).state == "succeeded"
        until(lambda: not set(d.pids()) & set(before), "all new")
        assert d.pool_status("work")["deaths"] == 0


def test_a_handler_file_that_is_broken():
    """It says what is wrong on stderr, and the pool's breaker opens."""
    broken = "%s -m brood.worker /nowhere/x.py" % PYTHON
    with Daemon({"work": work(command=broken, handlers="add")}, ready=False) as d:
        d.await_socket()
        d.wait_log("there is no file /nowhere/x.py")
        until(lambda: d.pool_status("work")["state"] == "failed", "the breaker is open", 20)


# --- the client ---

def test_client_submits():
    """submit, submit_many, run with all that a job can be asked for."""
    with Daemon() as d, brood.Client(d.socket_path) as c:
        ticket = c.submit("echo", {"x": 1}, priority=7, tags=["a", "b"], timeout=5, ttl=60, keep=60,
                          max_attempts=2, durability="memory")
        assert isinstance(ticket, str) and not ticket.duplicate
        job = c.wait(ticket)
        assert job.result == job.get() == {"x": 1} and job.ended and job.handler == "echo"
        assert job.spec["timeout_usec"] == 5000000 and job.spec["tags"] == ["a", "b"]
        spec = brood.Spec("echo", {"x": 2})
        assert c.run(spec) == {"x": 2}
        again = c.submit(spec)
        assert again.duplicate and again == spec.id
        first = c.submit("sleep", {"seconds": 50}, unique_key="one")
        assert c.submit("sleep", {"seconds": 50}, unique_key="one").duplicate
        after = c.submit("echo", after=[first])
        assert c.get(after).state == "blocked"
        c.cancel(first)
        assert c.wait(after).state == "cancelled"
        ids = c.submit_many(brood.Spec("echo", {"i": i}) for i in range(10))
        assert [c.wait(id).get()["i"] for id in ids] == list(range(10))
        assert c.submit("echo", delay=60).state == "scheduled"


def test_client_waits():
    """wait and wait_many, in any order and in the one given; the time may be up."""
    with Daemon({"diag": diag(min_workers=4)}) as d, brood.Client(d.socket_path) as c:
        slow_one = c.submit("sleep", {"seconds": 50})
        with raises(brood.WaitTimeout) as e:
            c.wait(slow_one, 0.05)
        assert e[0].id == slow_one and isinstance(e[0], TimeoutError)
        with raises(brood.WaitTimeout) as e:
            c.run("sleep", {"seconds": 50}, wait_timeout=0.05)
        c.cancel(e[0].id)
        ids = [slow_one, *(c.submit("echo", {"i": i}) for i in range(5))]
        some = c.wait_many(ids)
        got = [next(some) for _ in range(5)]
        assert {j.id for j in got} == set(ids[1:])
        assert c.cancel(slow_one, force=True) in ("running", "cancelled")
        assert next(some).id == slow_one and next(some, None) is None
        assert [j.id for j in c.wait_many(ids, ordered=True)] == ids
        assert list(c.wait_many([])) == []


def test_client_asks():
    """get, list, why, status, workers, retry, and any other method by its name."""
    with Daemon() as d, brood.Client(d.socket_path) as c:
        id = c.submit("fail", {"message": "no", "retry": False}, tags=["bad"])
        job = c.wait(id)
        assert job.state == "failed" and job.attempts[0].error == "no"
        assert [j.id for j in c.list(state="failed", tag="bad", handler="fail")] == [id]
        assert c.list(limit=1)[0].id == id and c.list(before=id) == []
        assert c.retry(id) == "queued" and c.wait(id).state == "failed"
        status = c.status()
        assert status.state == "running" and status.pools[0].name == "diag"
        assert status.jobs["failed"] == 1 and status.deaths == ()
        assert {w.pid for w in c.workers("diag")} == set(d.pids()) == {w.pid for w in c.workers()}
        assert c.call("PausePool", pool="diag") == {}
        waiting = c.submit("echo")
        reason = c.why(waiting)
        assert reason.state == "queued" and "pause" in reason.reason, reason
        assert [w.subject for w in c.status().warnings] == ["diag"], c.status()
        c.call("ResumePool", pool="diag")
        assert c.wait(waiting).state == "succeeded"


def test_client_errors():
    """An error reply is an exception of its name, with its parameters."""
    with Daemon({"diag": diag(max_queued=1)}, conf="[Queue]\nMaxArgsSize=1K\n") as d, \
            brood.Client(d.socket_path) as c:
        with raises(brood.NoSuchJob) as e:
            c.get("01890a5d-ac96-774b-bcce-b302099a8057")
        assert e[0].id.startswith("01890a5d") and isinstance(e[0], LookupError)
        with raises(brood.NoSuchHandler) as e:
            c.submit("nothing")
        assert e[0].handler == "nothing"
        with raises(brood.NoSuchPool) as e:
            c.workers("nothing")
        assert e[0].pool == "nothing"
        with raises(brood.NoSuchSemaphore):
            c.submit("echo", semaphores=["nothing"])
        with raises(brood.TooLarge) as e:
            c.submit("echo", {"x": "y" * 2000})
        assert e[0].limit_bytes == 1024
        with raises(brood.InvalidParameter) as e:
            c.submit("echo", priority=5000)
        assert e[0].parameter == "job.priority" and isinstance(e[0], ValueError)
        id = c.submit("echo")
        c.wait(id)
        with raises(brood.WrongState) as e:
            c.retry(id)
        assert (e[0].id, e[0].state) == (id, "succeeded")
        c.call("PausePool", pool="diag")
        c.submit("echo")
        with raises(brood.QueueFull) as e:
            c.submit("echo")
        assert e[0].limit == 1
        with raises(brood.CallError) as e:
            c.call("Nonsense")
        assert e[0].name == "org.varlink.service.MethodNotFound"
        with raises(TypeError):
            c.submit("echo", colour="red")
        with raises(TypeError):
            c.submit("echo", {"x": object()})
        c.call("Resume")
        drained = threading.Thread(target=c.call, args=("Drain",))
        c.call("ResumePool", pool="diag")
        drained.start()
        until(lambda: c.status().state == "draining", "draining")
        with raises(brood.Draining):
            c.submit("echo")
        drained.join()
        c.call("Resume")


def test_client_map():
    """In order or as they end, with no more in flight than the window; a failure in its place."""
    with Daemon({"diag": diag(min_workers=4)}) as d, brood.Client(d.socket_path) as c:
        n = 2000
        assert [r["i"] for r in c.map("echo", ({"i": i} for i in range(n)))] == list(range(n))
        got = sorted(r["i"] for r in c.map("echo", ({"i": i} for i in range(n)), ordered=False))
        assert got == list(range(n))
        assert list(c.map("echo", [])) == list(c.map("echo", [], ordered=False)) == []
        assert [r["value"] for r in c.map("echo", "abc")] == ["a", "b", "c"]
        taken = 0

        def items():
            nonlocal taken
            for taken in itertools.count(1):
                yield {"i": taken}
        for ordered in True, False:
            results = c.map("echo", items(), window=8, ordered=ordered)
            for _ in range(20):
                next(results)
            assert taken <= 20 + 16, taken
            del results
        bad = c.map("fail", [{"message": "a"}] * 3, max_attempts=1)
        for _ in range(3):
            with raises(brood.JobFailed):
                next(bad)
        assert next(bad, None) is None
        jobs = list(c.map_jobs("fail", [{"message": "a"}] * 3, max_attempts=1, ordered=False))
        assert [j.state for j in jobs] == ["failed"] * 3
        with raises(brood.NoSuchHandler):
            list(c.map("nothing", [1]))
        with raises(ValueError):
            c.map("echo", [1], window=0)
        args = ({"x": "y" * 500000} for _ in range(40))  # more than any socket holds
        assert len(list(c.map("echo", args))) == 40


def test_client_streams():
    """follow and watch are iterators; one that is closed holds nobody."""
    with Daemon({"exec": commands(), "diag": diag()}) as d, brood.Client(d.socket_path) as c:
        changes = c.watch(pool="exec", kinds=["job"])
        d.connect().call("Status")
        until(lambda: d.status(), "heard")
        id = c.submit("exec", {"argv": ["sh", "-c", "sleep 0.3; echo out; echo err >&2"]})
        got = {(p.stream, p.text) for p in c.follow(id)}
        assert got == {("stdout", "out\n"), ("stderr", "err\n")}, got
        seen = []
        for change in changes:
            assert change.id == id and change.kind == "job" and change.time_usec > 0
            seen.append(change.state)
            if change.state == "succeeded":
                break
        assert seen[-2:] == ["running", "succeeded"], seen
        changes.close()
        with raises(brood.NoSuchJob):
            list(c.follow("01890a5d-ac96-774b-bcce-b302099a8057"))


def test_client_threads():
    """One client serves many threads, each with a call of its own under way."""
    with Daemon({"diag": diag(min_workers=4)}) as d, brood.Client(d.socket_path) as c:
        wrong = []

        def ask(n):
            for i in range(50):
                if c.run("echo", {"n": n, "i": i}) != {"n": n, "i": i}:
                    wrong.append((n, i))
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong, wrong


def test_client_and_a_new_daemon():
    """Calls that can be repeated are, on a new connection; the others say that it was lost."""
    d = Daemon()
    c = brood.Client(d.socket_path)
    c.status()
    d.kill()
    with raises(brood.Unreachable):
        c.status()
    d.start()
    assert c.status().state == "running"
    assert c.run("echo", {"x": 1}) == {"x": 1}
    id = c.submit("sleep", {"seconds": 50})
    lost = []

    def wait(call):
        try:
            call()
        except brood.BroodError as error:
            lost.append(error)
    threads = [threading.Thread(target=wait, args=(call,)) for call in (
        lambda: c.wait(id), lambda: list(c.watch()))]
    for t in threads:
        t.start()
    until(lambda: d.worker_of(id), "running")
    d.kill()
    for t in threads:
        t.join()
    assert len(lost) == 2 and all(isinstance(e, (brood.ConnectionLost, brood.Unreachable))
                                  for e in lost), lost
    d.start()
    c.cancel(id)
    c.close()
    with raises(ValueError):
        c.status()
    d.stop()


def test_map_outlives_the_daemon():
    """What is unanswered when the daemon dies is submitted again under its ids: nothing is lost,
    and nothing is there twice."""
    for ordered in True, False:
        d = Daemon({"diag": diag(max_attempts=10)})
        with brood.Client(d.socket_path) as c:
            results = c.map_jobs("echo", ({"i": i} for i in range(300)), window=50,
                                 ordered=ordered)
            got = [next(results) for _ in range(100)]
            d.kill()
            d.start()
            got += list(results)
            assert sorted(j.args["i"] for j in got) == list(range(300)), len(got)
            assert len({j.id for j in got}) == 300
        d.stop()


def test_asyncio():
    """The same methods, awaitable; many calls are in flight at once."""
    async def main(d):
        async with brood.aio.Client(d.socket_path, connections=4) as c:
            results = await asyncio.gather(*(c.run("echo", {"i": i}) for i in range(500)))
            assert [r["i"] for r in results] == list(range(500))
            slow_ones = [asyncio.create_task(c.run("sleep", {"seconds": 0.3})) for _ in range(3)]
            assert (await c.status()).state == "running"
            assert (await c.run("echo", {"x": 1})) == {"x": 1}
            await asyncio.gather(*slow_ones)
            ticket = await c.submit("sleep", {"seconds": 50})
            try:
                await c.wait(ticket, 0.05)
                raise AssertionError
            except brood.WaitTimeout as e:
                assert e.id == ticket
            task = asyncio.create_task(c.wait(ticket))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await c.get(ticket)).state in ("queued", "running")
            await c.cancel(ticket)
            assert (await c.wait(ticket)).state == "cancelled"
            assert (await c.retry(ticket)) in ("queued", "running")
            await c.cancel(ticket, force=True)
            assert (await c.why((await c.submit("echo", delay=60)))).state == "scheduled"
            ids = await c.submit_many([brood.Spec("echo", {"i": i}) for i in range(5)])
            assert [j.id async for j in c.wait_many(ids, ordered=True)] == ids
            assert len([j async for j in c.wait_many(ids)]) == 5
            assert {j.id for j in await c.list(handler="echo", limit=5)} & set(ids)
            assert {w.pid for w in await c.workers()} == set(d.pids("diag") + d.pids("exec"))
            try:
                await c.run("fail", {"message": "no"}, max_attempts=1)
                raise AssertionError
            except brood.JobFailed as e:
                assert e.job.error == "no"
            try:
                await c.submit("nothing")
                raise AssertionError
            except brood.NoSuchHandler as e:
                assert e.handler == "nothing"
            assert await c.call("PausePool", pool="diag") == {}
            await c.call("ResumePool", pool="diag")
    with Daemon({"diag": diag(min_workers=4), "exec": commands()}) as d:
        asyncio.run(main(d))


def test_asyncio_iterators():
    """map, follow and watch are asynchronous iterators."""
    async def main(d):
        async with brood.aio.Client(d.socket_path) as c:
            n = 500
            got = [r["i"] async for r in c.map("echo", ({"i": i} for i in range(n)))]
            assert got == list(range(n))
            got = [r["i"] async for r in c.map("echo", ({"i": i} for i in range(n)),
                                               ordered=False)]
            assert sorted(got) == list(range(n))
            jobs = [j async for j in c.map_jobs("fail", [{"message": "a"}] * 3, max_attempts=1)]
            assert [j.state for j in jobs] == ["failed"] * 3
            id = await c.submit("exec", {"argv": ["sh", "-c", "sleep 0.3; echo out"]})

            async def watch():
                return [change.state async for change in take_until(
                    c.watch(kinds=["job"]), lambda x: x.id == id and x.state == "succeeded")]
            watching = asyncio.create_task(watch())
            assert [(p.stream, p.text) async for p in c.follow(id)] == [("stdout", "out\n")]
            assert (await watching)[-1] == "succeeded"
    with Daemon({"diag": diag(min_workers=4), "exec": commands()}) as d:
        asyncio.run(main(d))


async def take_until(iterator, last):
    async for x in iterator:
        yield x
        if last(x):
            return


def test_asyncio_and_a_daemon_that_dies():
    """Everybody who waits hears of it."""
    async def main(d):
        try:
            await brood.aio.connect("/nowhere/sock")
            raise AssertionError
        except brood.Unreachable:
            pass
        async with await brood.aio.connect(d.socket_path) as c:
            waiting = [asyncio.create_task(c.run("sleep", {"seconds": 50})) for _ in range(3)]

            async def watch():
                async for _ in c.watch():
                    pass
            waiting.append(asyncio.create_task(watch()))
            while (await c.status()).jobs["running"] < 2:
                pass
            d.kill()
            for error in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(error, (brood.ConnectionLost, brood.Unreachable)), error
            d.start()
            assert (await c.status()).state == "running"
    d = Daemon()
    asyncio.run(main(d))
    for job in d.call("List")["jobs"]:
        d.call("Cancel", id=job["id"], force=True)
    d.stop()


def test_types():
    """mypy has nothing to say, with --strict."""
    mypy = [PYTHON, "-m", "mypy"]
    done = subprocess.run([*mypy, "--version"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False)
    unless(done.returncode == 0, "mypy is not installed")
    done = subprocess.run([*mypy, "--strict", "--cache-dir=/dev/null",
                           source("lib", "python", "brood")], stdout=subprocess.PIPE, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout
