# SPDX-License-Identifier: MIT
"""Durability is true: nothing is said, and nothing begun, before the fdatasync that covers it."""

import shutil
import uuid

import wal_trace
from durable import *
from wal_trace import RUNNING, Log, Trace, broken, columns_of_job, has_row, promises


def needs_strace():
    unless(shutil.which("strace"), "needs strace")


def new_ids(n):
    return [str(uuid.uuid4()) for _ in range(n)]


def columns(d):
    return columns_of_job(d.path("state", "brood.db"))


def check(d, trace, ids, runs):
    """Every job was told and run, and nothing of it too early."""
    names = columns(d)
    kinds = [p.what for p in promises(trace.calls, ids)]
    for id in ids:
        assert any("reply with " + id in k for k in kinds), "no reply seen for %s" % id
    # more than that: a run that was written ahead and recalled is written again, as the next
    # attempt where it was the first in line
    assert len({k for k in kinds if k.startswith("Run of ")}) >= runs, (len(ids), kinds)
    early = broken(trace.calls, ids, names)
    assert not early, early[:10]
    # the same calls without an fdatasync must be found out
    blind = [c for c in trace.calls if c.name not in ("fdatasync", "fsync")]
    assert len(broken(blind, ids, names)) == len(kinds)


def test_a_submit_with_a_free_slot():
    """Reply and Run come after the fdatasync; admission and claim are one commit."""
    needs_strace()
    with durable() as d:
        d.run("tally", {"n": 1})
        for id in new_ids(5):
            with Trace(d) as trace:
                d.run("tally", {"n": 2}, id=id)
            other = new_ids(1)[0]
            with Trace(d) as second:
                d.submit("tally", {"n": 2}, id=other)
                d.wait(other)
            for t, i in (trace, id), (second, other):
                log = Log(t.calls, columns(d))
                claimed = log.safe_from(has_row(i, 1, RUNNING))
                assert claimed == log.safe_from(has_row(i)), "two commits, where one would do"
            check(d, second, [other], 1)
            assert not broken(trace.calls, [id], columns(d))


def test_a_submit_with_a_busy_pool():
    """The reply comes after the commit of its admission; the Run after that of its claim, which is
    a later one."""
    needs_strace()
    with durable(min_workers=1) as d:
        held = hold(d)
        ids = new_ids(3)
        with Trace(d) as trace:
            for id in ids:
                d.submit("tally", {"n": 2}, id=id)
            open_gate(d)
            for id in [held, *ids]:
                assert d.wait(id)["state"] == "succeeded"
        check(d, trace, ids, 3)
        log = Log(trace.calls, columns(d))
        for id in ids:
            assert log.safe_from(has_row(id)) < log.safe_from(has_row(id, 1, RUNNING))


def test_submit_many():
    """The one reply comes after the commits of all of them, each Run after that of its claim."""
    needs_strace()
    with durable() as d:
        ids = new_ids(60)
        with Trace(d) as trace:
            d.call("SubmitMany", jobs=[{"handler": "tally", "args": {"n": i}, "id": id}
                                       for i, id in enumerate(ids)])
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
        check(d, trace, ids, 60)


def test_many_clients_at_once():
    """Under load, where one fdatasync covers many submits, none is told before its own."""
    needs_strace()
    with durable() as d:
        ids = new_ids(160)
        links = [d.connect() for _ in range(8)]
        with Trace(d) as trace:
            for i, id in enumerate(ids):
                links[i % 8].send("Submit", {"job": {"handler": "tally", "args": {"n": i},
                                                     "id": id}})
            for i, _ in enumerate(ids):
                links[i % 8].receive()
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
        for link in links:
            link.close()
        check(d, trace, ids, 160)
        syncs = Log(trace.calls, columns(d)).syncs
        assert len(syncs) < 2 * len(ids), "no commit was shared: %d" % len(syncs)


def test_attempts_that_follow():
    """The second attempt of a job begins after the commit that holds its number."""
    needs_strace()
    with durable() as d:
        ids = new_ids(4)
        with Trace(d) as trace:
            for id in ids:
                d.submit("tally", {"n": 2, "fail": 2}, id=id, max_attempts=3)
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
        check(d, trace, ids, 12)


def test_memory_jobs_touch_no_disk():
    """With durability=memory nothing is written and nothing synced."""
    needs_strace()
    with durable() as d:
        d.run("tally", {"n": 1})
        ids = new_ids(20)
        with Trace(d) as trace:
            d.call("SubmitMany", jobs=[{"handler": "tally", "id": id, "durability": "memory"}
                                       for id in ids[:10]])
            for id in ids[10:]:
                d.run("tally", {"n": 1}, id=id, durability="memory")
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
        touched = [(c.name, c.file) for c in trace.calls if "brood.db" in c.file]
        assert not touched, touched
        kinds = [p.what for p in promises(trace.calls, ids)]
        assert sum(k.startswith("Run of ") for k in kinds) == 20
        assert len(broken(trace.calls, ids, columns(d))) == len(kinds)  # the test can say no


def test_the_trace_itself():
    """A call before the end of the fdatasync is found, and one that syncs what came later."""
    def call(name, file, text, begin, end, result="0"):
        c = wal_trace.Call(name, '5</x/%s>, "%s"' % (file, text), begin)
        c.end, c.result = end, result
        return c

    def log(*syncs):
        found = Log([call("fdatasync", "brood.db-wal", "", b, e, r) for b, e, r in syncs], [])
        found.rows = [(10, {"id": "a", "attempt": 1, "state": RUNNING})]
        return found

    condition = has_row("a", 1, RUNNING)
    assert log((11, 12, "0")).safe_from(condition) == 12
    assert log((9, 12, "0")).safe_from(condition) is None
    assert log((11, 12, "-1"), (13, 14, "0")).safe_from(condition) == 14
    assert log((11, 12, "0")).safe_from(has_row("a", 2)) is None
    assert log((11, 12, "0")).safe_from(has_row("b")) is None
    reply = wal_trace.Call("sendmsg", '7<UNIX-STREAM:[1->2]>, "{}"', 12)
    assert reply.is_socket()
    assert not wal_trace.Promise("", reply, condition).is_kept(log((11, 12, "0")))
    reply.begin = 13
    assert wal_trace.Promise("", reply, condition).is_kept(log((11, 12, "0")))
