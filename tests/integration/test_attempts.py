# SPDX-License-Identifier: MIT
"""Attempts: backoff, Retry, timeouts, Cancel and its ladder, attached jobs."""

import time

from harness import *


def took(job):
    """Seconds from the Submit to the end."""
    return (job["ended_usec"] - job["submitted_usec"]) / 1e6


def numbers(job):
    return [a["number"] for a in job["attempts"]]


def test_max_attempts():
    """A job that fails is tried as often as its budget says, with growing numbers."""
    with Daemon() as d:
        job = d.run("fail", {"message": "again"}, max_attempts=4)
        assert job["state"] == "failed" and numbers(job) == [1, 2, 3, 4], job
        assert all(a["outcome"] == "error" and a["error"] == "again" for a in job["attempts"])


def test_max_attempts_of_the_pool():
    """MaxAttempts= of the pool holds where the job does not say."""
    with Daemon({"diag": diag(max_attempts=2)}) as d:
        assert numbers(d.run("fail")) == [1, 2]
        assert numbers(d.run("fail", max_attempts=1)) == [1]
        assert numbers(d.run("fail", max_attempts=3)) == [1, 2, 3]


@alone
def test_backoff_doubles():
    """The wait before each attempt doubles, up to BackoffMax=, give or take its jitter."""
    with Daemon({"diag": diag(backoff="100ms", backoff_max="250ms")}) as d:
        job = d.run("fail", max_attempts=4)
        times = [(a["started_usec"], a["ended_usec"]) for a in job["attempts"]]
        gaps = [(times[i + 1][0] - times[i][1]) / 1e6 for i in range(3)]
        assert 0.05 <= gaps[0] <= 0.2 + slow(0.1), gaps
        assert 0.1 <= gaps[1] <= 0.4 + slow(0.1), gaps
        assert 0.1 <= gaps[2] <= 0.5 + slow(0.1), gaps
        assert gaps[2] <= gaps[0] * 6 + slow(0.1)


def test_a_job_in_backoff_is_scheduled():
    """While it waits for its next attempt it is scheduled, with a reason."""
    with Daemon({"diag": diag(backoff="30s")}) as d:
        id = d.submit("fail", max_attempts=2)
        job = d.await_state(id, "scheduled")
        assert len(job["attempts"]) == 1 and job["reason"], job
        assert d.pool_status()["scheduled"] == 1
        assert d.call("Cancel", id=id)["state"] == "cancelled"
        assert numbers(d.get(id)) == [1]


def test_a_retry_keeps_its_place():
    """Age counts from when a job was first ready: a retry goes before younger jobs."""
    with Daemon({"diag": diag(min_workers=1, backoff="1ms")}) as d:
        first = d.submit("fail", max_attempts=2)
        ids = [d.submit("sleep", {"seconds": 0.05}) for _ in range(20)]
        job = d.wait(first)
        later = [d.wait(id) for id in ids]
        assert numbers(job) == [1, 2]
        before = [j for j in later if j["started_usec"] < job["attempts"][1]["started_usec"]]
        assert len(before) <= 3, len(before)


def test_retry():
    """Retry puts a failed job back with a new budget; the numbers of its attempts go on."""
    with Daemon() as d:
        id = d.run("fail", max_attempts=2)["id"]
        reply = d.call("Retry", id=id)
        assert reply["state"] in ("queued", "running")
        job = d.wait(id)
        assert job["state"] == "failed" and numbers(job) == [1, 2, 3, 4], job
        d.call("Retry", id=id)
        assert numbers(d.wait(id)) == [1, 2, 3, 4, 5, 6]


def test_retry_of_cancelled_and_expired():
    """Retry works for cancelled and expired jobs as well."""
    with Daemon() as d:
        id = d.submit("echo", {"x": 1}, delay_usec=10**10)
        d.call("Cancel", id=id)
        assert d.wait(id)["state"] == "cancelled"
        d.call("Retry", id=id)
        job = d.wait(id)
        assert job["state"] == "succeeded" and job["result"] == {"x": 1}
        id = d.run("echo", delay_usec=10**10, ttl_usec=1000)["id"]
        assert d.get(id)["state"] == "expired"
        d.call("Retry", id=id)
        assert d.wait(id)["state"] in ("succeeded", "expired")


def test_retry_of_what_has_not_failed():
    """Retry of a job that runs, waits or succeeded is WrongState."""
    with Daemon() as d:
        done = d.run("echo")["id"]
        with refused("WrongState") as e:
            d.call("Retry", id=done)
        assert e == {"id": done, "state": "succeeded"}
        waits = d.submit("echo", delay_usec=10**10)
        with refused("WrongState") as e:
            d.call("Retry", id=waits)
        assert e["state"] == "scheduled"
        d.call("Cancel", id=waits)


