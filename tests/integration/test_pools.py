# SPDX-License-Identifier: MIT
"""Pools: pause, scale, restart, spares, breaker, start methods, and workers that are programs."""

import os
import re
import signal
import sys
import time

from harness import *

# a Python without a wrapper in front of it, so that the worker is the process that was started
PYTHON = os.path.realpath(sys.executable)


def program(mode="", **keys):
    """A pool of worker.py."""
    given = {"handlers": "add nap boom settings",
             "command": "%s %s %s" % (PYTHON, os.path.join(HERE, "worker.py"), mode),
             "min_workers": 1, "spare_workers": 0, "kill_after": "300ms", "backoff": "10ms"}
    given.update(keys)
    return pool(**given)


def test_pause_and_resume():
    """A paused pool takes jobs and runs none; what is running goes on; others do not care."""
    with Daemon({"diag": diag(), "celsius": pool("celsius", "celsius.so", min_workers=1)}) as d:
        running = d.submit("sleep", {"seconds": 0.3})
        d.worker_of(running)
        d.call("PausePool", pool="diag")
        assert d.pool_status()["state"] == "paused"
        id = d.submit("echo")
        assert d.run("celsius", {"fahrenheit": 32})["state"] == "succeeded"
        assert d.wait(running)["state"] == "succeeded"
        assert d.get(id)["state"] == "queued" and d.pool_status()["queued"] == 1
        d.call("PausePool", pool="diag")
        d.call("ResumePool", pool="diag")
        assert d.wait(id)["state"] == "succeeded"
        assert d.pool_status()["state"] == "running"
        d.call("ResumePool", pool="diag")


def test_no_such_pool():
    """Every method that takes a pool says NoSuchPool for one that is not there."""
    with Daemon() as d:
        for method in "PausePool", "ResumePool", "RestartPool":
            with refused("NoSuchPool") as e:
                d.call(method, pool="nothing")
            assert e["pool"] == "nothing"
        with refused("NoSuchPool"):
            d.call("ScalePool", pool="nothing", min_workers=1, max_workers=1)


def test_scale():
    """ScalePool changes the number of workers, up and down, and back at the next reload."""
    with Daemon() as d:
        d.call("ScalePool", pool="diag", min_workers=5, max_workers=5)
        until(lambda: d.pool_status()["idle"] == 5, "five workers")
        held = d.submit("sleep", {"seconds": 0.5})
        busy = d.worker_of(held)
        d.call("ScalePool", pool="diag", min_workers=1, max_workers=1)
        until(lambda: d.pool_status()["workers"] == 1 and len(d.workers()) == 1, "one worker")
        assert d.wait(held)["state"] == "succeeded"
        assert d.get(held)["attempts"][0]["pid"] == busy["pid"]
        assert d.run("echo")["state"] == "succeeded"
        d.call("Reload")
        until(lambda: d.pool_status()["idle"] == 2, "two again")
        assert d.pool_status()["deaths"] == 0


def test_scale_out_of_range():
    """A minimum above the maximum, and numbers below 0, are refused."""
    with Daemon() as d:
        for low, high in (5, 2), (-1, 2), (0, -1), (10**6, 10**6):
            with refused("org.varlink.service.InvalidParameter"):
                d.call("ScalePool", pool="diag", min_workers=low, max_workers=high)
        assert len(d.workers()) == 2


def test_restart():
    """RestartPool replaces fork server and workers, new ones first; jobs go on."""
    with Daemon() as d:
        held = d.submit("sleep", {"seconds": 0.7})
        busy = d.worker_of(held)
        old, servers = d.pids(), d.fork_servers()
        d.call("RestartPool", pool="diag")
        ids = [d.submit("echo") for _ in range(20)]
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        job = d.wait(held)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 1, job
        assert job["attempts"][0]["pid"] == busy["pid"]
        until(lambda: not set(d.pids()) & set(old) and d.pool_status()["idle"] == 2, "all new")
        wait_gone([*old, *servers], 5)
        assert len(d.fork_servers()) == 1
        assert d.pool_status()["deaths"] == 0


