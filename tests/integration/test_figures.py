# SPDX-License-Identifier: MIT
"""Everything shown is true: a test that knows what it did finds the same numbers everywhere."""

import collections
import contextlib
import json
import math
import os
import re
import signal
import sqlite3

from board import *
from durable import *
from metrics import *
from users import *

QUICK = {"max_attempts": 1}


class Deeds:
    """What was done, as it has to be counted."""

    def __init__(self, d):
        self.d = d
        self.ids = []
        self.submitted = collections.Counter()  # by handler
        self.ended = collections.Counter()      # by handler and state
        self.attempts = collections.Counter()   # by handler and outcome
        self.deaths = collections.Counter()     # by pool and cause
        self.stored = collections.Counter()     # of durable jobs: by handler and state
        self.lines = []                         # ids that have ended, to be compared one by one

    def ends(self, id, handler, state, *outcomes, deaths=(), pool="diag", durable=True):
        job = self.d.wait(id, 60)
        assert job["state"] == state, job
        assert [a["outcome"] for a in job["attempts"]] == list(outcomes), job
        self.ids.append(id)
        self.submitted[handler] += 1
        self.ended[handler, state] += 1
        self.attempts.update((handler, outcome) for outcome in outcomes)
        self.deaths.update((pool, cause) for cause in deaths)
        self.stored[handler, state] += durable

    def run(self, handler, args, state, *outcomes, spec=None, **more):
        self.ends(self.d.submit(handler, args, **(spec or QUICK)), handler, state, *outcomes,
                  durable=(spec or {}).get("durability") != "memory", **more)


def well(deeds):
    for _ in range(7):
        deeds.run("echo", {"x": 1}, "succeeded", "succeeded")
    for _ in range(3):
        deeds.run("echo", {"x": 1}, "succeeded", "succeeded", spec={"durability": "memory"})
    deeds.run("tally", {"n": 1, "fail": 1}, "succeeded", "error", "succeeded",
              spec={"max_attempts": 3}, pool="tally")


def badly(deeds):
    for _ in range(4):
        deeds.run("fail", {"message": "no", "retry": False}, "failed", "error")
    for _ in range(2):
        deeds.run("fail", {"message": "no", "retry": True}, "failed", *["error"] * 3,
                  spec={"max_attempts": 3})
    for _ in range(3):
        deeds.run("crash", {"signal": "SEGV"}, "failed", "worker_died", deaths=["signal"])
    for _ in range(2):
        deeds.run("exit", {"status": 3}, "failed", "worker_died", deaths=["exit"])
    deeds.run("tally", {"n": 1, "crash": 9}, "quarantined", *["worker_died"] * 3,
              deaths=["killed"] * 3, spec={"max_attempts": 9}, pool="tally")


def killed(deeds, d):
    for _ in range(2):
        id = d.submit("sleep", {"seconds": 600}, **QUICK)
        os.kill(d.worker_of(id)["pid"], signal.SIGKILL)
        deeds.ends(id, "sleep", "failed", "worker_died", deaths=["killed"])
    id = d.submit("tally", {"n": 1, "until": d.path("never")}, max_attempts=2)
    await_begun(d, id)
    os.kill(d.worker_of(id)["pid"], signal.SIGKILL)
    await_begun(d, id, 2)
    open_gate(d, "never")
    deeds.ends(id, "tally", "succeeded", "worker_died", "succeeded", deaths=["killed"],
               pool="tally")
    os.unlink(d.path("never"))


def timed_out(deeds):
    spec = {"max_attempts": 1, "timeout_usec": 50000}
    for _ in range(2):  # hears nothing
        deeds.run("spin", {"seconds": 600}, "failed", "timeout", deaths=["timeout"], spec=spec)
    deeds.run("sleep", {"seconds": 600}, "failed", "timeout", spec=spec)