def test_retry_true_and_false():
    """A handler says whether trying again has a point."""
    with Daemon() as d:
        assert numbers(d.run("fail", {"retry": True}, max_attempts=3)) == [1, 2, 3]
        assert numbers(d.run("fail", {"retry": False}, max_attempts=3)) == [1]


@alone
def test_soft_timeout():
    """A handler that hears is asked at its timeout; its worker lives, its attempt says timeout."""
    with Daemon() as d:
        pids = d.pids()
        job = d.run("sleep", {"seconds": 50}, timeout_usec=150000, max_attempts=1)
        assert job["state"] == "failed", job
        attempt, = job["attempts"]
        assert attempt["outcome"] == "timeout"
        ran = (attempt["ended_usec"] - attempt["started_usec"]) / 1e6
        assert 0.14 <= ran < 0.15 + slow(0.15), ran
        assert d.pids() == pids and d.pool_status()["deaths"] == 0


@alone
def test_hard_timeout():
    """A handler that does not hear loses its worker, rung by rung; a new one is there at once."""
    with Daemon({"diag": diag(kill_after="150ms")}) as d:
        pids = d.pids()
        job = d.run("spin", {"seconds": 50}, timeout_usec=100000, max_attempts=1)
        assert job["state"] == "failed", job
        attempt, = job["attempts"]
        assert attempt["outcome"] == "timeout", attempt
        assert attempt["signal"] in ("TERM", "KILL", "SIGTERM", "SIGKILL"), attempt
        ran = (attempt["ended_usec"] - attempt["started_usec"]) / 1e6
        assert 0.24 <= ran < 0.1 + 3 * 0.15 + slow(0.3), ran
        assert not alive(attempt["pid"]) and attempt["pid"] in pids
        until(lambda: len(d.pids()) == 2 and attempt["pid"] not in d.pids(), "a new worker")
        assert d.run("echo")["state"] == "succeeded"


def test_timeout_of_the_pool():
    """Timeout= of the pool holds where the job does not say; 0 means none."""
    with Daemon({"diag": diag(timeout="150ms", max_attempts=1)}) as d:
        job = d.run("sleep", {"seconds": 50})
        assert job["attempts"][0]["outcome"] == "timeout"
        assert d.run("sleep", {"seconds": 0.4}, timeout_usec=10**9)["state"] == "succeeded"


def test_a_timeout_is_tried_again():
    """An attempt that timed out is followed by another, if the budget allows."""
    with Daemon() as d:
        job = d.run("sleep", {"seconds": 50}, timeout_usec=50000, max_attempts=3)
        assert job["state"] == "failed"
        assert [a["outcome"] for a in job["attempts"]] == ["timeout"] * 3


def test_cancel_a_queued_job():
    """A job that has not started is cancelled at once, and never runs."""
    with Daemon() as d:
        held = [d.submit("sleep", {"seconds": 50}) for _ in range(2)]
        until(lambda: d.pool_status()["busy"] == 2, "busy")
        id = d.submit("echo")
        assert d.call("Cancel", id=id)["state"] == "cancelled"
        job = d.get(id)
        assert job["state"] == "cancelled" and job["attempts"] == [] and job["ended_usec"]
        for h in held:
            d.call("Cancel", id=h)
        assert d.wait(id)["state"] == "cancelled"


@alone
def test_cancel_a_running_job_that_hears():
    """sleep answers the Cancel: its worker lives."""
    with Daemon() as d:
        pids = d.pids()
        id = d.submit("sleep", {"seconds": 50})
        d.worker_of(id)
        began = time.monotonic()
        assert d.call("Cancel", id=id)["state"] in ("running", "cancelled")
        job = d.wait(id)
        assert time.monotonic() - began < slow(0.15)
        assert job["state"] == "cancelled" and job["attempts"][0]["outcome"] == "cancelled", job
        assert d.pids() == pids


@alone
def test_cancel_a_running_job_that_does_not_hear():
    """spin does not answer: its worker is killed, rung by rung, KillAfter= apart."""
    with Daemon({"diag": diag(kill_after="150ms")}) as d:
        id = d.submit("spin", {"seconds": 50})
        worker = d.worker_of(id)
        began = time.monotonic()
        assert d.call("Cancel", id=id)["state"] == "running"
        job = d.wait(id)
        ran = time.monotonic() - began
        assert job["state"] == "cancelled" and job["attempts"][0]["outcome"] == "cancelled", job
        assert 0.14 <= ran < 0.45 + slow(0.3), ran
        assert not alive(worker["pid"])
        until(lambda: len(d.pids()) == 2, "a new worker")
        assert d.run("spin", {"seconds": 0.01})["state"] == "succeeded"


