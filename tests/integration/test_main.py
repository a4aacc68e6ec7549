# SPDX-License-Identifier: MIT
"""The main job, the handlers that come with brood, and what the daemon says of itself."""

import os
import re
import time

from harness import *


def test_celsius():
    """110 F is 43.333 C, computed by a worker that was there before the job."""
    with Daemon({"celsius": pool("celsius", "celsius.so", min_workers=2, spare_workers=0)}) as d:
        pids = d.pids()
        job = d.run("celsius", {"fahrenheit": 110})
        assert job["state"] == "succeeded", job
        assert abs(job["result"]["celsius"] - 130 / 3) < 1e-9
        pid = re.fullmatch(r"110\.000000 F is 43\.333333 C \(pid (\d+)\)", job["result"]["text"])
        assert int(pid.group(1)) in pids
        attempt, = job["attempts"]
        assert attempt["pid"] == int(pid.group(1))
        assert attempt["outcome"] == "succeeded" and attempt["number"] == 1
        assert job["submitted_usec"] <= job["started_usec"] <= job["ended_usec"]
        assert abs(job["ended_usec"] / 1e6 - time.time()) < 60
        assert job["uid"] == os.getuid() and job["gid"] == os.getgid()
        assert job["pool"] == "celsius" and job["spec"]["handler"] == "celsius"


def test_celsius_refuses_what_is_no_number():
    """Wrong arguments fail at once: trying again is pointless."""
    with Daemon({"celsius": pool("celsius", "celsius.so", min_workers=1, spare_workers=0)}) as d:
        job = d.run("celsius", {"fahrenheit": "hot"}, max_attempts=5)
        assert job["state"] == "failed" and len(job["attempts"]) == 1, job
        assert "fahrenheit" in job["attempts"][0]["error"]


def test_get_info():
    """The daemon introduces itself and its interfaces."""
    with Daemon() as d:
        info = d.client.call("org.varlink.service.GetInfo")
        assert set(info) == {"vendor", "product", "version", "url", "interfaces"}
        assert info["product"] == "brood" or "brood" in info["product"], info
        assert set(info["interfaces"]) == {"org.varlink.service", "io.brood"}


def test_interface_description():
    """The interface file is served as it is, the whole of it."""
    with Daemon() as d:
        text = d.client.call("org.varlink.service.GetInterfaceDescription", interface="io.brood")
        with open(source("lib", "io.brood.varlink"), encoding="utf-8") as f:
            assert text["description"] == f.read()
        text = d.client.call("org.varlink.service.GetInterfaceDescription",
                             interface="org.varlink.service")
        assert "interface org.varlink.service" in text["description"]


def test_echo_returns_its_arguments():
    """Any JSON object goes through worker and daemon unchanged."""
    values = [
        {}, {"a": None}, {"a": [1, 2.5, True, False, None, "x"]}, {"": ""},
        {"text": "\u00e4\u20ac\U0001f600 \"quoted\" \\ / \b\f\n\r\t \u0001"},
        {"min": -2**63, "max": 2**63 - 1, "small": 1e-300, "big": 1.7976931348623157e308},
        {"deep": {"a": [[[[{"b": {"c": []}}]]]]}},
        {"long": "x" * 100000, "many": list(range(5000))},
    ]
    with Daemon() as d:
        for value in values:
            job = d.run("echo", value)
            assert job["state"] == "succeeded", job
            assert job["result"] == value


def test_absent_arguments_are_an_empty_object():
    """A job without args is run with {}; null is the same as absent."""
    with Daemon() as d:
        assert d.run("echo")["result"] == {}
        assert d.run("echo", None, priority=None, tags=None, after=None)["result"] == {}


def test_sleep():
    """The sleep handler takes as long as it says."""
    with Daemon() as d:
        job = d.run("sleep", {"seconds": 0.2})
        assert job["state"] == "succeeded"
        took = job["ended_usec"] - job["started_usec"]
        assert 190000 <= took < slow(0.2) * 1e6 + 300000, took


def test_spin():
    """The spin handler burns CPU, and the certificate counts it."""
    with Daemon() as d:
        job = d.run("spin", {"seconds": 0.2})
        assert job["state"] == "succeeded"
        assert job["ended_usec"] - job["started_usec"] >= 200000