def cancelled(deeds, d):
    id = d.submit("spin", {"seconds": 600}, **QUICK)
    d.worker_of(id)
    d.call("Cancel", id=id)
    deeds.ends(id, "spin", "cancelled", "cancelled", deaths=["cancel"])
    id = d.submit("sleep", {"seconds": 600}, **QUICK)
    d.worker_of(id)
    d.call("Cancel", id=id)
    deeds.ends(id, "sleep", "cancelled", "cancelled")
    for _ in range(3):
        id = d.submit("echo", delay_usec=HOUR)
        d.call("Cancel", id=id)
        deeds.ends(id, "echo", "cancelled")


def expired(deeds):
    for _ in range(2):
        deeds.run("echo", {}, "expired", spec={"delay_usec": HOUR, "ttl_usec": 20000})


def retried(deeds, d):
    """A job that has failed is asked for again: it counts as one job, and ends twice."""
    id = d.submit("tally", {"n": 1, "fail": 1}, **QUICK)
    deeds.ends(id, "tally", "failed", "error", pool="tally")
    d.call("Retry", id=id)
    job = d.wait(id)
    assert job["state"] == "succeeded", job
    deeds.ended["tally", "succeeded"] += 1
    deeds.attempts["tally", "succeeded"] += 1
    deeds.stored["tally", "failed"] -= 1
    deeds.stored["tally", "succeeded"] += 1


def counted(samples, name, *labels):
    """{(label, …): number} of all that are not 0, of handlers and pools that were used."""
    found = {}
    for (sample, pairs), value in samples.items():
        if sample == name and value:
            pairs = dict(pairs)
            found[tuple(pairs[label] for label in labels)] = value
    return found


def plain(counter):
    return {key if isinstance(key, tuple) else (key,): n for key, n in counter.items() if n}


def check_metrics(deeds, now):
    got = figures(text_of(deeds.d))
    assert counted(got, "brood_jobs_submitted_total", "handler") == plain(deeds.submitted)
    assert counted(got, "brood_jobs_ended_total", "handler", "state") == plain(deeds.ended)
    assert counted(got, "brood_attempts_total", "handler", "outcome") == plain(deeds.attempts)
    assert counted(got, "brood_worker_deaths_total", "pool", "cause") == plain(deeds.deaths)
    states = collections.Counter()
    for (_, state), n in counted(got, "brood_jobs", "pool", "state").items():
        states[state] += n
    assert states == now, (states, now)
    for name in "waiting", "running":
        counts = counted(got, "brood_%s_seconds_count" % name, "handler")
        want = collections.Counter()
        for (handler, _), n in deeds.attempts.items():
            want[handler] += n
        assert counts == plain(want), (name, counts, want)


def check_status(deeds, now):
    status = deeds.d.status()
    assert {state: n for state, n in status["jobs"].items() if n} == now
    done, deaths = collections.Counter(), collections.Counter()
    for (handler, _), n in deeds.ended.items():
        done["tally" if handler == "tally" else "diag"] += n
    for (pool_name, _), n in deeds.deaths.items():
        deaths[pool_name] += n
    for p in status["pools"]:
        assert (p["done"], p["deaths"]) == (done[p["name"]], deaths[p["name"]]), p
        assert p["busy"] == p["queued"] == p["scheduled"] == p["blocked"] == 0, p
        assert p["idle"] == p["workers"] - p["spare"] == 2, p
    assert len(status["deaths"]) == min(16, sum(deaths.values()))
    return done, deaths


def check_words(deeds, now, done, deaths):
    """broodctl status, and pools, list and workers."""
    text = ctl(deeds.d, "status")
    jobs = re.search(r"^ *Jobs: (.*)$", text, re.M)[1]
    shown = {state: int(n) for n, state in re.findall(r"(\d+) (\w+)", jobs)}
    assert {state: n for state, n in shown.items() if n} == now, jobs
    assert re.search(r"^ *Deaths: (\d+)", text, re.M)[1] == str(sum(deaths.values())), text
    for p in deeds.d.status()["pools"]:
        name = p["name"]
        row = re.search(r"^ *%s +running +\S+ +0/2 +0 +0 +0 +0 +(\d+) +(\d+) " % name, text, re.M)
        assert row, text
        assert (int(row[1]), int(row[2])) == (done[name], deaths[name]), row[0]
    listed = collections.Counter()
    for line in ctl(deeds.d, "--json", "list").splitlines():
        listed.update(job["state"] for job in json.loads(line)["jobs"])
    assert listed == now, (listed, now)


