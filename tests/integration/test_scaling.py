# SPDX-License-Identifier: MIT
"""Scaling=: how many workers a pool has, static, dynamic and ondemand."""

import os
import re
import signal
import subprocess
import time

from harness import DIAG, Daemon, build, diag, pool, refused, slow, unless, until


def ondemand(**keys):
    given = {"scaling": "ondemand", "max_workers": 4, "idle_timeout": "300ms"}
    given.update(keys)
    return {"diag": diag(**given)}


def dynamic(**keys):
    given = {"scaling": "dynamic", "min_workers": 1, "max_workers": 6, "idle_timeout": "300ms"}
    given.update(keys)
    return {"diag": diag(**given)}


def served(pools, **keys):
    """A daemon that takes connections; its pools need not have workers."""
    d = Daemon(pools, ready=False, **keys)
    d.await_socket()
    return d


def running(d):
    return until(lambda: d.status()["state"] == "running" and d.status(), "running")


def test_ondemand_has_no_worker_until_a_job_waits():
    """An ondemand pool runs, and has nothing; a job gets a worker, which leaves when it idles."""
    with served(ondemand()) as d:
        running(d)
        p = d.pool_status()
        assert (p["state"], p["workers"], p["scaling"]) == ("running", 0, "ondemand"), p
        assert (p["min_workers"], p["max_workers"]) == (0, 4), p
        job = d.run("echo", {"x": 1}, durability="fsync")
        assert (job["state"], len(job["attempts"])) == ("succeeded", 1), job
        assert d.pool_status()["workers"] == 1
        until(lambda: d.pool_status()["workers"] == 0, "it has left")
        assert d.pool_status()["deaths"] == 0
        assert d.run("echo", {"x": 2}, durability="memory")["result"] == {"x": 2}


def test_ondemand_starts_as_many_as_wait_and_no_more_than_the_most():
    with served(ondemand(max_workers=3, idle_timeout="1min")) as d:
        ids = [d.submit("sleep", {"seconds": 0.3}) for _ in range(2)]
        until(lambda: d.pool_status()["busy"] == 2, "two at work")
        assert d.pool_status()["workers"] == 2
        ids += [d.submit("sleep", {"seconds": 0.3}) for _ in range(6)]
        until(lambda: d.pool_status()["busy"] == 3, "three at work")
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        assert max(int(w["name"].split(".")[1]) for w in d.workers()) <= 2


def test_ondemand_says_why_a_job_waits():
    """Why: a worker is being started."""
    hang = pool("mood", "moods.so", scaling="ondemand", max_workers=1)
    with served({"moods": hang}) as d:
        forker = until(d.fork_servers, "a fork server")[0]
        running(d)
        os.kill(forker, signal.SIGSTOP)
        id = d.submit("mood")
        why = until(lambda: (lambda w: "being started" in w["reason"] and w)(d.call("Why", id=id)),
                    "the reason")
        assert why["reason"] == "pool 'moods' has no worker just now: a worker is being started"
        os.kill(forker, signal.SIGCONT)
        assert d.wait(id)["state"] == "succeeded"


def test_ondemand_keeps_spares_where_they_are_asked_for():
    """SpareWorkers= is 0 with ondemand, unless it is set: then a job is not kept waiting by a
    birth."""
    with served(ondemand(spare_workers=1)) as d:
        until(lambda: d.pool_status()["spare"] == 1, "a spare")
        pid = d.pids()[0]
        assert d.run("echo")["attempts"][0]["pid"] == pid
        until(lambda: d.pool_status()["spare"] == 1 and d.pool_status()["workers"] == 1,
              "the spare alone", 10)
    text = "\n".join(line for line in ondemand()["diag"].splitlines() if "Spare" not in line)
    with served({"diag": text}) as d:
        running(d)
        assert d.run("echo")["state"] == "succeeded"
        assert d.pool_status()["workers"] == 1


def test_ondemand_retries_on_a_new_worker():
    """A worker that dies with its job: the job is tried again, on one that is started for it."""
    with served(ondemand()) as d:
        job = d.run("crash", {}, max_attempts=2)
        assert job["state"] == "failed" and len(job["attempts"]) == 2, job
        assert len({a["pid"] for a in job["attempts"]}) == 2
        assert d.run("echo")["state"] == "succeeded"


def test_ondemand_takes_what_a_dead_daemon_left():
    """Durable jobs that waited when the daemon was killed get a worker of the next one."""
    with served(ondemand()) as d:
        running(d)
        d.call("PausePool", pool="diag")
        id = d.submit("echo", {"x": 7}, durability="fsync")
        d.kill()
        d.start(ready=False)
        d.await_socket()
        assert d.wait(id)["result"] == {"x": 7}


def test_ondemand_with_semaphores():
    """Jobs that wait at a semaphore start nothing; when it is free one is started."""
    with served(ondemand(), conf="[Semaphores]\none=1\n") as d:
        ids = [d.submit("sleep", {"seconds": 0.1}, semaphores=["one"]) for _ in range(4)]
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        assert len({a["pid"] for id in ids for a in d.get(id)["attempts"]}) <= 2


