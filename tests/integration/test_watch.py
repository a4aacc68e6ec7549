# SPDX-License-Identifier: MIT
"""Watch: every change of jobs, workers and pools, in order, from the moment of the call on."""

import contextlib
import json
import os
import re
import signal
import threading
import time
import uuid

from durable import *

ENDED = ("succeeded", "failed", "quarantined", "cancelled", "expired")


class Watcher:
    """A call of Watch. When it is made the daemon has heard it: a call behind it on the same
    connection has been carried out."""

    markers = set()

    def __init__(self, d, limit=30, **filters):
        marker = str(uuid.uuid4())
        self.markers.add(marker)
        self.connection = d.connect(limit)
        self.connection.send("Watch", filters, more=True)
        handler = next(p["handlers"][0] for p in d.status()["pools"] if p["handlers"])
        self.connection.send("Submit", {"job": {"handler": handler, "id": marker,
                                                "delay_usec": HOUR, "durability": "memory"}},
                             oneway=True)
        until(lambda: is_known(d, marker), "the marker is there")
        d.call("Cancel", id=marker)
        self.seen = []

    def next(self):
        """The next change of what is no marker."""
        while True:
            change = self.connection.receive()
            if change["id"] not in self.markers:
                self.seen.append(change)
                return change

    def read_until(self, condition):
        """Reads on until it has seen a change for which the condition holds; returns that one."""
        while True:
            change = self.next()
            if condition(change):
                return change

    def read_to_ends(self, ids):
        """Reads until each of the jobs has ended; returns {id: [state, …]}."""
        left = set(ids)
        while left:
            change = self.next()
            if change["kind"] == "job" and change["state"] in ENDED:
                left.discard(change["id"])
        return {id: self.states(id) for id in ids}

    def read_to_state(self, id, state):
        return self.read_until(lambda c: c["id"] == id and c["state"] == state)

    def states(self, id):
        return [c["state"] for c in self.seen if c["id"] == id]

    def is_silent(self, d):
        """Nothing has come that was not read: a change that we make now is the next one."""
        id = d.submit("echo", delay_usec=HOUR, durability="memory")
        return self.next()["id"] == id

    def close(self):
        self.connection.close()


def both(**conf):
    """A daemon with the counting handlers and diag."""
    return durable(pools={"diag": diag()}, **conf)


def test_the_life_of_a_job():
    """Each state that a job goes through is told once, in order, in the store or not."""
    with both() as d:
        for durability in "memory", "fsync":
            w = Watcher(d, kinds=["job"])
            id = d.submit("tally", {"n": 3, "fail": 1}, delay_usec=50000, durability=durability)
            assert w.read_to_ends([id])[id] == [
                "scheduled", "queued", "running", "scheduled", "queued", "running",
                "succeeded"], w.seen
            times = [c["time_usec"] for c in w.seen]
            assert times == sorted(times), times
            again = w.seen[3]
            assert re.search(r"tried again, after attempt 1 \(error\)", again["reason"]), again
            assert "in " in w.seen[0]["reason"], w.seen[0]
            assert all("reason" not in c for c in w.seen if c["state"] in
                       ("queued", "running", "succeeded")), w.seen
            assert {c["kind"] for c in w.seen} == {"job"}
            w.close()


def test_the_ends_of_jobs():
    """failed, quarantined, cancelled and expired are told, and so is what waited for such a job."""
    with both(poison_deaths=1) as d:
        for durability in "memory", "fsync":
            w = Watcher(d, kinds=["job"])

            def submit(handler, args, **spec):
                return d.submit(handler, args, durability=durability, **spec)

            failed = submit("tally", {"n": 1, "fail": 9}, max_attempts=1)
            poison = submit("tally", {"n": 1, "crash": 9})
            late = submit("tally", {"n": 1}, delay_usec=HOUR, ttl_usec=50000)
            parent = submit("tally", {"n": 1}, delay_usec=HOUR)
            child = submit("tally", {"n": 1}, after=[parent])
            d.call("Cancel", id=parent)
            states = w.read_to_ends([failed, poison, late, parent, child])
            assert states[failed] == ["queued", "running", "failed"], states
            assert states[poison] == ["queued", "running", "quarantined"], states
            assert states[late] == ["scheduled", "expired"], states
            assert states[parent] == ["scheduled", "cancelled"], states
            assert states[child] == ["blocked", "cancelled"], states
            reasons = {c["id"]: c.get("reason", "") for c in w.seen if c["state"] in ENDED}
            assert "ttl" in reasons[late] and parent in reasons[child], reasons
            assert "on request" in reasons[parent], reasons
            blocked = next(c for c in w.seen if c["state"] == "blocked")
            assert parent in blocked["reason"] and "is scheduled" in blocked["reason"], blocked
            w.close()


