# SPDX-License-Identifier: MIT
"""Handlers in Python, as an administrator has them from the packages: no path is set anywhere, and
the service is as closed as it comes."""

import json
import re

from machine import *

LINES = """@handler
def shrink(name, width=100):
    return {"name": name, "pixels": width * width}
"""

POOL = """[Pool]
Module=python.so
Concurrency=process
[Settings]
Import=/srv/photos.py
"""

MODELS = "process", "thread", "subinterpreter"
LOCK = {"process": "", "thread": ", its threads share one lock",
        "subinterpreter": ", (its interpreters share one lock|each interpreter has a lock .*)"}


def photos(m, code, pool=POOL):
    """The packages, a file with handlers, and a pool of it that serves."""
    m.apt("install", *m.packages("python3-brood", "broodd-python"))
    m.write("/srv/photos.py", "from brood.worker import handler\n\n" + code)
    m.pool("photos", pool)
    m.systemctl("reload", SERVICE)
    await_pool(m, pool)


def change(m, pool):
    """Gives the pool another file. No worker of before is left when this returns."""
    old = set(m.workers("photos"))
    m.pool("photos", pool)
    m.systemctl("reload", SERVICE)
    await_pool(m, pool)
    until(lambda: not old & set(m.workers("photos")), "other workers than %s" % old, 20)


def await_pool(m, pool):
    """Waits until the pool says what CPython it has, and whose lock."""
    model = re.search("Concurrency=(.*)", pool).group(1)
    line = "photos: Concurrency=%s, CPython 3[.0-9]+%s\n" % (model, LOCK[model])
    until(lambda: re.search(line, m.ctl("pools").out), lambda: line + m.ctl("pools").out, 20)


def of_model(model, more=""):
    return POOL.replace("=process\n", "=%s\n%s" % (model, more))


def test_three_lines_and_five(m):
    """Three lines of Python and five of a pool file are answered, however they run; it is the word
    after Concurrency= alone that says how."""
    assert LINES.count("\n") == 3 and POOL.count("\n") == 5
    photos(m, LINES)
    m.run("broodctl", "check-config", "/etc/brood")
    for model in MODELS:
        if model != "process":
            change(m, of_model(model))
        assert m.call("shrink", {"name": "a", "width": 3}) == {"name": "a", "pixels": 9}, model
    assert m.call("celsius", {"fahrenheit": 212})["celsius"] == 100


def test_new_code(m):
    """`broodctl restart` brings it. Code that can not be imported is refused, as by a reload, with
    the reason, and the pool goes on with what it had."""
    photos(m, LINES)
    m.write("/srv/photos.py", m.read("/srv/photos.py").replace("width * width", "7"))
    m.ctl("restart", "photos", user="root")
    assert m.call("shrink", {"name": "a"})["pixels"] == 7
    m.write("/srv/photos.py", "import nothing_of_that_name\n")
    wrong = "/srv/photos.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert wrong in m.ctl("restart", "photos", user="root", status=4).err
    m.pool("photos", of_model("thread"))
    m.systemctl("reload", SERVICE, status=1)
    m.await_message(re.escape(wrong) + "; the config in force stays", "-u", SERVICE)
    assert m.call("shrink", {"name": "a"})["pixels"] == 7


# A job waits until it is let go.
HOLD = """import os, sys, threading, time

@handler
def hold():
    while not os.path.exists("/var/lib/brood-worker/go"):
        time.sleep(0.02)
    return {"pid": os.getpid(), "thread": threading.get_native_id(), "modules": id(sys.modules)}
"""
ONE_WORKER = "MinWorkers=1\nSpareWorkers=0\nMaxWorkers=1\nBackoff=10ms\n"


def hold(m, count=1):
    """Jobs that run, so many at once."""
    m.run("rm", "-f", "/var/lib/brood-worker/go")
    jobs = [m.submit("hold") for _ in range(count)]
    for job in jobs:
        m.await_job(job, "running")
    return jobs


