# SPDX-License-Identifier: MIT
"""The workers of lib/examples in Go and in JavaScript, against the daemon and by try-worker."""

import json
import os
import signal
import subprocess

import languages
from harness import *
from test_models import cancel_at_once

CTL = build("daemon", "ctl", "broodctl")
EXAMPLES = source("lib", "examples")


def go():
    """The command of the worker in Go, built."""
    return languages.go(os.path.join(EXAMPLES, "worker.go"),
                        source("lib", "io.brood.Worker.varlink"))


def javascript():
    return languages.node(os.path.join(EXAMPLES, "worker.js"))


def try_worker(command):
    """All checks are passed, with a handler that takes a while and says how far it is."""
    env = {**os.environ, "BROOD_INTERFACE": source("lib", "io.brood.Worker.varlink")}
    done = subprocess.run([CTL, "--json", "try-worker", "--handler=count", '--args={"to": 20}',
                           "--", *command.split()], stdout=subprocess.PIPE, text=True, env=env,
                          timeout=slow(60))
    rows = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0 and all(row["ok"] for row in rows.values()), rows
    assert "20 before" in rows["more"]["words"], rows["more"]


def suite(command):
    """Results, progress, cancel, timeout, crash, restart, a killed daemon."""
    given = pool("count", command=command, min_workers=2, spare_workers=0,
                 kill_after="%dms" % (slow(2) * 1000), backoff="10ms")
    d = Daemon({"work": given})
    odd = {"to": 0, "text": "ä\U0001f600\n\"", "list": [None, True, 0.5, {"": {}}]}
    job = d.run("count", odd)
    assert job["result"]["args"] == odd and job["result"]["pid"] in d.pids()
    job = d.run("count", {"to": 5})
    assert job["result"]["counted"] == 5 and job["progress"] == 0.8, job
    id = d.submit("count", {"to": 10**6})
    d.worker_of(id)
    until(lambda: (d.get(id).get("progress") or 0) > 0, "it says how far it is")
    d.call("Cancel", id=id)
    assert d.wait(id)["state"] == "cancelled"
    cancel_at_once(d, "count", {"to": 10**6})
    job = d.run("count", {"to": 10**6}, timeout_usec=200000, max_attempts=1)
    assert [a["outcome"] for a in job["attempts"]] == ["timeout"], job
    assert d.pool_status("work")["deaths"] == 0, d.log()
    id = d.submit("count", {"to": 50}, max_attempts=2)
    os.kill(d.worker_of(id)["pid"], signal.SIGKILL)
    job = d.wait(id)
    assert [a["outcome"] for a in job["attempts"]] == ["worker_died", "succeeded"], job
    before = d.pids()
    held = d.submit("count", {"to": 50})
    d.worker_of(held)
    d.call("RestartPool", pool="work")
    assert d.wait(held)["state"] == "succeeded" and len(d.get(held)["attempts"]) == 1
    until(lambda: not set(d.pids()) & set(before), "all new")
    id = d.submit("count", {"to": 10**6})
    d.worker_of(id)
    below = d.tree()
    d.kill()
    wait_gone(below, 5)
    d.start()
    d.call("Cancel", id=id)
    d.wait(id)
    d.stop()


def test_go():
    """lib/examples/worker.go does all that a worker has to."""
    suite(go())


def test_go_tried_alone():
    """And try-worker finds no fault in it."""
    try_worker(go())


def test_javascript():
    """lib/examples/worker.js does all that a worker has to."""
    suite(javascript())


def test_javascript_tried_alone():
    """And try-worker finds no fault in it."""
    try_worker(javascript())


def test_they_are_short():
    """Under 80 lines each."""
    for name in "worker.go", "worker.js":
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
            assert len(f.readlines()) < 80, name