def test_blocked_and_on():
    """A job that waits for another is queued when that has succeeded; so is one that is retried."""
    with both() as d:
        w = Watcher(d, kinds=["job"])
        first = hold(d)
        second = d.submit("tally", {"n": 1}, after=[first])
        w.read_to_state(second, "blocked")
        open_gate(d)
        states = w.read_to_ends([first, second])
        assert states[second] == ["blocked", "queued", "running", "succeeded"], states
        bad = d.submit("tally", {"n": 1, "fail": 1}, max_attempts=1)
        w.read_to_state(bad, "failed")
        d.call("Retry", id=bad)
        w.read_to_state(bad, "succeeded")
        assert w.states(bad) == ["queued", "running", "failed", "queued", "running",
                                 "succeeded"], w.states(bad)
        w.close()


def check_complete(d, states):
    """Each job was queued, ran and ended well: once each, in this order; but for those that were
    given to a worker and taken back before it had begun them, which is an attempt of its own."""
    for id, way in states.items():
        if way == ["queued", "running", "succeeded"]:
            continue
        runs = d.get(id)["attempts"]
        assert way == ["queued", "running"] * len(runs) + ["succeeded"], (way, runs)
        assert all(a["error"] == "recalled before it began" for a in runs[:-1]), (way, runs)


def submit_quick(d, n, durability="memory"):
    ids = []
    while len(ids) < n:
        jobs = [{"handler": "echo", "durability": durability}] * min(500, n - len(ids))
        ids += d.call("SubmitMany", jobs=jobs)["ids"]
    return ids


@limit(90)
def test_under_load():
    """Of 2000 quick jobs, written ahead in lines, no change is missing, double or out of order."""
    with Daemon() as d:
        submit_quick(d, 200)  # the daemon learns that they are quick
        for durability in "memory", "fsync":
            w = Watcher(d, kinds=["job"])
            ids = submit_quick(d, 2000, durability)
            check_complete(d, w.read_to_ends(ids))
            assert w.is_silent(d)
            w.close()


@limit(90)
def test_under_load_with_deaths():
    """When workers are killed under load, what each job went through is still a way that it can go,
    without a gap."""
    follows = {None: {"queued"}, "queued": {"running"},
               "running": {"queued", "scheduled", "succeeded"}, "scheduled": {"queued"},
               "succeeded": set()}
    with Daemon({"diag": diag(poison_deaths=0, max_attempts=20, spare_workers=1)}) as d:
        submit_quick(d, 200)
        w = Watcher(d, kinds=["job"])
        ids = []
        for _ in range(5):
            ids += submit_quick(d, 400)
            for worker in [w for w in d.workers() if w["pid"]][:1]:
                with contextlib.suppress(ProcessLookupError):  # it may be gone already
                    os.kill(worker["pid"], signal.SIGKILL)
        states = w.read_to_ends(ids)
        for id, way in states.items():
            for before, after in zip([None, *way], way):
                assert after in follows[before], (id, way)
            runs = len(d.get(id)["attempts"])
            assert way.count("running") == runs, (way, d.get(id))
        w.close()