def check_store(deeds):
    """What another program finds in brood.db."""
    db = sqlite3.connect("file:%s?mode=ro" % deeds.d.path("state/brood.db"), uri=True)
    with contextlib.closing(db):
        rows = db.execute("SELECT handler, state, count(*) FROM jobs GROUP BY handler, state")
        assert {(h, s): n for h, s, n in rows} == plain(deeds.stored)
        rows = db.execute("SELECT json_extract(a.value, '$.outcome'), count(*) FROM jobs, "
                          "json_each(attempts) AS a GROUP BY 1")
        outcomes = collections.Counter()
        for (_, outcome), n in deeds.attempts.items():
            outcomes[outcome] += n
        outcomes["succeeded"] -= 3  # of memory jobs
        assert dict(rows) == {o: n for o, n in outcomes.items() if n}


def check_board(deeds, now):
    """The scoreboard, when it has been written after the last job."""
    def true():
        board = Board(deeds.d.path("run/scoreboard"))
        return {s: n for s, n in zip(STATES, board.head.jobs) if n} == now and board
    board = until(true, "the scoreboard has the same", 20)
    for handler, n in deeds.submitted.items():
        h = board.handlers[handler]
        assert h.submitted == n, handler
        assert {s: v for s, v in zip(STATES, h.ended) if v} == \
            {s: v for (of, s), v in deeds.ended.items() if of == handler and v}
        assert {o: v for o, v in zip(OUTCOMES, h.attempts) if v} == \
            {o: v for (of, o), v in deeds.attempts.items() if of == handler and v}


@limit(180)
def test_what_became_of_jobs():
    """Jobs that end in every way: the same numbers in Metrics, Status, broodctl status and list,
    the store and the scoreboard."""
    with durable({"diag": diag(spare_workers=0)}, spare_workers=0) as d:
        deeds = Deeds(d)
        well(deeds)
        badly(deeds)
        killed(deeds, d)
        timed_out(deeds)
        cancelled(deeds, d)
        expired(deeds)
        retried(deeds, d)
        d.await_workers(20)
        until(lambda: all(p["idle"] == 2 for p in d.status()["pools"]), "all workers are there", 20)
        now = collections.Counter()
        for id in deeds.ids:
            now[d.get(id)["state"]] += 1
        assert now["succeeded"] == 13 and now["failed"] == 16, now
        check_metrics(deeds, now)
        done, deaths = check_status(deeds, now)
        check_words(deeds, now, done, deaths)
        check_store(deeds)
        check_board(deeds, now)


def test_what_is_under_way():
    """Jobs that wait in every way, and that run."""
    conf = "[Semaphores]\nx=1\n"
    with durable(conf=conf, min_workers=2) as d:
        running = [hold(d), hold(d, semaphores=["x"])]
        blocked = [d.submit("tally", {"n": 1}, semaphores=["x"]) for _ in range(2)]
        blocked += [d.submit("tally", {"n": 1}, after=[running[0]]) for _ in range(3)]
        queued = [d.submit("tally", {"n": 1}) for _ in range(4)]
        later = [d.submit("tally", {"n": 1}, delay_usec=HOUR) for _ in range(6)]
        want = {"running": len(running), "queued": len(queued), "blocked": len(blocked),
                "scheduled": len(later)}
        until(lambda: {s: n for s, n in d.status()["jobs"].items() if n} == want, "they wait", 20)
        got = figures(text_of(d))
        for state, n in want.items():
            assert figure(got, "brood_jobs", pool="tally", state=state) == n, state
        assert figure(got, "brood_workers", pool="tally", state="busy") == 2
        p = d.pool_status("tally")
        assert (p["busy"], p["idle"], p["queued"], p["blocked"], p["scheduled"]) == (2, 0, 4, 5, 6)
        text = ctl(d, "status")
        jobs = re.search(r"^ *Jobs: (.*)$", text, re.M)[1]
        assert jobs.startswith("4 queued, 2 running, 6 scheduled, 5 blocked"), jobs
        assert re.search(r"^ *tally +running +\S+ +2/2 +0 +0 +4 +11 +0 +0 ", text, re.M), text
        rows = json.loads(ctl(d, "--json", "workers"))["workers"]
        assert sorted(id for row in rows for id in row["jobs"]) == sorted(running)
        assert {row["state"] for row in rows} == {"busy"}
        open_gate(d)