def let_go(m, jobs):
    """To their ends. Returns the records."""
    m.write("/var/lib/brood-worker/go", "")
    return [m.await_job(job, "succeeded", seconds=20) for job in jobs]


def outcomes(job):
    return [attempt["outcome"] for attempt in job["attempts"]]


def test_jobs_run_as_the_model_says(m):
    """Three at once: in three processes, three threads of one, or three interpreters of one."""
    photos(m, HOLD, of_model("process", "MinWorkers=3\nSpareWorkers=0\n"))
    for model, expected in ("process", (3, 3)), ("thread", (1, 3)), ("subinterpreter", (1, 3)):
        if model != "process":
            change(m, of_model(model, "Slots=3\n" + ONE_WORKER))
        got = [job["result"] for job in let_go(m, hold(m, 3))]
        pids, threads, modules = (len({r[key] for r in got})
                                  for key in ("pid", "thread", "modules"))
        assert (pids, threads) == expected, (model, got)
        assert model == "process" or modules == (1 if model == "thread" else 3), (model, got)


def test_jobs_outlive_the_daemon(m):
    """All of it is killed while a job runs and two wait: the three are run by what comes next."""
    photos(m, HOLD, of_model("process", ONE_WORKER))
    for model in MODELS:
        if model != "process":
            change(m, of_model(model, ONE_WORKER))
        running, = hold(m)
        waiting = [m.submit("hold") for _ in range(2)]
        old = m.main_pid()
        m.systemctl("kill", "--signal=KILL", SERVICE)
        m.await_new_main(old)
        first, *others = let_go(m, [running, *waiting])
        assert outcomes(first) == ["supervisor_died", "succeeded"], (model, first)
        assert [outcomes(job) for job in others] == [["succeeded"]] * 2, (model, others)


def test_a_worker_that_is_killed(m):
    """Another takes its place, and its job."""
    photos(m, HOLD, of_model("process", ONE_WORKER))
    for model in MODELS:
        if model != "process":
            change(m, of_model(model, ONE_WORKER))
        jobs = hold(m)
        old, = m.workers("photos")
        m.run("kill", "-KILL", str(old))
        job, = let_go(m, jobs)
        assert outcomes(job) == ["worker_died", "succeeded"], (model, job)
        assert job["result"]["pid"] != old, (model, job)


# What the service's closed environment could forbid, and does not.
LIBRARY = """import asyncio, concurrent.futures, ctypes, multiprocessing, sqlite3, ssl, subprocess
import sys, tempfile

def fork(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(abs, [-1])

TRIED = {
    "asyncio": lambda: asyncio.run(asyncio.sleep(0.01, [1])),
    "threads": lambda: list(concurrent.futures.ThreadPoolExecutor(2).map(abs, [-1])),
    "fork": lambda: fork("fork"),
    "spawn": lambda: fork("spawn"),
    "command": lambda: [int(subprocess.run(["echo", "1"], stdout=subprocess.PIPE).stdout)],
    "sqlite": lambda: list(sqlite3.connect(":memory:").execute("select 1").fetchone()),
    "ssl": lambda: [ssl.create_default_context() is not None],
    "tempfile": lambda: [tempfile.TemporaryFile().write(b"1")],
    "callback": lambda: [ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(abs)(-1)],
}

@handler
def tried(what):
    return {"got": TRIED[what]()}
"""


def test_the_library_works_in_the_service(m):
    """Processes, threads, files, foreign functions: what the unit closes is not in their way."""
    photos(m, LIBRARY)
    for model in MODELS:
        if model != "process":
            change(m, of_model(model))
        for what in re.findall(r'"(\w+)": lambda', LIBRARY):
            if model == "subinterpreter" and what == "fork":
                continue  # CPython has no forks of those
            done = m.ctl("submit", "tried", json.dumps({"what": what}), "--wait",
                         "--max-attempts=1", status=None)
            assert done.status == 0 and json.loads(done.out) == {"got": [1]}, (model, what, done)