def test_filters():
    """By kind, by pool, and both; no kinds are all kinds."""
    with Daemon({"diag": diag(), "moods": pool("doze", "moods.so", min_workers=1,
                                               spare_workers=0)}) as d:
        everything, empty = Watcher(d), Watcher(d, kinds=[])
        one = Watcher(d, pool="moods")
        jobs = Watcher(d, pool="moods", kinds=["job"])
        pools = Watcher(d, kinds=["pool"])
        d.run("sleep", {"seconds": 0.2}, durability="memory")
        last = d.run("doze", {"seconds": 0.2}, durability="memory")["id"]
        one.read_to_state("moods.0", "idle")
        d.call("PausePool", pool="moods")
        paused = {"kind": "pool", "id": "moods", "state": "paused"}

        def is_pause(change):
            return {k: change[k] for k in paused} == paused

        for w in everything, empty, one, pools:
            w.read_until(is_pause)
        jobs.read_to_state(last, "succeeded")
        assert len(pools.seen) == 1, pools.seen
        assert jobs.states(last) == ["queued", "running", "succeeded"] and len(jobs.seen) == 3
        for w in everything, empty:
            assert {c["kind"] for c in w.seen} == {"job", "worker", "pool"}, w.seen
            assert {"diag.0", "diag.1"} & {c["id"] for c in w.seen}
        assert {c["id"] for c in one.seen} == {last, "moods.0", "moods"}, one.seen
        assert one.states("moods.0") == ["busy", "idle"] and len(one.seen) == 6, one.seen
        for w in everything, empty, one, jobs, pools:
            w.close()


def test_wrong_calls():
    """An unknown pool, an unknown kind, and a call without more are refused."""
    with Daemon() as d:
        with refused("NoSuchPool") as e:
            list(d.client.more("Watch", pool="nothing"))
        assert e["pool"] == "nothing"
        with refused("org.varlink.service.InvalidParameter"):
            list(d.client.more("Watch", kinds=["jobs"]))
        with refused("org.varlink.service.ExpectedMore"):
            d.call("Watch")
        d.client.send("Watch", {}, oneway=True)
        assert d.status()["state"] == "running"
        assert d.run("echo")["state"] == "succeeded"


def test_workers():
    """A worker is told busy and idle; killed, it is dead for the reason of its obituary, the spare
    takes its place, and another one starts."""
    with Daemon({"diag": diag(min_workers=1, spare_workers=1)}) as d:
        until(lambda: d.pool_status()["spare"] == 1, "a spare")
        active = next(x for x in d.workers() if x["state"] == "idle")
        spare = next(x for x in d.workers() if x["state"] == "spare")
        w = Watcher(d, kinds=["worker"])
        d.run("echo", durability="memory")
        assert w.next()["state"] == "busy" and w.next()["state"] == "idle"
        assert {c["id"] for c in w.seen} == {active["name"]}
        id = d.submit("sleep", {"seconds": 50})
        assert w.next()["state"] == "busy"
        os.kill(active["pid"], signal.SIGKILL)
        dead = w.read_to_state(active["name"], "dead")
        assert "pid %d" % active["pid"] in dead["reason"], dead
        assert "KILL" in dead["reason"] and "from outside" in dead["reason"], dead
        while not (w.states(spare["name"])[-1:] == ["busy"]
                   and w.states(active["name"])[-1:] == ["spare"]):
            w.next()
        assert w.states(spare["name"]) == ["idle", "busy"], w.seen
        d.call("Cancel", id=id, force=True)
        w.read_to_state(spare["name"], "dead")
        w.close()


