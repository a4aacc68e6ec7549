# SPDX-License-Identifier: MIT
"""What one user may have of the queue: a flood stops at its limits, and nobody else notices."""

import time

from durable import crash
from harness import *
from users import *

ACCESS = "[Access]\nSubmit=*\n"
POOLS = {"diag": diag(handlers="echo sleep", min_workers=4, max_attempts=1)}
SLEEP = {"handler": "sleep", "args": {"seconds": 600}, "attached": True}


def daemon(limits, **more):
    return Users(conf=ACCESS + limits, pools=POOLS, **more)


def refusal(c, method="Submit", **parameters):
    """The quota and the limit that a call is refused for."""
    try:
        reply = c.call(method, **parameters)
    except VarlinkError as error:
        assert error.name == "QuotaExceeded", error
        return error.parameters["quota"], error.parameters["limit"]
    raise AssertionError("it was not refused: %s" % reply)


def delayed(**more):
    return {"handler": "echo", "delay_usec": 10**9, **more}


def test_jobs_that_have_not_ended():
    """MaxQueued=: one more is refused with its name and number, of SubmitMany all or none; an end
    makes room; others, and root, are not concerned."""
    with daemon("MaxQueued=5\n") as d, d.connect_as(ALICE) as alice, d.connect_as(BOB) as bob, \
            d.connect() as root:
        ids = alice.call("SubmitMany", jobs=[delayed()] * 5)["ids"]
        assert refusal(alice, job=delayed()) == ("queued", 5)
        assert refusal(bob, "SubmitMany", jobs=[delayed()] * 6) == ("queued", 5)
        assert len(bob.call("SubmitMany", jobs=[delayed()] * 5)["ids"]) == 5
        assert len(root.call("SubmitMany", jobs=[delayed()] * 50)["ids"]) == 50
        assert alice.call("Submit", job={**delayed(), "id": ids[0]})["duplicate"]  # no new one
        alice.call("Cancel", id=ids[0])
        until(lambda: alice.call("Get", id=ids[0])["job"]["state"] == "cancelled", "it has ended")
        assert alice.call("Submit", job=delayed())["id"]
        assert refusal(alice, job=delayed()) == ("queued", 5)


def test_they_count_after_a_restart_too():
    """What is in the store is whose it was."""
    with daemon("MaxQueued=3\n") as d:
        with d.connect_as(ALICE) as alice:
            alice.call("SubmitMany", jobs=[delayed()] * 3)
        crash(d)
        d.start()
        with d.connect_as(ALICE) as alice, d.connect_as(BOB) as bob:
            assert refusal(alice, job=delayed()) == ("queued", 3)
            assert bob.call("Submit", job=delayed())["id"]


def test_memory_of_jobs():
    """MaxBytes=: arguments of one user."""
    with daemon("MaxBytes=100K\n") as d, d.connect_as(ALICE) as alice, d.connect_as(BOB) as bob:
        large = delayed(args={"text": "x" * 3000})
        n = 0
        while n < 100:
            try:
                alice.call("Submit", job=large)
            except VarlinkError as error:
                assert error.name == "QuotaExceeded", error
                assert error.parameters == {"quota": "bytes", "limit": 102400}
                break
            n += 1
        assert 25 <= n <= 34, n
        assert bob.call("Submit", job=large)["id"]


def test_how_many_run():
    """MaxRunning=: more wait, blocked, and say why; others run; it holds after a restart, and a
    reload changes it."""
    with daemon("MaxRunning=2\n") as d:
        with d.connect_as(ALICE) as alice, d.connect_as(BOB) as bob:
            ids = [alice.call("Submit", job=SLEEP)["id"] for _ in range(3)]

            def states(c=alice):
                return sorted(c.call("Get", id=id)["job"]["state"] for id in ids)
            until(lambda: states() == ["blocked", "running", "running"], "two of three run", 10)
            waits, = [id for id in ids
                      if alice.call("Get", id=id)["job"]["state"] == "blocked"]
            why = alice.call("Why", id=waits)
            assert why["state"] == "blocked" and "MaxRunning=2" in why["reason"], why
            assert bob.call("Submit", job={"handler": "echo"}, wait=True)["state"] == "succeeded"
            assert alice.call("Get", id=waits)["job"]["state"] == "blocked"
            d.configure(ACCESS + "MaxRunning=3\n")
            until(lambda: states() == ["running"] * 3, "all three run", 10)
            d.configure(ACCESS + "MaxRunning=1\n")
            assert states() == ["running"] * 3  # none is ended for that
            alice.call("Cancel", id=ids[0], force=True)
            alice.call("Cancel", id=ids[1], force=True)
            until(lambda: states() == ["cancelled", "cancelled", "running"], "two have ended", 10)
            more = alice.call("Submit", job=SLEEP)["id"]
            until(lambda: alice.call("Get", id=more)["job"]["state"] == "blocked", "one waits", 10)


def test_how_many_a_second():
    """MaxRate=: a second's worth at once, and then as fast as that; refusals cost nothing."""
    with daemon("MaxRate=10\n") as d, d.connect_as(ALICE) as alice, d.connect_as(BOB) as bob:
        assert refusal(alice, "SubmitMany", jobs=[delayed()] * 11) == ("rate", 10)
        began = time.monotonic()
        alice.call("SubmitMany", jobs=[delayed()] * 10)
        sent = 10
        while time.monotonic() - began < 1.5:
            try:
                alice.call("Submit", job=delayed())
                sent += 1
            except VarlinkError as error:
                assert error.parameters == {"quota": "rate", "limit": 10}, error
            time.sleep(0.005)
        took = time.monotonic() - began
        assert sent <= 10 + 10 * took + 1, (sent, took)
        assert sent >= 12, sent
        assert len(bob.call("SubmitMany", jobs=[delayed()] * 10)["ids"]) == 10
        with d.connect() as root:
            assert len(root.call("SubmitMany", jobs=[delayed()] * 100)["ids"]) == 100


def test_a_flood_leaves_room_for_others():
    """A user who submits without end has his share; another's job runs at once, meanwhile."""
    with daemon("MaxQueued=100\nMaxRunning=3\n") as d, d.connect_as(ALICE) as alice, \
            d.connect_as(BOB) as bob:
        for _ in range(100):
            alice.call("Submit", job=SLEEP)
        for _ in range(20):
            assert refusal(alice, job=SLEEP) == ("queued", 100)
        began = time.monotonic()
        for _ in range(20):
            reply = bob.call("Submit", job={"handler": "echo"}, wait=True)
            assert reply["state"] == "succeeded", reply
        assert time.monotonic() - began < slow(5)


def test_an_unlimited_config_has_no_limits():
    """Nothing set: as before."""
    with daemon("") as d, d.connect_as(ALICE) as alice:
        assert len(alice.call("SubmitMany", jobs=[delayed()] * 1000)["ids"]) == 1000
