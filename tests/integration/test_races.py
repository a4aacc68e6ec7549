# SPDX-License-Identifier: MIT
"""What meets at the worst moment: cancels, timeouts, deaths and reloads."""

from harness import *


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