def test_a_worker_that_is_never_at_rest():
    """Busy and idle go with each job: they are told as they are, some fifty times a second at the
    most, and the last word is the right one."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        w = Watcher(d, kinds=["worker"])
        began = time.monotonic()
        with d.connect(60) as c:
            for _ in range(500):
                c.call("Submit", job={"handler": "echo", "durability": "memory"}, wait=True)
        took = time.monotonic() - began
        held = d.submit("sleep", {"seconds": 600})
        pid = d.worker_of(held)["pid"]
        d.call("Cancel", id=held)
        os.kill(pid, signal.SIGKILL)
        w.read_to_state("diag.0", "dead")
        states = w.states("diag.0")
        assert len(states) <= 4 + took / 0.02, (len(states), took)
        assert all(a != b for a, b in zip(states, states[1:])), states
        quiet = d.submit("sleep", {"seconds": 600})
        assert w.read_to_state("diag.0", "busy")
        d.call("Cancel", id=quiet)
        assert w.next()["state"] == "idle"
        w.close()


def test_a_worker_that_starts():
    """A worker that is new is told from its start on: starting, spare, idle."""
    with Daemon({"diag": diag(min_workers=1)}) as d:
        w = Watcher(d, kinds=["worker"])
        d.call("ScalePool", pool="diag", min_workers=2, max_workers=2)
        w.read_to_state("diag.1", "idle")
        assert w.states("diag.1") == ["starting", "spare", "idle"], w.seen
        w.close()


def test_a_worker_that_leaves():
    """A worker that is told to go is leaving, then dead, with a reason that says so."""
    with Daemon() as d:
        w = Watcher(d, kinds=["worker"])
        d.call("ScalePool", pool="diag", min_workers=1, max_workers=1)
        dead = w.read_to_state("diag.1", "dead")
        assert w.states("diag.1") == ["leaving", "dead"], w.seen
        assert "told to leave" in dead["reason"], dead
        w.close()


def test_pools():
    """paused, running, draining, failed when no worker starts, gone when the config has it not."""
    count = {"min_workers": 1, "spare_workers": 0}
    with Daemon({"diag": diag(), "count": pool("count", "count.so", **count)}) as d:
        w = Watcher(d, kinds=["pool"])

        def expect(name, state):
            change = w.next()
            assert (change["id"], change["state"]) == (name, state), w.seen
            return change

        d.call("PausePool", pool="diag")
        expect("diag", "paused")
        d.call("PausePool", pool="diag")  # no change
        d.call("ResumePool", pool="diag")
        expect("diag", "running")
        d.call("Drain")
        assert {expect_any(w, "draining"), expect_any(w, "draining")} == {"diag", "count"}
        d.call("Resume")
        assert {expect_any(w, "running"), expect_any(w, "running")} == {"diag", "count"}
        d.write_pool("count", pool("count", "count.so", settings="refuse=worker", **count))
        d.call("Reload")
        expect("count", "failed")
        d.write_pool("count", pool("count", "count.so", **count))
        d.call("Reload")
        expect("count", "running")
        os.unlink(d.path("config/pools/count.pool"))
        d.call("Reload")
        w.read_to_state("count", "gone")
        assert w.states("count")[-2:] in (["draining", "gone"], ["running", "gone"]), w.seen
        d.write_pool("count", pool("count", "count.so", **count))
        d.call("Reload")
        expect("count", "running")
        w.close()


def expect_any(w, state):
    change = w.next()
    assert change["state"] == state, w.seen
    return change["id"]


def test_a_reload_that_failed_is_no_reason():
    """What a refused config said is not the reason of a pause that comes later."""
    with Daemon({"moods": pool("mood", "moods.so", min_workers=1, spare_workers=0)}) as d:
        w = Watcher(d, kinds=["pool"])
        d.write_pool("moods", pool("mood", "moods.so", min_workers=1, spare_workers=0,
                                   settings="refuse=yes"))
        with refused("ConfigInvalid"):
            d.call("Reload")
        d.call("PausePool", pool="moods")
        change = w.read_to_state("moods", "paused")
        assert "reason" not in change, change
        w.close()


def test_nothing_from_before_the_call():
    """What was before the call is not told, and what is at the time of the call is no change."""
    with Daemon() as d:
        d.call("PausePool", pool="diag")
        d.submit("echo", durability="memory")
        w = Watcher(d)
        assert w.is_silent(d)
        d.call("ResumePool", pool="diag")
        assert w.next()["kind"] in ("pool", "job", "worker")
        w.close()


def test_nothing_from_before_the_call_beside_another_watcher():
    """So it is where somebody watches already, and the change and the call come together."""
    with Daemon() as d:
        first = Watcher(d, kinds=["pool"])
        with d.connect() as c:
            messages = [{"method": "io.brood.PausePool", "parameters": {"pool": "diag"}},
                        {"method": "io.brood.Watch", "parameters": {"kinds": ["pool"]},
                         "more": True}]
            c.send_raw(b"".join(json.dumps(m).encode() + b"\0" for m in messages))
            assert json.loads(c.receive_raw()).get("parameters", {}) == {}
            first.read_to_state("diag", "paused")
            d.call("ResumePool", pool="diag")
            change = json.loads(c.receive_raw())["parameters"]
            assert change["state"] == "running", change
        first.close()


@limit(120)
def test_many_watchers():
    """Fifty watchers are told the same."""
    with Daemon() as d:
        watchers = [Watcher(d, limit=60, kinds=["job"]) for _ in range(50)]
        ids = submit_quick(d, 100)
        told = []
        for w in watchers:
            w.read_to_ends(ids)
            told.append([(c["id"], c["state"], c["time_usec"]) for c in w.seen
                         if c["id"] in ids])
        assert all(t == told[0] for t in told)
        check_complete(d, {id: watchers[0].states(id) for id in ids})
        with d.steady_descriptors():
            pass
        for w in watchers:
            w.close()
        assert d.run("echo")["state"] == "succeeded"


class Counter(threading.Thread):
    """A watcher that takes all as it comes, and counts."""

    def __init__(self, d):
        super().__init__(daemon=True)
        self.watcher = Watcher(d, limit=60, kinds=["job"])
        self.count = self.ends = 0

    def run(self):
        while True:
            try:
                text = self.watcher.connection.receive_raw()
            except (Closed, OSError):
                return
            self.count += 1
            self.ends += b'"succeeded"' in text


def make_noise(d, stop, most, size=2000):
    """Quick jobs until stop() is true; returns how many."""
    text = json.dumps({"jobs": [{"handler": "echo", "durability": "memory"}] * size})
    call = b'{"method":"io.brood.SubmitMany","parameters":' + text.encode() + b"}\0"
    n = 0
    with d.connect(60) as c:
        while not stop() and n < most:
            c.send_raw(call)
            assert b'"ids"' in c.receive_raw()
            n += size
            until(lambda: d.status()["jobs"].get("queued", 0) < 20000, "the queue is short", 30)
    return n


@limit(120)
def test_watchers_of_other_kinds():
    """Each is told what it has asked for, once written for all, whoever comes and goes; and who
    comes when nobody watched jobs misses none from then on."""
    with both() as d, contextlib.ExitStack() as stack:
        watchers = [Watcher(d, kinds=kinds) for kinds in (["job"], ["job", "worker"]) * 10]
        others = [Watcher(d, kinds=["pool", "worker"]) for _ in range(10)]
        for w in watchers + others:
            stack.callback(w.close)
        ids = d.call("SubmitMany", jobs=[{"handler": "echo"}] * 20)["ids"]
        told = []
        for w in watchers:
            w.read_to_ends(ids)
            told.append([(c["time_usec"], c["id"], c["state"]) for c in w.seen
                         if c["kind"] == "job" and c["id"] in ids])
        assert len(told[0]) == 60 and all(one == told[0] for one in told), told[0]
        assert len({t for t, _, _ in told[0]}) > 20, "a clock that stands proves nothing"
        for w in watchers:
            w.close()
        d.call("PausePool", pool="diag")
        for w in others:
            w.read_until(lambda c: c["kind"] == "pool" and c["state"] == "paused")
            assert {c["kind"] for c in w.seen} <= {"pool", "worker"}, w.seen
        d.call("ResumePool", pool="diag")
        late = Watcher(d, kinds=["job"])  # jobs were told to nobody meanwhile
        stack.callback(late.close)
        id = d.submit("echo")
        assert late.read_to_ends([id])[id] == ["queued", "running", "succeeded"], late.seen


def test_a_watcher_that_does_not_read_is_dropped():
    """More than a little is left unread for StallTimeout=: it loses its connection; another one
    hears everything."""
    with Daemon(conf="[Daemon]\nStallTimeout=1s\n[Queue]\nKeepFinishedMax=100\n") as d:
        deaf, counter = Watcher(d, kinds=["job"]), Counter(d)
        counter.start()
        n = make_noise(d, lambda: False, 20000)
        d.wait_log(r"dropped: it left \d+ bytes of replies unread", 10)
        until(lambda: counter.ends == n, "the other one has heard of %d ends" % n, 30)
        assert deaf.connection.is_closed(5)
        counter.watcher.close()
        deaf.close()


@limit(240)
def test_a_watcher_that_does_not_read_costs_no_more_than_its_limit():
    """Without StallTimeout= it is dropped at the limit of its replies; the memory comes back, and
    another one hears everything."""
    unless(not SANITIZED, "takes too long with sanitizers")
    with Daemon(conf="[Daemon]\nStallTimeout=infinity\n[Queue]\nKeepFinishedMax=100\n",
                log_level="info") as d:
        before = rss(d.pid)
        deaf, counter = Watcher(d, kinds=["job"]), Counter(d)
        counter.start()
        d.call("Status")
        peak, fds = 0, fd_count(d.pid)

        def dropped():
            nonlocal peak
            peak = max(peak, rss(d.pid))
            return fd_count(d.pid) <= fds  # one went, and one came for the noise

        n = make_noise(d, dropped, 400000)
        assert dropped() or fd_count(d.pid) < fds, "not dropped after %d jobs" % n
        d.wait_log(r"client uid=\d+ pid=\d+ dropped: more than \d+ bytes of replies unread", 2)
        assert peak - before < 160 << 20, peak - before
        until(lambda: counter.ends == n, "the other one has heard of %d ends" % n, 60)
        assert deaf.connection.is_closed(10)
        until(lambda: rss(d.pid) - before < 60 << 20, "memory comes back")
        counter.watcher.close()
        deaf.close()


def test_a_watcher_that_goes():
    """Its connection closes in the middle of changes: nobody minds, and nothing is left."""
    with Daemon() as d:
        with d.steady_descriptors():
            watchers = [Watcher(d) for _ in range(5)]
            ids = submit_quick(d, 300)
            for w in watchers:
                w.next()
                w.close()
            for id in ids[-3:]:
                assert d.wait(id)["state"] == "succeeded"
        w = Watcher(d, kinds=["job"])
        id = d.submit("echo")
        assert w.read_to_ends([id])[id] == ["queued", "running", "succeeded"]
        w.close()


def test_two_watches_on_one_connection():
    """The second one's replies wait for the first one's end: nothing is mixed, nothing is lost."""
    with Daemon() as d:
        w = Watcher(d, kinds=["job"])
        w.connection.send("Watch", {"kinds": ["pool"]}, more=True)
        d.call("PausePool", pool="diag")
        id = d.submit("echo", delay_usec=HOUR)
        assert w.next()["id"] == id
        w.close()
        assert d.status()["state"] == "running"


def test_reload_and_drain():
    """A Watch goes on over a reload, a drain and its end."""
    with Daemon() as d:
        w = Watcher(d, kinds=["job", "pool"])
        d.call("Reload")
        id = d.submit("sleep", {"seconds": 0.2})
        w.read_to_state(id, "running")
        d.call("Drain")
        d.call("Resume")
        w.read_to_state("diag", "running")
        assert w.states(id) == ["queued", "running", "succeeded"], w.seen
        assert w.states("diag") == ["draining", "running"], w.seen
        id = d.submit("echo")
        assert w.read_to_ends([id])[id] == ["queued", "running", "succeeded"]
        w.close()


def test_the_daemon_stops():
    """A watcher hears of the pools' draining and the workers' ends; the last word is Draining."""
    with Daemon() as d:
        w = Watcher(d)
        d.signal(signal.SIGTERM)
        with refused("Draining"):
            while True:
                w.next()
        assert w.states("diag") == ["draining"], w.seen
        for name in "diag.0", "diag.1":
            assert w.states(name) == ["leaving", "dead"], w.seen
        w.close()
        assert d.wait_exit() == 0
        d.prove_clean()