def test_workers_are_as_they_are():
    """broodctl workers, ListWorkers and /proc agree: pids, generations, jobs done, memory."""
    with Daemon({"diag": diag(min_workers=3, spare_workers=1)}) as d:
        until(lambda: d.pool_status()["spare"] == 1, "a spare", 20)
        for _ in range(20):
            d.run("echo")
        asked = {w["name"]: w for w in d.workers()}
        shown = {w["name"]: w for w in json.loads(ctl(d, "--json", "workers"))["workers"]}
        assert set(asked) == set(shown) and len(asked) == 4
        for name, one in asked.items():
            other = shown[name]
            for key in "pool", "pid", "generation", "state", "jobs", "jobs_done", "started_usec":
                assert one[key] == other[key], (name, key, one, other)
            assert other["memory_bytes"] > 0
        assert sum(w["jobs_done"] for w in shown.values()) == 20
        assert figure(figures(text_of(d)), "brood_workers", pool="diag", state="spare") == 1
        text = ctl(d, "workers", "diag")
        for name, one in shown.items():
            assert re.search(r"^%s +%d +%s +%d +%d " % (re.escape(name), one["pid"], one["state"],
                                                        one["generation"], one["jobs_done"]),
                             text, re.M), text


def refusal_count(d):
    return {reason: n for (reason,), n in
            counted(figures(text_of(d)), "brood_refusals_total", "reason").items()}


def test_refusals_by_each_limit():
    """Each limit, and each other reason, is counted under its own name as often as it refused."""
    conf = ("[Queue]\nMaxQueued=40\nMaxArgsSize=1K\n[Access]\nSubmit=*\nMaxQueued=3\nMaxBytes=8K\n"
            "MaxRate=0\nMaxConnections=4\n")
    pools = {"diag": diag(), "small": pool("mood", "moods.so", min_workers=1, max_queued=2)}
    with Users(conf=conf, pools=pools) as d:
        want = collections.Counter()
        later = {"handler": "echo", "delay_usec": 10**9}

        def refuses(c, name, reason, times, method="Submit", **parameters):
            for _ in range(times):
                with refused(name):
                    c.call(method, **parameters)
                want[reason] += 1

        with d.connect_as(ALICE) as alice, d.connect_as(BOB) as bob:
            for _ in range(3):
                alice.call("Submit", job=later)
            refuses(alice, "QuotaExceeded", "quota_queued", 4, job=later)
            bob.call("Submit", job={**later, "args": {"x": "y" * 900}})
            refuses(bob, "TooLarge", "too_large", 2, job={**later, "args": {"x": "y" * 2000}})
            refuses(bob, "NoSuchHandler", "no_such_handler", 3, job={"handler": "none"})
            refuses(bob, "AccessDenied", "access_denied", 2, "PausePool", pool="diag")
            refuses(bob, "NoSuchJob", "no_such_job", 1, "Get", id="x")
        root = d.client
        refuses(root, "NoSuchPool", "no_such_pool", 2, "PausePool", pool="none")
        refuses(root, "NoSuchSemaphore", "no_such_semaphore", 2,
                job={**later, "semaphores": ["none"]})
        for _ in range(2):
            root.call("Submit", job={"handler": "mood", "delay_usec": 10**9})
        refuses(root, "QueueFull", "queue_full", 3, job={"handler": "mood", "delay_usec": 10**9})
        refuses(root, "org.varlink.service.InvalidParameter", "invalid_parameter", 2,
                job={"handler": "echo", "priority": 5000})
        done = d.run("echo")
        refuses(root, "WrongState", "wrong_state", 1, "Cancel", id=done["id"])
        d.write("config/brood.conf", "nonsense\n")
        refuses(root, "ConfigInvalid", "config_invalid", 1, "Reload")
        assert refusal_count(d) == want, (refusal_count(d), want)
        for kind in "quota_queued", "queue_full":
            said = next(w for w in d.status()["warnings"] if w.get("subject") == kind)
            assert "%d so far" % want[kind] in said["message"], said


