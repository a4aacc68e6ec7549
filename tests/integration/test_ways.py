# SPDX-License-Identifier: MIT
"""A worker that breaks the protocol is told apart from one that fails honestly, by the daemon and
by broodctl try-worker; and the daemon never suffers."""

import concurrent.futures
import json
import os
import re
import subprocess
import sys

from harness import *
from ways import HONEST, WAYS

PYTHON = os.path.realpath(sys.executable)
CTL = build("daemon", "ctl", "broodctl")


def command(way, handler):
    return [PYTHON, os.path.join(HERE, "ways.py"), way, handler]


def handler_of(way):
    return "h-" + way


def bad_pool(way, **keys):
    given = {"handlers": handler_of(way), "command": " ".join(command(way, handler_of(way))),
             "min_workers": 1, "spare_workers": 0, "backoff": "10ms", "kill_after": "100ms",
             "poison_deaths": 0}
    given.update(keys)
    return pool(**given)


def test_there_are_25_ways():
    """And more."""
    assert len(WAYS) >= 25, len(WAYS)
    assert len({way.act for way in WAYS.values()}) == len(WAYS)


def wrong_at_runs():
    return [name for name, way in WAYS.items() if way.when in ("run", "more")]


@limit(200)
def test_the_daemon_at_runs():
    """Each attempt has a certificate that says so; the next one is another worker's; jobs of other
    pools run as if nothing was."""
    names = [*wrong_at_runs(), *HONEST]
    for part in range(0, len(names), 10):
        run_in_bad_company(names[part:part + 10])


def run_in_bad_company(names):
    pools = {"p%d" % i: bad_pool(name) for i, name in enumerate(names)}
    with Daemon({**pools, "diag": diag()}) as d, d.steady_descriptors():
        ids = {name: d.submit(handler_of(name), max_attempts=2,
                              **({"timeout_usec": int(slow(0.3) * 1e6)} if daemon_waits(name)
                                 else {})) for name in names}
        echoes = [d.submit("echo", {"i": i}) for i in range(200)]
        assert all(d.wait(id)["state"] == "succeeded" for id in echoes)
        for name in names:
            check_certificates(name, d.wait(ids[name], 30))
        until(lambda: all(p["idle"] for p in d.status()["pools"]), "all pools are whole", 30)


def daemon_waits(name):
    return {**WAYS, **HONEST}[name].daemon is None


def check_certificates(name, job):
    way = {**WAYS, **HONEST}[name]
    if name == "twice":  # the first of the two was a good answer
        assert job["state"] == "succeeded", job
        return
    assert job["state"] == "failed", (name, job)
    attempts = job["attempts"]
    assert len(attempts) == (1 if name == "honest-arguments" else 2), (name, attempts)
    for attempt in attempts:
        if daemon_waits(name):
            assert attempt["outcome"] == "timeout", (name, attempt)
            continue
        assert re.search(way.daemon, attempt["error"]), (name, attempt)
        honest = name in ("honest-error", "honest-arguments")
        assert attempt["outcome"] == ("error" if honest else "worker_died"), (name, attempt)
        assert (way.daemon == "broke the protocol") == ("broke the protocol" in attempt["error"]), \
            (name, attempt)
    if not honest_lives(name):
        assert attempts[0]["pid"] != attempts[-1]["pid"], (name, attempts)


def honest_lives(name):
    return name in ("honest-error", "honest-arguments")


@limit(120)
def test_the_daemon_at_starts():
    """A worker that breaks it before it is ready is a failed start, and the log says how; others do
    not care."""
    names = [name for name in WAYS if name not in wrong_at_runs()]
    pools = {"p%d" % i: bad_pool(name, start_timeout="300ms" if name == "prepare-silence"
                                 else "20s") for i, name in enumerate(names)}
    with Daemon({**pools, "diag": diag()}, ready=False) as d:
        d.await_socket()
        with d.steady_descriptors():
            for i, name in enumerate(names):
                d.wait_log(r"worker=p%d\.0 .*died: .*(%s)" % (i, WAYS[name].daemon), 30)
            echoes = [d.submit("echo", {"i": i}) for i in range(200)]
            assert all(d.wait(id)["state"] == "succeeded" for id in echoes)
            for i, name in enumerate(names):
                if name != "unasked":
                    assert d.pool_status("p%d" % i)["idle"] == 0, name
                d.call("ScalePool", pool="p%d" % i, min_workers=0, max_workers=0)
            until(lambda: not any(w["name"].startswith("p") for w in d.workers()), "all gone", 30)


def try_worker(*argv, options=()):
    """Exit status, and {check: (ok, words)}."""
    done = subprocess.run([CTL, "--json", "try-worker", *options, "--", *argv],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, timeout=slow(60))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {row["check"]: (row["ok"], row["words"]) for row in rows}


@limit(200)
def test_try_worker_names_each_way():
    """The check that it breaks, in words that say how; no other process is left."""
    def one(item):
        name, way = item
        status, checks = try_worker(*command(name, "h"), options=[
            "--handler=h", "--timeout=%dms" % (slow(1) * 1000)])
        return name, way, status, checks
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        for name, way, status, checks in threads.map(one, [*WAYS.items(), *HONEST.items()]):
            if way.check is None:
                bad = {c: v for c, v in checks.items() if v[0] is False and c != "introspection"}
                assert not bad, (name, bad)
                assert "honest" in checks["run"][1]
                continue
            ok, words = checks[way.check]
            assert status == 1 and ok is False and re.search(way.words, words), (name, checks)


def test_try_worker_and_a_good_one():
    """All checks are passed, each has a line; without --handler= the first one offered is run."""
    env = {**os.environ, "PYTHONPATH": source("lib", "python")}
    argv = [PYTHON, "-m", "brood.worker", os.path.join(HERE, "handlers.py")]
    for options in [], ["--handler=add", '--args={"a": 1}'], ["--handler=nap",
                                                              '--args={"seconds": 0.2}']:
        done = subprocess.run([CTL, "try-worker", *options, "--", *argv], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=slow(60), env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        assert re.search(r"^ok +handlers .*\(%s\)$" % (
            options[0][10:] if options else "echo, add, .*, big"), done.stdout, re.M), done.stdout
        assert len(lines) >= 15 and all(line.startswith("ok ") for line in lines), done.stdout
        assert "0 of the checks failed" in done.stderr


def test_try_worker_usage():
    """No command, arguments that are no object, an option of others: 2; no such program: 1."""
    def status(*argv):
        return subprocess.run([CTL, "try-worker", *argv], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=slow(20))
    assert status().returncode == 2
    assert status("--args=[1]", "--", "true").returncode == 2
    assert status("--args={", "--", "true").returncode == 2
    assert status("--pool=x", "--", "true").returncode == 2
    done = status("--", "/nowhere/worker")
    assert done.returncode == 1 and "no program '/nowhere/worker'" in done.stderr, done.stderr


def test_try_worker_finds_what_is_left():
    """A process that the worker leaves behind is named, and ended."""
    script = ("import os, subprocess, sys; subprocess.Popen(['sleep', '1000'], "
              "start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
              "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])")
    env = {**os.environ, "PYTHONPATH": source("lib", "python")}
    done = subprocess.run([CTL, "--json", "try-worker", "--", PYTHON, "-c", script, "-m",
                           "brood.worker", os.path.join(HERE, "handlers.py")],
                          stdout=subprocess.PIPE, text=True, timeout=slow(60), env=env)
    rows = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1 and not rows["nothing-left"]["ok"], rows
    assert [c for c, row in rows.items() if not row["ok"]] == ["nothing-left"], rows