def test_restart_has_always_a_worker():
    """While a pool restarts, there is never a moment without a worker."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        for _ in range(5):
            before = d.pids()
            d.call("RestartPool", pool="diag")
            fewest = 1

            def replaced():
                nonlocal fewest
                workers = d.workers()
                ready = [w for w in workers if w["state"] in ("idle", "busy", "spare")]
                fewest = min(fewest, len(ready))
                return ready and not set(before) & {w["pid"] for w in workers}
            until(replaced, "replaced")
            assert fewest == 1


def test_spares():
    """A spare gets no job until it replaces a worker; then a new spare is made."""
    with Daemon({"diag": diag(min_workers=1, spare_workers=1)}) as d:
        until(lambda: d.pool_status()["spare"] == 1, "a spare")
        spare = next(w for w in d.workers() if w["state"] == "spare")
        active = next(w for w in d.workers() if w["state"] == "idle")
        pids = {d.run("echo")["attempts"][0]["pid"] for _ in range(10)}
        assert pids == {active["pid"]}
        ids = [d.submit("sleep", {"seconds": 0.2}) for _ in range(2)]
        assert {d.wait(id)["attempts"][0]["pid"] for id in ids} == {active["pid"]}
        os.kill(active["pid"], signal.SIGKILL)
        assert d.run("echo")["attempts"][-1]["pid"] == spare["pid"]
        until(lambda: d.pool_status()["spare"] == 1 and d.pool_status()["workers"] >= 1,
              "another spare")


def test_breaker():
    """A pool whose workers die before they are ready says so, and the others go on."""
    with Daemon({"bad": program("exit"), "diag": diag()}, ready=False) as d:
        d.await_socket()
        until(lambda: d.pool_status("bad")["state"] == "failed", "the breaker is open")
        assert d.run("echo")["state"] == "succeeded"
        id = d.submit("add", {"a": 1, "b": 2})
        assert d.get(id)["state"] in ("queued", "blocked")
        status = d.pool_status("bad")
        assert status["idle"] == 0 and status["busy"] == 0
        # starts are spread out, not a loop at full speed
        births = len([x for x in d.log().splitlines() if re.search(r"worker=bad\.", x)])
        assert births < 200, births
        d.call("Cancel", id=id)


def test_breaker_and_repair():
    """After the cause is gone, a reload brings the pool back."""
    with Daemon({"work": program("exit")}, ready=False) as d:
        d.await_socket()
        until(lambda: d.pool_status("work")["state"] == "failed", "the breaker is open")
        id = d.submit("add", {"a": 1, "b": 2})
        d.write_pool("work", program())
        d.call("Reload")
        assert d.wait(id)["result"]["sum"] == 3
        assert d.pool_status("work")["state"] == "running"


def test_a_module_that_refuses():
    """Workers whose module refuses to start open the breaker, too."""
    bad = pool("count", "count.so", min_workers=1, spare_workers=0, settings="refuse=worker")
    with Daemon({"count": bad, "diag": diag()}, ready=False) as d:
        d.await_socket()
        until(lambda: d.pool_status("count")["state"] == "failed", "the breaker is open")
        assert d.run("echo")["state"] == "succeeded"


def test_start_timeout():
    """A worker that never answers Prepare is a failed start."""
    with Daemon({"mute": program("mute", start_timeout="200ms"), "diag": diag()}, ready=False) as d:
        d.await_socket()
        until(lambda: d.pool_status("mute")["state"] == "failed", "given up", 20)
        assert d.run("echo")["state"] == "succeeded"


def test_spawn():
    """StartMethod=spawn: a fresh image for each worker, and all the same otherwise."""
    with Daemon({"diag": diag(start_method="spawn")}) as d:
        assert d.pool_status()["start_method"] == "spawn"
        assert d.run("echo", {"x": 1})["result"] == {"x": 1}
        pid = d.pids()[0]
        assert "brood-worker" in os.readlink("/proc/%d/exe" % pid)
        id = d.submit("sleep", {"seconds": 0.4})
        os.kill(d.worker_of(id)["pid"], signal.SIGKILL)
        job = d.wait(id)
        assert job["state"] == "succeeded" and len(job["attempts"]) == 2
        job = d.run("crash", {"signal": "SEGV"}, max_attempts=1)
        assert job["attempts"][0]["signal"] in ("SEGV", "SIGSEGV")
        id = d.submit("spin", {"seconds": 50})
        d.worker_of(id)
        d.call("Cancel", id=id)
        assert d.wait(id)["state"] == "cancelled"
        d.call("RestartPool", pool="diag")
        assert d.run("echo")["state"] == "succeeded"


def test_fork_server_shares_memory():
    """With StartMethod=forkserver a worker is a fork: its parent has the same image."""
    with Daemon() as d:
        pid = d.pids()[0]
        assert os.readlink("/proc/%d/exe" % pid) == os.readlink("/proc/%d/exe" % parent_of(pid))


def test_attributes_of_the_process():
    """[Process] shows in the workers: directory, umask, nice, limits, environment."""
    process = ("WorkingDirectory=/usr\nUMask=0077\nNice=5\nLimitNOFILE=333\nLimitCORE=0\n"
               "NoNewPrivileges=yes\nEnvironment=LANG=C A=1")
    with Daemon({"diag": diag(process=process)}) as d:
        for pid in d.pids():
            assert os.readlink("/proc/%d/cwd" % pid) == "/usr"
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                status = f.read()
            assert re.search(r"^Umask:\s+0077$", status, re.M), status
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
            with open("/proc/%d/limits" % pid, encoding="ascii") as f:
                limits = f.read()
            assert re.search(r"^Max open files\s+333\s+333 ", limits, re.M), limits
            with open("/proc/%d/stat" % pid, encoding="ascii") as f:
                assert f.read().rpartition(")")[2].split()[16] == "5"
        assert d.run("echo")["state"] == "succeeded"


def test_a_program_as_worker():
    """Command=: a program that speaks io.brood.Worker on the socket of LISTEN_FDS."""
    with Daemon({"work": program(min_workers=2, settings="color=red\nSize=a b")}) as d:
        assert d.pool_status("work")["start_method"] == "spawn"
        job = d.run("add", {"a": 1.5, "b": 2})
        assert job["state"] == "succeeded" and job["result"]["sum"] == 3.5
        assert job["result"]["pid"] in d.pids()
        said = d.run("settings")["result"]
        assert said["settings"] == {"color": "red", "Size": "a b"}
        assert said["pool"] == "work" and said["worker"].startswith("work.")
        job = d.run("add", {"a": "x"}, max_attempts=3)  # BadArguments: no retry
        assert job["state"] == "failed" and len(job["attempts"]) == 1
        assert "numbers" in job["attempts"][0]["error"]


def test_a_program_is_cancelled():
    """Cancel comes on the control connection while a run is under way."""
    with Daemon({"work": program()}) as d:
        pids = d.pids()
        id = d.submit("nap", {"seconds": 50})
        d.worker_of(id)
        d.call("Cancel", id=id)
        job = d.wait(id)
        assert job["state"] == "cancelled", job
        job = d.run("nap", {"seconds": 50}, timeout_usec=100000, max_attempts=1)
        assert job["attempts"][0]["outcome"] == "timeout"
        assert d.pids() == pids


def test_a_program_dies():
    """A program's death is known by its signal, with its last words."""
    with Daemon({"work": program()}) as d:
        job = d.run("boom", max_attempts=2)
        assert job["state"] == "failed" and len(job["attempts"]) == 2, job
        for attempt in job["attempts"]:
            assert attempt["outcome"] == "worker_died"
            assert attempt["signal"] in ("KILL", "SIGKILL")
            assert "boom goes the worker" in attempt["stderr_tail"], attempt
        assert d.run("add", {"a": 1, "b": 1})["state"] == "succeeded"