def test_cancel_by_force():
    """force skips the polite rungs."""
    with Daemon({"diag": diag(kill_after="20s")}) as d:
        for handler in "spin", "sleep":
            id = d.submit(handler, {"seconds": 50})
            worker = d.worker_of(id)
            began = time.monotonic()
            d.call("Cancel", id=id, force=True)
            job = d.wait(id)
            assert job["state"] == "cancelled", job
            assert time.monotonic() - began < slow(1)
            assert not alive(worker["pid"])
        until(lambda: len(d.pids()) == 2, "both are replaced")


def test_cancel_and_then_force():
    """A cancel that takes too long can be forced."""
    with Daemon({"diag": diag(kill_after="20s")}) as d:
        id = d.submit("spin", {"seconds": 50})
        d.worker_of(id)
        d.call("Cancel", id=id)
        d.call("Cancel", id=id)
        began = time.monotonic()
        d.call("Cancel", id=id, force=True)
        assert d.wait(id)["state"] == "cancelled"
        assert time.monotonic() - began < slow(1)


def test_cancel_of_an_ended_job():
    """What has ended is answered with the state it has."""
    with Daemon() as d:
        id = d.run("echo")["id"]
        try:
            assert d.call("Cancel", id=id)["state"] == "succeeded"
        except VarlinkError as error:
            assert error.name == "WrongState"
        assert d.get(id)["state"] == "succeeded"


def test_cancelled_is_not_tried_again():
    """A cancelled job with attempts left stays cancelled."""
    with Daemon() as d:
        id = d.submit("spin", {"seconds": 50}, max_attempts=10)
        d.worker_of(id)
        d.call("Cancel", id=id)
        job = d.wait(id)
        assert job["state"] == "cancelled" and numbers(job) == [1]


def test_attached():
    """A job that is attached is cancelled when its connection closes; others are not."""
    with Daemon() as d:
        with d.connect() as c:
            running = c.call("Submit", job={"handler": "sleep", "args": {"seconds": 50},
                                            "attached": True})["id"]
            queued = c.call("Submit", job={"handler": "echo", "delay_usec": 10**9,
                                           "attached": True})["id"]
            free = c.call("Submit", job={"handler": "sleep", "args": {"seconds": 0.3}})["id"]
            d.worker_of(running)
        assert d.wait(running)["state"] == "cancelled"
        assert d.wait(queued)["state"] == "cancelled"
        assert d.wait(free)["state"] == "succeeded"


def test_attached_and_done():
    """An attached job that has ended is not touched by the end of its connection."""
    with Daemon() as d:
        with d.connect() as c:
            id = c.call("Submit", job={"handler": "echo", "attached": True}, wait=True)["id"]
        d.status()
        assert d.get(id)["state"] == "succeeded"


def test_what_an_older_attempt_says_is_refused():
    """A worker that was given up cannot settle its job any more."""
    with Daemon({"diag": diag(kill_after="100ms")}) as d:
        job = d.run("spin", {"seconds": 0.6}, timeout_usec=50000, max_attempts=2)
        assert job["state"] == "failed" and numbers(job) == [1, 2], job
        assert {a["outcome"] for a in job["attempts"]} == {"timeout"}


@alone
def test_prefetched_jobs_do_not_wait_behind_a_long_one():
    """After thousands of short runs, a long one holds up nobody while another worker is idle."""
    with Daemon() as d:
        with d.connect() as c:
            for _ in range(2000):
                c.send("Submit", {"job": {"handler": "echo"}, "wait": True})
            for _ in range(2000):
                c.receive()
            # all in one go: the long one first, and short ones that may be prefetched behind it
            c.send("SubmitMany", {"jobs": [
                {"handler": "sleep", "args": {"seconds": 3}}, *[{"handler": "echo"}] * 50]})
            ids = c.receive()["ids"]
            began = time.monotonic()
            for id in ids[1:]:
                assert d.wait(id)["state"] == "succeeded"
            assert time.monotonic() - began < 1 + slow(0.5)
            d.call("Cancel", id=ids[0])
            d.wait(ids[0])


def test_mixed_long_and_short():
    """Short jobs go on by the other worker while one is held for long."""
    with Daemon() as d:
        held = d.submit("sleep", {"seconds": 50})
        d.worker_of(held)
        ids = d.call("SubmitMany", jobs=[{"handler": "echo"}] * 300)["ids"]
        began = time.monotonic()
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        assert time.monotonic() - began < slow(2)
        d.call("Cancel", id=held)
        d.wait(held)