def test_dynamic_grows_step_by_step_and_shrinks():
    """More jobs than workers: one more at once, the others in steps a second apart; idle ones
    leave."""
    with Daemon(dynamic()) as d:
        assert d.pool_status()["workers"] == 1
        began = time.monotonic()
        ids = [d.submit("sleep", {"seconds": 60}) for _ in range(5)]
        until(lambda: d.pool_status()["busy"] == 2, "a second one")
        until(lambda: d.pool_status()["busy"] == 5, "all of them")
        assert time.monotonic() - began > 1.9, "two more steps, a second apart"
        for id in ids:
            d.call("Cancel", id=id)
        until(lambda: d.pool_status()["workers"] == 1, "one is left")
        assert d.pool_status()["deaths"] == 0
        assert d.run("echo")["state"] == "succeeded"


def test_dynamic_does_not_grow_for_what_it_can_do():
    """Jobs one after the other: the fewest do."""
    with Daemon(dynamic(min_workers=2)) as d:
        for i in range(50):
            assert d.run("echo", {"i": i}, durability="memory")["state"] == "succeeded"
        assert d.pool_status()["workers"] == 2


def test_scale_changes_both_bounds():
    """ScalePool of a dynamic pool: at least and at most; of an ondemand pool: at most."""
    with Daemon(dynamic()) as d:
        d.call("ScalePool", pool="diag", min_workers=3, max_workers=4)
        until(lambda: d.pool_status()["idle"] == 3, "three")
        p = d.pool_status()
        assert (p["min_workers"], p["max_workers"]) == (3, 4), p
        ids = [d.submit("sleep", {"seconds": 30}) for _ in range(9)]
        until(lambda: d.pool_status()["busy"] == 4, "four")
        d.call("ScalePool", pool="diag", min_workers=1, max_workers=1)
        for id in ids:
            d.call("Cancel", id=id)
        until(lambda: d.pool_status()["workers"] == 1, "one")
        d.call("Reload")
        assert d.pool_status()["max_workers"] == 6
    with served(ondemand(idle_timeout="1min")) as d:
        d.call("ScalePool", pool="diag", min_workers=2, max_workers=2)
        p = d.pool_status()
        assert (p["min_workers"], p["max_workers"]) == (0, 2), p


def test_a_reload_changes_the_scaling():
    """From static to ondemand and back, by a reload that keeps the workers."""
    with Daemon(DIAG) as d:
        pids = set(d.pids())
        d.write_pool("diag", ondemand(idle_timeout="1min")["diag"])
        d.call("Reload")
        assert set(d.pids()) == pids
        d.write_pool("diag", ondemand(idle_timeout="10ms")["diag"])
        d.call("Reload")
        until(lambda: d.pool_status()["workers"] == 0, "none")
        d.write_pool("diag", DIAG["diag"])
        d.call("Reload")
        until(lambda: d.pool_status()["idle"] == 2, "two")


def test_a_restart_of_an_elastic_pool_keeps_what_it_has():
    """RestartPool of one that has grown: as many new ones take over."""
    with Daemon(dynamic(min_workers=1, idle_timeout="1min")) as d:
        ids = [d.submit("sleep", {"seconds": 30}) for _ in range(2)]
        until(lambda: d.pool_status()["busy"] == 2, "two")
        for id in ids:
            d.call("Cancel", id=id)
        before = set(d.pids())
        d.call("RestartPool", pool="diag")
        until(lambda: d.pool_status()["idle"] == 2 and not before & set(d.pids()), "two new ones")
    with served(ondemand()) as d:
        running(d)
        d.call("RestartPool", pool="diag")
        assert d.run("echo")["state"] == "succeeded"


def test_a_drain_starts_no_worker():
    with served(ondemand()) as d:
        running(d)
        d.call("Drain")
        with refused("Draining"):
            d.submit("echo")
        assert d.pool_status()["workers"] == 0
        d.call("Resume")
        assert d.run("echo")["state"] == "succeeded"


def test_an_ondemand_pool_whose_workers_do_not_start():
    """The breaker opens while a job waits for it, and Why says so."""
    bad = pool("count", "count.so", scaling="ondemand", settings="refuse=worker")
    with served({"count": bad}) as d:
        running(d)
        assert d.pool_status("count")["state"] == "running"
        id = d.submit("count", {"directory": d.directory, "seconds": 0})
        until(lambda: d.pool_status("count")["state"] == "failed", "the breaker is open", 20)
        assert "do not start" in d.call("Why", id=id)["reason"]


def test_broodctl_shows_what_it_may_have():
    """pools: busy, workers, and of how many where that changes."""
    with Daemon(dynamic()) as d:
        out = subprocess.run([build("daemon", "ctl", "broodctl"), "--socket=" + d.socket_path,
                              "pools"], capture_output=True, text=True, timeout=slow(10),
                             check=True).stdout
        assert re.search(r" 0/1 of 6 ", out), out


def test_a_rush_into_an_ondemand_pool_loses_nothing():
    """Many short jobs, durable and not, from nothing."""
    unless(os.cpu_count(), "no CPU")
    with served(ondemand(idle_timeout="20ms")) as d:
        for durability in "memory", "fsync":
            for _ in range(3):
                ids = d.call("SubmitMany", jobs=[
                    {"handler": "echo", "args": {"i": i}, "durability": durability}
                    for i in range(200)])["ids"]
                for i, id in enumerate(ids):
                    assert d.wait(id)["result"] == {"i": i}
                until(lambda: d.pool_status()["workers"] == 0, "none is left")
        assert d.pool_status()["deaths"] == 0
