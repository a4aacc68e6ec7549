# SPDX-License-Identifier: MIT
"""What meets at the worst moment: cancels, timeouts, deaths and reloads."""

import contextlib
import os
import signal
import struct
import time

import languages
from harness import *
from test_models import DIAG, HANDLERS, PYTHON
from test_python_module import served
from test_regressions import wait_many


def test_a_timeout_that_a_reload_takes_away():
    """It goes with its job: the next one, which has none, is not ended by it."""
    with Daemon({"diag": diag(min_workers=1, timeout="1s")}) as d:
        first = d.submit("sleep", {"seconds": 0.5})
        d.await_state(first, "running")
        d.write_pool("diag", diag(min_workers=1))
        d.call("Reload")
        assert d.wait(first)["state"] == "succeeded"
        job = d.run("sleep", {"seconds": 0.8})
        assert job["state"] == "succeeded" and len(job["attempts"]) == 1, job


def spin(seconds=0, **spec):
    return {"handler": "spin", "args": {"seconds": seconds}, "durability": "memory", **spec}


def test_force_for_one_that_has_just_begun():
    """A cancel by force that comes when its worker has begun the run, and still holds the answer to
    the one before: it is by force all the same."""
    with Daemon({"diag": diag(min_workers=1, kill_after="60s")}) as d, d.connect() as c:
        for round in range(50):
            wait_many(d, d.call("SubmitMany", jobs=[spin()] * 400)["ids"])  # so they are quick
            id = "0192b1c0-0000-7000-8000-%012x" % round
            c.send("SubmitMany", {"jobs": [spin(), spin(30, id=id)]})
            time.sleep(round % 4 * 0.0001)  # the moment is the case, not a wait
            c.send("Cancel", {"id": id, "force": True})
            c.receive_message()
            if "error" in c.receive_message():  # before it was admitted
                d.call("Cancel", id=id, force=True)
            assert d.wait(id, 5)["state"] == "cancelled"


def test_force_for_one_that_is_over():
    """A cancel by force that comes while its worker holds back the answer does not end the run that
    the worker has begun meanwhile."""
    with Daemon({"diag": diag(min_workers=1, kill_after="60s")}) as d, d.connect() as c:
        for round in range(40):
            wait_many(d, d.call("SubmitMany", jobs=[spin()] * 400)["ids"])  # so they are quick
            first, second = ["0192b1c0-000%d-7000-8000-%012x" % (n, round) for n in range(2)]
            c.send("SubmitMany", {"jobs": [spin(id=first),
                                           spin(0.02, id=second, max_attempts=1)]})
            time.sleep(round % 4 * 0.0001)  # the moment is the case, not a wait
            c.send("Cancel", {"id": first, "force": True})
            c.receive_message()
            c.receive_message()
            assert d.wait(first)["state"] in ("succeeded", "cancelled")
            assert d.wait(second)["state"] == "succeeded"


def page_of(pid):
    """What a worker shares with the daemon."""
    paths = ["/proc/%d/fd/%s" % (pid, fd) for fd in os.listdir("/proc/%d/fd" % pid)]
    path, = [path for path in paths if "memfd:brood-slots" in os.readlink(path)]
    return os.open(path, os.O_RDWR)


def test_force_for_one_that_claims_to_be_over():
    """Who counts on his page what he has not begun gains nothing by it."""
    with Daemon({"diag": diag(min_workers=1, kill_after="60s")}) as d:
        wait_many(d, d.call("SubmitMany", jobs=[spin()] * 400)["ids"])  # so they are quick
        pid, = d.pids()
        page = page_of(pid)
        ids = d.call("SubmitMany", jobs=[spin(30), spin()])["ids"]
        d.await_state(ids[0], "running")
        count, = struct.unpack("I", os.pread(page, 4, 0))
        os.pwrite(page, struct.pack("I", count + 1), 0)
        os.close(page)
        d.call("Cancel", id=ids[0], force=True)
        assert d.wait(ids[0], 5)["state"] == "cancelled"
        wait_gone([pid])


STEP = """
@handler
def step(die=False, load=None, *, job):
    if die:
        job.progress(0.5)
        os._exit(1)
"""


def step(**args):
    return {"handler": "step", "args": args, "durability": "memory", "max_attempts": 1}


