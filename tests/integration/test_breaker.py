# SPDX-License-Identifier: MIT
"""The breaker of a handler: whose jobs kill their workers, one after the other, has a rest."""

import os
import re
import signal
import time

from durable import *

REST = 5  # seconds, the first time; compiled in


def breaking(**keys):
    """A pool in which three different jobs that kill their worker open the breaker; each of them is
    quarantined by its first death."""
    given = {"breaker_deaths": 3, "poison_deaths": 1, "min_workers": 2, "spare_workers": 2}
    given.update(keys)
    return durable(**given)


def crash_one(d, handler="tally", **spec):
    job = d.run(handler, {"n": 1, "crash": 9}, **spec)
    assert job["state"] == "quarantined", job


def open_breaker(d, n=3):
    for _ in range(n):
        crash_one(d)


def why(d, id):
    return d.call("Why", id=id)


def rests(d, id):
    """What Why says of the rest, as (jobs, seconds left); None: nothing."""
    found = re.search(r"handler 'tally' has a rest: (\d+) jobs in a row killed their workers; one "
                      r"is tried in ((?:(\d+)s)? ?(?:(\d+)ms)?)", why(d, id)["reason"])
    if not found:
        return None
    return int(found[1]), int(found[3] or 0) + int(found[4] or 0) / 1000


def test_it_opens_and_closes():
    """Three different jobs in a row: no other of the handler begins, other handlers go on. After
    the rest one is tried; it is well, and the others run in their order."""
    with breaking(min_workers=1) as d:
        open_breaker(d)
        opened = time.monotonic()
        ids = [d.submit("tally", {"n": n}) for n in range(5)]
        urgent = d.submit("tally", {"n": 9}, priority=5)
        until(lambda: rests(d, ids[0]), "it rests")
        jobs, left = rests(d, ids[0])
        assert jobs == 3 and left <= REST, (jobs, left)
        assert d.run("score", {"n": 4})["result"]["square"] == 16
        assert d.run("score", {"n": 4}, durability="memory")["state"] == "succeeded"
        for id in [*ids, urgent]:
            assert d.get(id)["state"] == "queued" and not begun(d, id)
        for id in [urgent, *ids]:
            assert d.wait(id)["state"] == "succeeded"
        assert time.monotonic() - opened > REST - 1.5
        order = in_order_begun(d, [urgent, *ids])
        assert order[0] == urgent and order == [urgent, *ids], order
        assert d.run("tally", {"n": 2})["state"] == "succeeded"


def test_the_one_that_is_tried_is_one():
    """Only one job is tried, though more workers are idle; while it runs the others wait."""
    with breaking() as d:
        open_breaker(d)
        first = d.submit("tally", {"n": 1, "until": d.path("gate")})
        others = [d.submit("tally", {"n": 2}) for _ in range(3)]
        until(lambda: begun(d, first), "the first is tried", REST + 5)
        assert d.run("score", {"n": 3})["state"] == "succeeded"
        assert not any(begun(d, id) for id in others)
        assert "rest" in why(d, others[0])["reason"], why(d, others[0])
        open_gate(d)
        for id in [first, *others]:
            assert d.wait(id)["state"] == "succeeded"


def test_the_end_of_an_older_job_lets_no_second_one_be_tried():
    """A job that had begun before the breaker opened, and is cancelled while one is tried, says
    nothing of that one: the others go on waiting."""
    with breaking(min_workers=3) as d:
        older = hold(d, "never")
        open_breaker(d)
        first = d.submit("tally", {"n": 1, "until": d.path("gate")})
        other = d.submit("tally", {"n": 2})
        until(lambda: begun(d, first), "the first is tried", REST + 5)
        d.call("Cancel", id=older)
        assert d.wait(older)["state"] == "cancelled"
        for n in range(5):
            assert d.run("score", {"n": n}, durability="memory")["state"] == "succeeded"
        assert not begun(d, other), "two are tried at a time"
        open_gate(d)
        assert d.wait(other)["state"] == "succeeded"


def test_it_opens_for_longer():
    """The one that is tried kills its worker, too: the next rest is twice as long."""
    with breaking() as d:
        open_breaker(d)
        bad = d.submit("tally", {"n": 1, "crash": 9})
        good = d.submit("tally", {"n": 2})
        assert d.wait(bad, REST + 10)["state"] == "quarantined"
        _, left = until(lambda: rests(d, good), "it rests again")
        assert REST < left <= 2 * REST, left
        assert not begun(d, good)
        d.call("Cancel", id=good)
        assert d.wait(good)["state"] == "cancelled"