def test_leak():
    """The leak handler takes memory, and ListWorkers shows it."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        before = d.workers()[0]["memory_bytes"]
        assert d.run("leak", {"bytes": 32 << 20})["state"] == "succeeded"
        until(lambda: d.workers()[0]["memory_bytes"] >= before + (30 << 20), "memory shown")


def test_fail_without_retry():
    """A handler that says retry false fails the job at its first attempt."""
    with Daemon() as d:
        job = d.run("fail", {"message": "no use", "retry": False}, max_attempts=5)
        assert job["state"] == "failed"
        attempt, = job["attempts"]
        assert attempt["outcome"] == "error" and attempt["error"] == "no use"


def test_fail_with_details():
    """The details of the last error are the result of the failed job."""
    with Daemon() as d:
        job = d.run("fail", {"message": "m", "retry": False, "details": {"code": 7}})
        assert job["state"] == "failed" and job["result"] == {"code": 7}, job


def test_status():
    """Status tells version, pools and counts of jobs."""
    with Daemon() as d:
        d.run("echo", {})
        d.run("fail", {"retry": False})
        status = d.status()
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?.*", status["version"])
        assert status["state"] == "running"
        assert status["started_usec"] <= time.time() * 1e6
        assert status["memory_bytes"] > 0
        assert status["jobs"].get("succeeded") == 1 and status["jobs"].get("failed") == 1
        diag_pool, = status["pools"]
        assert diag_pool["name"] == "diag" and diag_pool["state"] == "running"
        assert set("echo sleep spin crash exit fail leak".split()) <= set(diag_pool["handlers"])
        assert diag_pool["start_method"] == "forkserver"
        assert diag_pool["concurrency"] == "process"
        assert diag_pool["workers"] == 2 and diag_pool["spare"] == 0
        assert diag_pool["done"] == 2 and diag_pool["deaths"] == 0


def test_status_of_a_busy_pool():
    """idle, busy and queued of a pool are what they are."""
    with Daemon() as d:
        jobs = [d.submit("sleep", {"seconds": 60}) for _ in range(5)]
        until(lambda: d.pool_status()["busy"] == 2, "two busy workers")
        status = d.pool_status()
        assert status["idle"] == 0 and status["workers"] == 2 and status["queued"] == 3, status
        counts = d.status()["jobs"]
        assert counts["running"] == 2 and counts["queued"] == 3, counts
        for job in jobs:
            d.call("Cancel", id=job)
        for job in jobs:
            assert d.wait(job)["state"] == "cancelled"


def test_list_workers():
    """ListWorkers names live processes, their seats and what they run."""
    with Daemon({"diag": diag(), "celsius": pool("celsius", "celsius.so", min_workers=1,
                                                 spare_workers=1)}) as d:
        workers = d.workers()
        assert len(workers) == 4 and all(alive(w["pid"]) for w in workers)
        assert len({w["name"] for w in workers}) == 4
        assert all(w["name"].startswith(w["pool"] + ".") for w in workers), workers
        assert len(d.workers("diag")) == 2
        job = d.submit("sleep", {"seconds": 60})
        worker = d.worker_of(job)
        assert worker["state"] == "busy" and worker["pool"] == "diag" and worker["jobs"] == [job]
        assert d.call("Cancel", id=job)
        d.wait(job)
        worker = until(lambda: next((w for w in d.workers() if w["name"] == worker["name"]
                                     and w["state"] == "idle"), None), "idle again")
        assert worker["jobs_done"] >= 1 and worker["memory_bytes"] > 0
        until(lambda: sorted(w["state"] for w in d.workers("celsius")) == ["idle", "spare"],
              "one idle, one spare")
        with refused("NoSuchPool") as e:
            d.workers("nothing")
        assert e["pool"] == "nothing"


def test_progress():
    """A handler's progress reaches a client that asked for more, and the job's record."""
    with Daemon() as d, d.connect() as c:
        replies = list(c.more("Submit", job={"handler": "progress", "args": {"steps": 5}}))
        assert replies[-1]["state"] == "succeeded"
        assert replies[-1]["job"]["result"] == {"steps": 5}
        assert replies[-1]["job"]["progress"] == 1.0


def test_nothing_grows():
    """A thousand jobs leave the daemon with the descriptors it had."""
    with Daemon() as d:
        d.run("echo")
        with d.steady_descriptors():
            with d.connect() as c:
                for _ in range(1000):
                    c.send("Submit", {"job": {"handler": "echo", "args": {"x": 1}}, "wait": True})
                for _ in range(1000):
                    assert c.receive()["job"]["state"] == "succeeded"


def test_clean_start_and_stop():
    """The daemon starts and stops and leaves nothing."""
    with Daemon() as d:
        assert len(d.fork_servers()) == 1
        assert os.stat(d.socket_path).st_mode & 0o777 == 0o600
        tree = d.tree()
        d.stop()
        assert not any(alive(p) for p in tree)
