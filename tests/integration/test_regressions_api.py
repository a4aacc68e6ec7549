# SPDX-License-Identifier: MIT
"""What a review found, on the side of the clients: replies, limits, and what they cost."""

import json
import os
import time

from harness import *
from test_regressions import hanging, moods, touch

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, "rb") as f:
        fields = f.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_share(pid, seconds):
    """The part of a core that the process takes in this time."""
    began, before = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)  # the time is what is measured
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


def small_quarantine():
    """What is freed is free, for a sanitizer too."""
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [
        os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1"]))


@alone
def test_a_large_reply_behind_one_that_waits():
    """WaitMany is answered when its job ends, whatever has gathered behind it."""
    with Daemon() as d, d.connect() as c:
        large = d.run("echo", {"x": "y" * 800000})["id"]
        id = d.submit("sleep", {"seconds": 0.5})
        c.send("WaitMany", {"ids": [id]}, more=True)
        c.send("Get", {"id": large})
        began = time.monotonic()
        assert c.receive()["job"]["id"] == id
        assert time.monotonic() - began < 0.5 + slow(0.5)
        assert len(c.receive()["job"]["result"]["x"]) == 800000


@alone
def test_a_client_that_waits_does_not_stall():
    """A client whose replies wait for a job is not dropped for leaving them unread."""
    with Daemon({"diag": diag(), "moods": moods()}, "[Daemon]\nStallTimeout=500ms\n") as d:
        large = d.run("swell", {"bytes": 1800000})["id"]
        with d.connect() as c:
            id = d.submit("sleep", {"seconds": 2})
            c.send("Wait", {"id": id})
            c.send("Get", {"id": large})
            c.send("Status")
            assert c.receive()["job"]["id"] == id
            assert len(c.receive()["job"]["result"]["text"]) == 1800000
            c.receive()
        assert "dropped" not in d.log()


def ask_often(c, id):
    """300 calls with one write: the service may stop reading in the middle of them."""
    call = {"method": "io.brood.Get", "parameters": {"id": id}}
    c.send_raw((json.dumps(call).encode() + b"\0") * 300)


def test_many_large_replies_that_nobody_reads():
    """Large replies to a client that does not read are not made before it does."""
    small_quarantine()
    with Daemon({"moods": moods()}) as d, d.connect() as c:
        large = d.run("swell", {"bytes": 1000000})["id"]
        before = rss(d.pid)
        ask_often(c, large)
        for _ in range(100):
            d.call("Status")
            grown = rss(d.pid) - before
            assert grown < 100 << 20, grown
            time.sleep(0.005)
        for _ in range(300):
            assert len(c.receive_raw()) > 1000000
        assert rss(d.pid) - before < 100 << 20


def test_many_large_replies_behind_one_that_waits():
    """Nor are they gathered without bound behind a call that waits."""
    small_quarantine()
    with Daemon({"moods": moods(), "diag": diag()}) as d, d.connect() as c:
        large = d.run("swell", {"bytes": 1000000})["id"]
        id = d.submit("sleep", {"seconds": 1})
        before = rss(d.pid)
        c.send("Wait", {"id": id})
        ask_often(c, large)
        while d.get(id)["state"] != "succeeded":
            grown = rss(d.pid) - before
            assert grown < 100 << 20, grown
            time.sleep(0.005)
        for _ in range(301):
            c.receive_raw()


@alone
def test_no_descriptors_left():
    """Without a descriptor for the next client the daemon rests, and serves when there is one."""
    with Daemon(start=False) as d:
        d.start(command=["prlimit", "--nofile=80:80", *d.command()])
        clients = [Connection(d.socket_path) for _ in range(90)]
        d.wait_log("can not accept a client")
        at = len(d.lines)
        share = cpu_share(d.pid, 1)
        said = [x for x in d.lines[at:] if "accept" in x]
        assert share < 0.3, share
        assert len(said) < 40, len(said)
        for c in clients:
            c.close()
        with d.connect() as c:
            c.call("Status")
        assert d.run("echo")["state"] == "succeeded"


def kept(d):
    return [j["id"] for j in d.call("List", limit=1000)["jobs"]]


def test_jobs_kept_for_ever():
    """keep_usec does not pass KeepFinishedMax=, and leaves room for other jobs."""
    with Daemon({"diag": diag(min_workers=1)}, "[Queue]\nKeepFinishedMax=10\n") as d:
        jobs = [{"handler": "echo", "keep_usec": 10**15}] * 200
        with d.connect() as c:
            c.send("SubmitMany", {"jobs": jobs})
            last = c.receive()["ids"][-1]
        until(lambda: d.pool_status()["done"] == 200, "all are done")
        until(lambda: len(kept(d)) <= 11, "few are left")
        assert last in kept(d)
        id = d.run("echo", {"x": 1})["id"]
        assert d.get(id)["result"] == {"x": 1}
        assert id in kept(d) and len(kept(d)) <= 11


@alone
def test_what_is_waited_for_is_old():
    """A finished job that a WaitMany still holds is not looked at again and again."""
    with Daemon(conf="[Queue]\nKeepFinished=1s\n") as d, d.connect() as c:
        done = d.run("echo")["id"]
        running = d.submit("sleep", {"seconds": 3.2})
        c.send("WaitMany", {"ids": [running, done], "ordered": True}, more=True)
        time.sleep(1.2)  # KeepFinished= is over
        share = cpu_share(d.pid, 1.5)
        assert share < 0.2, share
        assert [c.receive()["job"]["id"] for _ in range(2)] == [running, done]


@alone
def test_oneway_calls_hold_up_nobody():
    """A call without a reply that waits for something does not hold the replies behind it."""
    with Daemon({"diag": diag()}, start=False) as d:
        d.write_pool("moods", hanging(d))
        d.start()
        held = d.submit("sleep", {"seconds": 4})
        d.worker_of(held)
        touch(d.path("hang"))
        at = len(d.lines)
        for method, parameters in (
                ("Submit", {"job": {"handler": "sleep", "args": {"seconds": 3}}, "wait": True}),
                ("RestartPool", {"pool": "moods"}),
                ("Drain", None)):
            with d.connect() as c:
                c.send(method, parameters, oneway=True)
                c.send("Status")
                began = time.monotonic()
                state = c.receive()["state"]
                assert time.monotonic() - began < slow(0.5), method
                assert (state == "draining") == (method == "Drain"), (method, state)
        d.wait_log("init waits", start=at)
        os.unlink(d.path("hang"))
        d.call("Resume")
        assert d.get(held)["state"] == "running"
        assert d.run("echo")["state"] == "succeeded"
        assert d.wait(held)["state"] == "succeeded"