def test_refused_bytes_rates_and_connections():
    """The other limits of a user."""
    conf = "[Access]\nSubmit=*\nMaxBytes=20K\nMaxConnections=3\n"
    with Users(conf=conf, pools={"diag": diag()}) as d:
        later = {"handler": "echo", "delay_usec": 10**9, "args": {"x": "y" * 3000}}
        n = 0
        with d.connect_as(ALICE) as alice:
            while n < 3:
                try:
                    alice.call("Submit", job=later)
                except VarlinkError as error:
                    assert error.parameters["quota"] == "bytes", error
                    n += 1
        with contextlib.ExitStack() as stack:
            for s in d.sockets_of(BOB, 5):
                stack.enter_context(s)
            until(lambda: refusal_count(d).get("quota_connections") == 2, "two too many", 20)
        d.configure("[Access]\nSubmit=*\nMaxRate=2\n")
        refused_now = 0
        with d.connect_as(BOB) as bob:
            for _ in range(20):
                try:
                    bob.call("Submit", job=later)
                except VarlinkError as error:
                    assert error.parameters["quota"] == "rate", error
                    refused_now += 1
        want = {"quota_bytes": 3, "quota_connections": 2, "quota_rate": refused_now}
        assert refused_now >= 10 and refusal_count(d) == want, (refusal_count(d), want)


def nearest(values, share):
    """The value that a share of all does not exceed."""
    values = sorted(values)
    return values[max(1, min(len(values), math.floor(share * len(values) + 0.5))) - 1]


SLACK = 2000  # microseconds between two looks at the clock


def close_to(shown, true):
    return true * 7 / 8 - SLACK <= shown <= true * 9 / 8 + SLACK


@limit(120)
def test_how_long_things_took():
    """Quantiles of waiting and running are off by an eighth at the most from what the jobs' own
    records say, sums are the same, and neither is shorter than what was slept."""
    with durable({"diag": diag(min_workers=1)}) as d:
        given = [0.01, 0.02, 0.05, 0.1, 0.2] * 8
        ids = [d.submit("sleep", {"seconds": s}) for s in given]
        jobs = [d.wait(id, 60) for id in ids]
        running = [j["attempts"][0]["ended_usec"] - j["attempts"][0]["started_usec"] for j in jobs]
        waiting = [j["attempts"][0]["started_usec"] - j["submitted_usec"] for j in jobs]
        assert all(took >= s * 1e6 for took, s in zip(running, given)), (running, given)

        def written():
            board = Board(d.path("run/scoreboard"))
            return sum(board.handlers["sleep"].running.buckets) == len(ids) and board
        handler = until(written, "they are on the scoreboard", 20).handlers["sleep"]
        for histogram, true in (handler.running, running), (handler.waiting, waiting):
            for share in 0.5, 0.95, 0.99:
                assert close_to(quantile(histogram, share), nearest(true, share)), \
                    (share, quantile(histogram, share), nearest(true, share))
        got = figures(text_of(d))
        for name, true in ("running", running), ("waiting", waiting):
            series = "brood_%s_seconds" % name
            assert figure(got, series + "_count", pool="diag", handler="sleep") == len(ids)
            total = figure(got, series + "_sum", pool="diag", handler="sleep")
            assert abs(total - sum(true) / 1e6) <= len(ids) * SLACK / 1e6, (total, sum(true))
            for (sample, pairs), n in got.items():
                pairs = dict(pairs)
                if sample == series + "_bucket" and pairs["handler"] == "sleep":
                    bound = float(pairs["le"]) * 1e6
                    least = sum(t + SLACK < bound for t in true)
                    most = sum(t - SLACK < bound for t in true)
                    assert least <= n <= most, (name, pairs, n, least, most)
        assert quantile(handler.running, 0.99) >= 0.2e6 * 7 / 8
        assert quantile(handler.waiting, 0.99) >= sum(given[:-1]) * 1e6 * 7 / 8


