# SPDX-License-Identifier: MIT
"""What meets at the worst moment: cancels, timeouts, deaths and reloads."""

import time

from harness import *
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
        for round in range(60):
            wait_many(d, d.call("SubmitMany", jobs=[spin()] * 400)["ids"])  # so they are quick
            id = "0192b1c0-0000-7000-8000-%012x" % round
            c.send("SubmitMany", {"jobs": [spin(), spin(30, id=id)]})
            time.sleep(round % 4 * 0.0001)  # the moment is the case, not a wait
            c.send("Cancel", {"id": id, "force": True})
            c.receive_message()
            c.receive_message()
            assert d.wait(id, 5)["state"] == "cancelled"
