# SPDX-License-Identifier: MIT
"""Daemons that are killed and come back, with handlers that count what they execute.

The handlers are those of tests/torture/torture.c; they write each beginning and each end of an
execution down at once, so that what was executed is known whoever died.
"""

import glob
import os
import re
import subprocess
import sys
import time

from harness import *

sys.path.append(os.path.join(HERE, "..", "torture"))

from judge import Tallies

HOUR = 3600 * 10**6


def durable(pools=None, conf="", start=True, env=None, **keys):
    """A daemon with a pool `tally`, whose keys are given, and perhaps others."""
    d = Daemon({}, conf=conf, start=False, env=env)
    try:
        os.mkdir(d.path("tallies"))
        write_tally(d, **keys)
        for name, text in (pools or {}).items():
            d.write_pool(name, text)
        if start:
            d.start()
    except BaseException:
        d.end()
        raise
    return d


def write_tally(d, name="tally", handlers="tally score", **keys):
    """A pool of the counting handlers."""
    given = {"min_workers": 2, "spare_workers": 0, "kill_after": "200ms", "backoff": "10ms"}
    given.update(keys)
    return d.write_pool(name, pool(handlers, build("tests", "torture", "torture.so"),
                                   settings="directory=" + d.path("tallies"), **given))


def crash(d):
    """SIGKILL to the daemon; returns when everything below it is gone too."""
    tree = d.tree()
    d.disconnect()
    d.kill()
    wait_gone(tree)
    drop_torn_reports(d)


def drop_torn_reports(d):
    """A process that dies while a sanitizer looks for leaks in it leaves a file that says so."""
    for name in glob.glob(d.path("sanitizer*")):
        with open(name, encoding="utf-8", errors="replace") as f:
            if not re.search(r"ERROR: \w+Sanitizer|runtime error:", f.read()):
                os.unlink(name)


def again(d, ready=True):
    """SIGKILL, and a new daemon in its place."""
    crash(d)
    d.start(ready=ready)
    if not ready:
        d.await_socket()


def tallies(d):
    return Tallies(d.path("tallies"))


def begun(d, id):
    """The numbers of the attempts that were executed."""
    return [attempt for attempt, _ in sorted(tallies(d).begins.get(id, []), key=lambda x: x[1])]


def ended(d, id):
    """The numbers of the attempts that were executed to their ends."""
    return [attempt for attempt, _ in tallies(d).ends.get(id, [])]


def await_begun(d, id, attempt=1):
    """Waits until a handler has begun this attempt."""
    until(lambda: attempt in begun(d, id), "attempt %d of %s" % (attempt, id))


def in_order_begun(d, ids):
    """The ids in the order in which their last executions began."""
    times = {id: max(usec for _, usec in lines) for id, lines in tallies(d).begins.items()}
    return sorted(ids, key=lambda id: times[id])


def hold(d, gate="gate", **spec):
    """A job that runs until the gate is opened; returns its id when it has begun."""
    id = d.submit("tally", {"n": 3, "until": d.path(gate)}, **spec)
    await_begun(d, id)
    return id


def open_gate(d, gate="gate"):
    d.write(gate, "")


def numbers(job):
    return [a["number"] for a in job["attempts"]]


def outcomes(job):
    return [a["outcome"] for a in job["attempts"]]


def is_known(d, id):
    try:
        d.get(id)
    except VarlinkError as error:
        assert error.name == "NoSuchJob", error
        return False
    return True


def await_clock(usec):
    """Waits until it is this time, in microseconds since the epoch."""
    until(lambda: time.time() * 1e6 >= usec, "the time %d" % usec,
          max(1, usec / 1e6 - time.time() + 1))


def check_store(d):
    """What broodctl has to say of the database must be that it is sound."""
    check = subprocess.run([build("daemon", "ctl", "broodctl"), "check-store", d.path("state")],
                           env=d.environment(), stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=slow(60), check=False)
    assert check.returncode == 0, (check.returncode, check.stdout, check.stderr)