def test_delays_are_no_waiting():
    """What a job is told to wait is not counted as waiting for a worker."""
    with durable({"diag": diag()}) as d:
        for _ in range(3):
            d.run("echo", delay_usec=300000)
        job = d.run("tally", {"n": 1, "fail": 2}, max_attempts=3)
        assert len(job["attempts"]) == 3
        got = figures(text_of(d))
        assert figure(got, "brood_waiting_seconds_count", pool="diag", handler="echo") == 3
        jobs = [job for line in ctl(d, "--json", "list").splitlines()
                for job in json.loads(line)["jobs"]]
        late = sum(j["started_usec"] - j["submitted_usec"] - 300000 for j in jobs
                   if j["spec"]["handler"] == "echo")
        total = figure(got, "brood_waiting_seconds_sum", pool="diag", handler="echo") * 1e6
        assert 0 < total <= late + SLACK, (total, late)


def test_commits_and_turns_are_counted():
    """Durable jobs make commits, memory jobs none; the loop's turns are timed."""
    with Daemon() as d:
        before = figures(text_of(d))
        for _ in range(10):
            d.run("echo", durability="memory")
        middle = figures(text_of(d))
        for _ in range(10):
            d.run("echo")
        after = figures(text_of(d))
        name = "brood_store_commit_seconds_count"
        assert figure(before, name) == figure(middle, name) < figure(after, name)
        writes = [figure(x, "brood_store_writes_total") for x in (middle, after)]
        assert writes[1] - writes[0] >= 20, writes  # each is admitted and settled
        turns = [figure(x, "brood_loop_turn_seconds_count") for x in (before, middle, after)]
        assert turns[0] < turns[1] < turns[2]
        assert figure(after, "brood_store_failures_total") == 0
        memory = figure(after, "brood_resident_memory_bytes")
        assert abs(rss(d.pid) - memory) <= memory / 5, (rss(d.pid), memory)
        size = sum(os.path.getsize(d.path("state", f)) for f in os.listdir(d.path("state"))
                   if f in ("brood.db", "brood.db-wal"))
        assert abs(figure(after, "brood_store_size_bytes") - size) <= 1 << 20
        assert figure(after, "brood_start_time_seconds") * 1e6 == d.status()["started_usec"]


def test_answers_that_come_too_late_are_counted():
    """stale: nothing so far in a daemon whose workers answer in time."""
    with Daemon() as d:
        d.run("echo")
        assert figure(figures(text_of(d)), "brood_stale_answers_total") == 0


def test_after_a_restart_counters_begin_anew():
    """What only grows begins at nothing with a new daemon, and gauges say what the store has."""
    with durable() as d:
        d.run("tally", {"n": 1})
        later = d.submit("tally", {"n": 1}, delay_usec=HOUR)
        again(d)
        got = figures(text_of(d))
        assert figure(got, "brood_jobs_submitted_total", pool="tally", handler="tally") == 0
        assert figure(got, "brood_jobs", pool="tally", state="scheduled") == 1
        assert figure(got, "brood_jobs", pool="tally", state="succeeded") == 1
        assert d.get(later)["state"] == "scheduled"