def test_off():
    """BreakerDeaths=0: it never opens."""
    with breaking(breaker_deaths=0) as d:
        open_breaker(d, 6)
        began = time.monotonic()
        assert d.run("tally", {"n": 3})["state"] == "succeeded"
        assert time.monotonic() - began < slow(REST - 1)


def test_a_success_between_resets():
    """It counts deaths in a row: a job that is well, or fails, starts the count anew."""
    with breaking() as d:
        open_breaker(d, 2)
        assert d.run("tally", {"n": 3})["state"] == "succeeded"
        open_breaker(d, 2)
        assert d.run("tally", {"n": 3, "fail": 1}, max_attempts=1)["state"] == "failed"
        open_breaker(d, 2)
        id = d.submit("tally", {"n": 3})
        assert d.wait(id, REST - 1)["state"] == "succeeded"


def test_one_job_counts_once():
    """A job that goes on killing is one job: it is quarantined, and its handler goes on."""
    with breaking(poison_deaths=4, max_attempts=9) as d:
        job = d.run("tally", {"n": 1, "crash": 9})
        assert job["state"] == "quarantined" and len(job["attempts"]) == 4, job
        id = d.submit("tally", {"n": 3})
        assert d.wait(id, REST - 1)["state"] == "succeeded"


def test_other_handlers_have_counts_of_their_own():
    """Two deaths of one handler and two of another open nothing."""
    with breaking() as d:
        for handler in "tally", "score":
            crash_one(d, handler)
            crash_one(d, handler)
        for handler in "tally", "score":
            id = d.submit(handler, {"n": 3})
            assert d.wait(id, REST - 1)["state"] == "succeeded"


def test_a_worker_that_had_not_begun_does_not_count():
    """Its worker was stopped and killed before it looked at the job: not the job's doing."""
    with breaking(min_workers=1, spare_workers=0) as d:
        open_breaker(d, 2)
        until(lambda: d.pool_status("tally")["idle"] == 1, "a worker")
        worker = d.workers("tally")[0]
        os.kill(worker["pid"], signal.SIGSTOP)
        id = d.submit("tally", {"n": 3, "until": d.path("gate")})
        until(lambda: "is with worker" in why(d, id)["reason"], "the job is with the worker")
        os.kill(worker["pid"], signal.SIGKILL)
        until(lambda: begun(d, id), "it begins", REST - 1)
        assert rests(d, id) is None
        open_gate(d)
        assert d.wait(id)["state"] == "succeeded"


def test_a_restart_closes_it():
    """A new daemon knows nothing of it, and the jobs that were held back run."""
    with breaking() as d:
        open_breaker(d)
        id = d.submit("tally", {"n": 3})
        until(lambda: rests(d, id), "it rests")
        again(d)
        assert d.wait(id, REST - 1)["state"] == "succeeded"


def test_held_back_and_cancelled_or_expired():
    """A job that is held back can be cancelled, and expires; a pause says so first; a drain does
    not wait for it."""
    with breaking() as d:
        open_breaker(d)
        gone = d.submit("tally", {"n": 3})
        late = d.submit("tally", {"n": 3}, ttl_usec=200000)
        kept = d.submit("tally", {"n": 3}, durability="memory")
        until(lambda: rests(d, kept), "it rests")
        d.call("Cancel", id=gone)
        assert d.wait(gone)["state"] == "cancelled"
        assert d.wait(late)["state"] == "expired"
        d.call("PausePool", pool="tally")
        assert why(d, kept)["reason"] == "pool 'tally' is paused"
        d.call("ResumePool", pool="tally")
        d.call("Drain")
        assert "draining" in why(d, kept)["reason"]
        d.call("Resume")
        assert d.wait(kept)["state"] == "succeeded"


def test_with_a_semaphore():
    """A job that waits at a semaphore and for its handler's rest gets both, and gives it back."""
    with breaking(conf="[Semaphores]\nx=1\n") as d:
        holder = d.submit("score", {"n": 1, "until": d.path("gate")}, semaphores=["x"])
        await_begun(d, holder)
        waits = d.submit("tally", {"n": 2}, semaphores=["x"])
        open_breaker(d)
        open_gate(d)
        assert d.wait(holder)["state"] == "succeeded"
        assert d.run("score", {"n": 3}, semaphores=["x"])["state"] == "succeeded"
        assert d.wait(waits)["state"] == "succeeded"
        assert d.run("score", {"n": 3}, semaphores=["x"])["state"] == "succeeded"