def test_a_program_that_offers_less():
    """A worker that does not offer a handler of its pool is no good worker for it."""
    with Daemon({"work": program("few"), "diag": diag()}, ready=False) as d:
        d.await_socket()
        id = d.submit("nap", {"seconds": 0})
        until(lambda: d.pool_status("work")["state"] == "failed" or "nap" in d.log(), "it is said")
        d.call("Cancel", id=id)
        assert d.run("echo")["state"] == "succeeded"


def nonsense(mode):
    with Daemon({"work": program(mode, poison_deaths=0), "diag": diag()}) as d:
        job = d.run("add", {"a": 1, "b": 1}, max_attempts=3)
        assert job["state"] == "failed" and len(job["attempts"]) == 3, job
        for attempt in job["attempts"]:
            assert attempt["outcome"] == "worker_died" and not alive(attempt["pid"]), attempt
            assert attempt["error"], attempt
        assert len({a["pid"] for a in job["attempts"]}) == 3
        assert d.run("echo")["state"] == "succeeded"
        assert d.pool_status("work")["deaths"] == 3


def test_a_worker_that_speaks_no_json():
    """A worker that answers with what is no JSON is ended, and its job is tried by another."""
    nonsense("garbage")


def test_a_worker_that_answers_a_wrong_type():
    """So is one whose answer does not fit the interface."""
    nonsense("liar")


