# SPDX-License-Identifier: MIT
"""The workers of lib/examples in Go and in JavaScript, against the daemon and by try-worker."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile

from harness import *

CTL = build("daemon", "ctl", "broodctl")
GO_SOURCE = "/usr/share/gocode/src/github.com/varlink/go/varlink/service.go"
EXAMPLES = source("lib", "examples")


@contextlib.contextmanager
def go():
    """The command of the worker in Go, built."""
    unless(shutil.which("go"), "golang-go is not installed")
    unless(os.path.exists(GO_SOURCE), "golang-github-varlink-go-dev is not installed")
    with tempfile.TemporaryDirectory() as directory:
        for path in os.path.join(EXAMPLES, "worker.go"), source("lib", "io.brood.Worker.varlink"):
            shutil.copy(path, directory)
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
               "GOCACHE": os.path.join(directory, "cache")}
        done = subprocess.run(["go", "build", "-o", "worker", "worker.go"], cwd=directory, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=slow(120))
        assert done.returncode == 0, done.stdout
        yield [os.path.join(directory, "worker")]


@contextlib.contextmanager
def javascript():
    node = shutil.which("nodejs") or shutil.which("node")
    unless(node, "nodejs is not installed")
    yield [os.path.realpath(node), os.path.join(EXAMPLES, "worker.js")]


def try_worker(command):
    """All checks are passed, with a handler that takes a while and says how far it is."""
    env = {**os.environ, "BROOD_INTERFACE": source("lib", "io.brood.Worker.varlink")}
    done = subprocess.run([CTL, "--json", "try-worker", "--handler=count", '--args={"to": 20}',
                           "--", *command], stdout=subprocess.PIPE, text=True, env=env,
                          timeout=slow(60))
    rows = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0 and all(row["ok"] for row in rows.values()), rows
    assert "20 before" in rows["more"]["words"], rows["more"]


def suite(command):
    """Results, progress, cancel, timeout, crash, restart, a killed daemon."""
    given = pool("count", command=" ".join(command), min_workers=2, spare_workers=0,
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
    with go() as command:
        suite(command)


def test_go_tried_alone():
    """And try-worker finds no fault in it."""
    with go() as command:
        try_worker(command)


def test_javascript():
    """lib/examples/worker.js does all that a worker has to."""
    with javascript() as command:
        suite(command)


def test_javascript_tried_alone():
    """And try-worker finds no fault in it."""
    with javascript() as command:
        try_worker(command)


def test_they_are_short():
    """Under 80 lines each."""
    for name in "worker.go", "worker.js":
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
            assert len(f.readlines()) < 80, name