def test_the_answers_of_a_worker_that_is_dead():
    """What it had answered is done, also where the rest of its line could not be written any more.
    What a run says takes all answers with it that were ready before."""
    load = "x" * 20000  # of the whole line not all can be written at once
    with served(STEP, breaker_deaths=0) as d, d.connect() as c:
        for _ in range(25):
            wait_many(d, d.call("SubmitMany", jobs=[step()] * 400)["ids"])  # so they are quick
            pid, = d.pids("work")
            os.kill(pid, signal.SIGSTOP)
            c.send("SubmitMany", {"jobs": [step(die=n == 6, load=load) for n in range(40)]})
            time.sleep(0.004)  # it is written, and nothing is taken back yet
            os.kill(d.pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
            with contextlib.suppress(AssertionError):  # too late or too early: it has not died
                wait_gone([pid], 0.2)
            os.kill(d.pid, signal.SIGCONT)
            for job in wait_many(d, c.receive_message()["parameters"]["ids"]):
                died = job["spec"]["args"]["die"]
                assert job["state"] == ("failed" if died else "succeeded"), job
            until(lambda: d.pool_status("work")["idle"] == 1, "there is another one")


def sleep(seconds):
    return {"handler": "sleep", "args": {"seconds": seconds}}


def cancel_all(d, ids):
    """Without waiting for answers."""
    with d.connect() as c:
        for id in ids:
            c.send("Cancel", {"id": id})
        for _ in ids:
            c.receive_message()


def test_as_many_early_cancels_as_there_are_slots():
    """A loop that is busy comes late to its runs: each has been cancelled by then, and hears it."""
    keys = dict(concurrency="async", slots=100, min_workers=1, kill_after="60s")
    with Daemon({"work": diag(**keys)}) as d:
        d.submit("spin", {"seconds": 0.3})
        until(lambda: d.pool_status("work")["busy"] == 1, "it is busy")
        ids = d.call("SubmitMany", jobs=[sleep(60)] * 99)["ids"]
        cancel_all(d, ids)
        assert [d.wait(id, 5)["state"] for id in ids] == ["cancelled"] * 99


def test_as_many_early_cancels_in_python():
    """The thread that hears of cancels may be the first one that Python lets go on."""
    process = "Environment=PYTHONPATH=%s PYTHONDONTWRITEBYTECODE=1" % source("lib", "python")
    keys = dict(command="%s -m brood.worker %s.py" % (PYTHON, DIAG), handlers=HANDLERS,
                concurrency="thread", slots=128, min_workers=1, kill_after="60s", process=process)
    with Daemon({"work": diag(**keys)}) as d:
        pid, = d.pids()
        for _ in range(10):
            os.kill(pid, signal.SIGSTOP)
            ids = d.call("SubmitMany", jobs=[sleep(60)] * 128)["ids"]
            cancel_all(d, ids)
            os.kill(pid, signal.SIGCONT)
            assert [d.wait(id, 5)["state"] for id in ids] == ["cancelled"] * 128
        assert d.pool_status("work")["deaths"] == 0


def cancel_before_it_is_read(command):
    """The arguments are more than the connection holds: the cancel is there before they are."""
    given = pool("count", command=command, min_workers=1, spare_workers=0, kill_after="60s")
    with Daemon({"work": given}) as d:
        pid, = d.pids()
        for _ in range(3):
            os.kill(pid, signal.SIGSTOP)
            id = d.submit("count", {"to": 10**6, "load": "x" * 800000})
            d.call("Cancel", id=id)
            os.kill(pid, signal.SIGCONT)
            assert d.wait(id, 5)["state"] == "cancelled"


def test_a_cancel_before_its_run_in_javascript():
    """lib/examples/worker.js keeps it."""
    cancel_before_it_is_read(languages.node(source("lib", "examples", "worker.js")))


def test_a_cancel_before_its_run_in_go():
    """And so does worker.go."""
    cancel_before_it_is_read(languages.go(source("lib", "examples", "worker.go"),
                                          source("lib", "io.brood.Worker.varlink")))


def test_taken_back_again_and_again():
    """A run that its worker does not come to, and that is taken back each time, costs nothing."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        for _ in range(5):
            wait_many(d, d.call("SubmitMany", jobs=[spin()] * 400)["ids"])  # so they are quick
            pid, = d.pids()
            os.kill(pid, signal.SIGSTOP)
            ids = d.call("SubmitMany", jobs=[spin(max_attempts=1)] * 2)["ids"]
            for _ in range(40):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.012)  # longer than a line waits
                os.kill(pid, signal.SIGCONT)
            for job in wait_many(d, ids):
                assert job["state"] == "succeeded", job