def test_a_worker_whose_answer_does_not_end():
    """So is one whose message exceeds the limit; memory stays bounded."""
    with Daemon({"work": program("flood", poison_deaths=0), "diag": diag()},
                "[Queue]\nMaxMessageSize=1M\n") as d:
        before = rss(d.pid)
        job = d.run("add", {"a": 1, "b": 1}, max_attempts=2)
        assert job["state"] == "failed" and len(job["attempts"]) == 2, job
        assert {a["outcome"] for a in job["attempts"]} == {"worker_died"}
        assert SANITIZED or rss(d.pid) - before < 16 << 20
        assert d.run("echo")["state"] == "succeeded"


def test_a_worker_tried_alone():
    """A worker can be tried without a daemon: it is only a Varlink service on a socket."""
    import harness
    with Daemon() as d:
        path = d.path("alone.sock")
        listener = listener_at(path)
        code = ("import os, sys; os.dup2(%d, 3); os.environ.update(LISTEN_PID=str(os.getpid()),"
                "LISTEN_FDS='1', LISTEN_FDNAMES='varlink'); os.execv(sys.argv[1], sys.argv[1:])"
                % listener.fileno())
        with harness.Helpers.process([PYTHON, "-c", code, PYTHON, os.path.join(HERE, "worker.py")],
                                     pass_fds=[listener.fileno()]) as process:
            listener.close()
            slot, control = Connection(path), Connection(path)
            got = slot.call("io.brood.Worker.Prepare", pool="p", worker="p.0", generation=1,
                            handlers=["add", "nap"])
            assert got == {"handlers": ["add", "nap"]}
            got = slot.call("io.brood.Worker.Run", id="x", attempt=1, handler="add",
                            args={"a": 2, "b": 3})
            assert got["result"]["sum"] == 5
            slot.send("io.brood.Worker.Run", {"id": "y", "attempt": 1, "handler": "nap",
                                              "args": {"seconds": 50}})
            control.call("io.brood.Worker.Cancel", id="y", attempt=1, reason="cancel")
            with refused("io.brood.Worker.HandlerFailed"):
                try:
                    slot.receive()
                except VarlinkError as error:
                    error.name = error.full_name
                    raise
            control.call("io.brood.Worker.Leave")
            assert process.wait(5) == 0
            slot.close()
            control.close()
        os.unlink(path)


def test_two_pools_do_not_mix():
    """Each job goes to the pool of its handler."""
    with Daemon({"diag": diag(), "work": program()}) as d:
        for _ in range(5):
            assert d.run("echo")["attempts"][0]["pid"] in d.pids("diag")
            assert d.run("add", {"a": 1, "b": 1})["attempts"][0]["pid"] in d.pids("work")


def test_workers_end_when_the_pool_is_removed():
    """A pool whose file is gone ends with the next reload; its jobs are not left hanging."""
    with Daemon({"diag": diag(), "work": program()}) as d:
        old = d.pids("work")
        os.unlink(d.path("config/pools/work.pool"))
        d.call("Reload")
        wait_gone(old, 5)
        until(lambda: [p["name"] for p in d.status()["pools"]] == ["diag"], "the pool is gone")
        with refused("NoSuchHandler"):
            d.submit("add", {"a": 1, "b": 1})
        assert d.run("echo")["state"] == "succeeded"
