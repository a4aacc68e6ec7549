# SPDX-License-Identifier: MIT
"""Named semaphores: no more than their size at a time, whatever happens, and nobody forgotten.

How many ran at a time is measured by the handlers themselves: each writes down when it begins, and
when it is about to answer.
"""

import contextlib
import os
import random
import signal
import subprocess
import time

from durable import *


def guarded(sizes, start=True, **keys):
    """A daemon with these semaphores, and the handlers `tally` and `score` in a pool each."""
    given = {"min_workers": 4, "handlers": "tally"}
    given.update(keys)
    d = durable(conf=semaphores(**sizes), start=False, **given)
    try:
        write_tally(d, "score", "score", min_workers=given["min_workers"])
        if start:
            d.start()
    except BaseException:
        d.end()
        raise
    return d


def semaphores(**sizes):
    return "[Semaphores]\n" + "".join("%s=%s\n" % one for one in sizes.items())


def resize(d, **sizes):
    d.write("config/brood.conf", semaphores(**sizes))
    d.call("Reload")


def most_at_a_time(d, ids, also=()):
    """The most of these jobs that ran at one time. `also`: (begin, end) of what left no end."""
    found = tallies(d)
    edges = [(b, 1) for b, _ in also] + [(e, -1) for _, e in also]
    for id in ids:
        ends = dict(found.ends.get(id, []))
        for attempt, begin in found.begins.get(id, []):
            if attempt in ends:
                edges += [(begin, 1), (ends[attempt], -1)]
    now = most = 0
    for _, change in sorted(edges):  # an end before a beginning of the same microsecond
        now += change
        most = max(most, now)
    return most


def why(d, id):
    return d.call("Why", id=id)["reason"]


def await_blocked(d, id):
    return d.await_state(id, "blocked")


def test_never_more_than_its_size():
    """Sixty jobs of two pools with eight workers: three at a time, durable or not, quick or not."""
    with guarded({"x": 3}) as d:
        ids = [d.submit(("tally", "score")[n % 2], {"n": n, "ms": n % 4 * 4}, semaphores=["x"],
                        durability=("fsync", "memory")[n // 2 % 2]) for n in range(60)]
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        assert most_at_a_time(d, ids) == 3, most_at_a_time(d, ids)


def test_quick_jobs_in_lines():
    """Jobs so quick that they would be written ahead take their units all the same."""
    with guarded({"x": 2}) as d:
        specs = [{"handler": "tally", "args": {"n": n}, "durability": "memory"} for n in range(300)]
        for id in d.call("SubmitMany", jobs=specs)["ids"]:
            d.wait(id)  # the daemon learns that they are quick
        for spec in specs:
            spec["semaphores"] = ["x"]
        ids = d.call("SubmitMany", jobs=specs)["ids"]
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        assert most_at_a_time(d, ids) <= 2, most_at_a_time(d, ids)


@limit(90)
def test_all_or_none():
    """Many jobs with some of five semaphores each: all of them run, and none is over its size."""
    dice = random.Random(20)
    sizes = {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3}
    with guarded(sizes) as d:
        named = {}
        for n in range(150):
            names = dice.sample(sorted(sizes), dice.randint(1, 4))
            id = d.submit(dice.choice(["tally", "score"]), {"n": n, "ms": dice.randint(0, 5)},
                          semaphores=names, priority=dice.randint(-1, 1),
                          durability=dice.choice(["fsync", "memory"]))
            named[id] = names
        for id in named:
            assert d.wait(id, 40)["state"] == "succeeded"
        for name, size in sizes.items():
            ids = [id for id, names in named.items() if name in names]
            assert most_at_a_time(d, ids) <= size, (name, most_at_a_time(d, ids))


def test_units_come_back():
    """However the attempt ends, the next one gets the unit."""
    with guarded({"x": 1}, min_workers=2, poison_deaths=1, max_attempts=1) as d:
        def kill(id):
            os.kill(d.worker_of(id)["pid"], signal.SIGKILL)

        def cancel(id):
            d.call("Cancel", id=id)

        def force(id):
            d.call("Cancel", id=id, force=True)

        def go(_):
            open_gate(d)

        ends = [("succeeded", {}, {}, go), ("failed", {"fail": 1}, {}, go),
                ("quarantined", {}, {}, kill), ("cancelled", {}, {}, cancel),
                ("cancelled", {}, {}, force),
                ("failed", {}, {"timeout_usec": 50000}, lambda _: None)]
        for durability in "memory", "fsync":
            for state, args, spec, end in ends:
                first = hold_one(d, ["x"], args, durability=durability, **spec)
                second = d.submit("score", {"n": 2}, semaphores=["x"], durability=durability)
                if state != "failed" or args:
                    assert "'x': 1 of 1 are held" in why(d, second), why(d, second)
                    assert not begun(d, second)
                end(first)
                assert d.wait(first)["state"] == state, (state, d.get(first))
                assert d.wait(second)["state"] == "succeeded"
                if os.path.exists(d.path("gate")):
                    os.unlink(d.path("gate"))


def hold_one(d, names, args=None, handler="tally", gate="gate", **spec):
    """A job that holds these semaphores until the gate is opened; it has begun."""
    given = {"n": 3, "until": d.path(gate), **(args or {})}
    id = d.submit(handler, given, semaphores=names, **spec)
    await_begun(d, id)
    return id


def test_units_between_attempts():
    """While a job waits to be tried again it holds nothing."""
    with guarded({"x": 1}, backoff="1h", backoff_max="1h") as d:
        first = d.submit("tally", {"n": 1, "fail": 1}, semaphores=["x"])
        d.await_state(first, "scheduled")
        assert d.run("tally", {"n": 2}, semaphores=["x"])["state"] == "succeeded"


def test_after_a_crash_of_the_daemon():
    """kill -9 of the daemon: what held a unit runs again with one, and there is one only."""
    with guarded({"x": 1, "y": 1}) as d:
        first = hold_one(d, ["x", "y"])
        others = [d.submit("tally", {"n": n, "ms": 2}, semaphores=["x"]) for n in range(5)]
        await_blocked(d, others[0])
        again(d)
        until(lambda: len(begun(d, first)) == 2 or begun(d, others[0]), "somebody begins")
        open_gate(d)
        for id in [first, *others]:
            assert d.wait(id)["state"] == "succeeded"
        assert most_at_a_time(d, [first, *others]) == 1


def test_drain_and_stop():
    """A drain waits for who holds a unit, not for who waits for one; after a stop it goes on."""
    with guarded({"x": 1}) as d:
        first = hold_one(d, ["x"], {"ms": 5})
        second = d.submit("tally", {"n": 1}, semaphores=["x"])
        await_blocked(d, second)
        with d.connect() as c:
            c.send("Drain", {})
            until(lambda: d.status()["state"] == "draining", "it drains")
            open_gate(d)
            assert c.receive() == {}
        assert d.get(first)["state"] == "succeeded"
        assert "draining" in why(d, second) or d.get(second)["state"] == "blocked", why(d, second)
        assert not begun(d, second)
        d.process.terminate()
        assert d.wait_exit() == 0
        d.start()
        assert d.wait(second)["state"] == "succeeded"
        assert d.run("tally", {"n": 1}, semaphores=["x"])["state"] == "succeeded"


def test_order():
    """Of those that wait the highest priority goes first, then the oldest."""
    with guarded({"x": 1}) as d:
        hold_one(d, ["x"])
        low, a, b, high = (d.submit("tally", {"n": 1, "ms": 3}, semaphores=["x"], priority=p)
                           for p in (-5, 0, 0, 5))
        until(lambda: d.pool_status("tally")["blocked"] == 4, "all wait")
        open_gate(d)
        for id in low, a, b, high:
            assert d.wait(id)["state"] == "succeeded"
        assert in_order_begun(d, [low, a, b, high]) == [high, a, b, low]


def test_the_others_go_past():
    """Jobs that name none, or another one, do not wait behind those that do."""
    with guarded({"x": 1, "y": 1}) as d:
        hold_one(d, ["x"])
        waiting = [d.submit("tally", {"n": 1}, semaphores=["x"], priority=9) for _ in range(50)]
        assert d.run("tally", {"n": 2})["state"] == "succeeded"
        assert d.run("tally", {"n": 2}, priority=-9)["state"] == "succeeded"
        assert d.run("tally", {"n": 2}, semaphores=["y"])["state"] == "succeeded"
        assert not any(begun(d, id) for id in waiting)
        open_gate(d)
        for id in waiting:
            assert d.wait(id)["state"] == "succeeded"


def test_cancelled_or_expired_while_it_waits():
    """A job that waits can be cancelled, and its ttl runs; others are not held up by it."""
    with guarded({"x": 1, "y": 1}) as d:
        hold_one(d, ["x"])
        gone = d.submit("tally", {"n": 1}, semaphores=["x", "y"])
        late = d.submit("tally", {"n": 1}, semaphores=["x"], ttl_usec=100000)
        after = d.submit("tally", {"n": 1}, semaphores=["x"])
        await_blocked(d, gone)
        d.call("Cancel", id=gone)
        assert d.wait(gone)["state"] == "cancelled"
        assert d.wait(late)["state"] == "expired"
        assert d.run("tally", {"n": 1}, semaphores=["y"])["state"] == "succeeded"
        open_gate(d)
        assert d.wait(after)["state"] == "succeeded"
        assert not begun(d, gone) and not begun(d, late)


def test_a_reload_changes_the_size():
    """Raised, more run at once; lowered, fewer do as soon as units come back."""
    with guarded({"x": 1}) as d:
        first = hold_one(d, ["x"])
        more = [d.submit("tally", {"n": n, "until": d.path("gate")}, semaphores=["x"])
                for n in range(3)]
        await_blocked(d, more[0])
        resize(d, x=3)
        await_begun(d, more[0])
        await_begun(d, more[1])
        assert "3 of 3 are held" in why(d, more[2]), why(d, more[2])
        resize(d, x=1)
        until(lambda: "3 of 1 are held" in why(d, more[2]), "it is lowered")
        open_gate(d)
        later = [d.submit("tally", {"n": n, "ms": 3}, semaphores=["x"]) for n in range(8)]
        for id in [first, *more, *later]:
            assert d.wait(id)["state"] == "succeeded"
        assert most_at_a_time(d, later) == 1


def test_removed_and_back():
    """Without its semaphore a job waits, and says so; when it is back the job runs. New jobs that
    name it are refused."""
    with guarded({"x": 1, "y": 1}) as d:
        hold_one(d, ["x"])
        waits = d.submit("tally", {"n": 1}, semaphores=["x"])
        await_blocked(d, waits)
        resize(d, y=1)
        open_gate(d)
        until(lambda: "'x', which the config does not have" in why(d, waits), "it says so")
        with refused("NoSuchSemaphore") as e:
            d.submit("tally", {"n": 1}, semaphores=["y", "x"])
        assert e["semaphore"] == "x"
        again(d)
        assert "'x', which the config does not have" in why(d, waits), why(d, waits)
        resize(d, x=1)
        assert d.wait(waits)["state"] == "succeeded"


def test_unknown():
    """NoSuchSemaphore names it, and of SubmitMany nothing is admitted."""
    with guarded({"x": 1}) as d:
        for name in "z", "X", "x ", "", "é\n":
            with refused("NoSuchSemaphore") as e:
                d.submit("tally", {"n": 1}, semaphores=["x", name])
            assert e["semaphore"] == name
        with refused("NoSuchSemaphore"):
            d.call("SubmitMany", jobs=[{"handler": "tally", "args": {"n": 1}},
                                       {"handler": "tally", "semaphores": ["nothing"]}])
        assert d.call("List")["jobs"] == []
        assert d.run("tally", {"n": 1}, semaphores=[])["state"] == "succeeded"
        with refused("org.varlink.service.InvalidParameter"):
            d.submit("tally", {"n": 1}, semaphores="x")


def test_the_same_name_twice():
    """It counts once, also after a restart."""
    with guarded({"x": 1}) as d:
        first = hold_one(d, ["x", "x", "x"])
        assert d.get(first)["spec"]["semaphores"] == ["x", "x", "x"]
        again(d)
        until(lambda: len(begun(d, first)) == 2, "it runs again")
        waits = d.submit("tally", {"n": 1}, semaphores=["x", "x"])
        assert "'x': 1 of 1 are held" in why(d, waits)
        open_gate(d)
        assert d.wait(waits)["state"] == "succeeded"


def test_how_many_names():
    """64 different ones are taken, 65 are not; after a restart, too."""
    names = ["s%d" % n for n in range(65)]
    with guarded({name: 1 for name in names}) as d:
        with refused("org.varlink.service.InvalidParameter") as e:
            d.submit("tally", {"n": 1}, semaphores=names)
        assert "semaphores" in e["parameter"]
        first = hold_one(d, names[:64])
        again(d)
        open_gate(d)
        assert d.wait(first)["state"] == "succeeded"
        assert d.run("tally", {"n": 1}, semaphores=names[:64])["state"] == "succeeded"


def test_how_many_names_with_some_twice():
    """What was taken because it names 64, some of them twice, is taken by the next daemon, too."""
    names = ["s%d" % n for n in range(64)]
    with guarded({name: 1 for name in names}) as d:
        first = hold_one(d, names * 2)
        again(d)
        open_gate(d)
        assert d.wait(first)["state"] == "succeeded"


def test_who_needs_two_gets_its_turn():
    """Others take one each without a pause; the one that needs both is not passed for ever."""
    with guarded({"x": 1, "y": 1}) as d:
        def one(n):
            return d.submit("tally", {"n": n, "ms": 8}, semaphores=[("x", "y")[n % 2]])

        stream = [one(n) for n in range(6)]
        pair = d.submit("tally", {"n": 1}, semaphores=["x", "y"])
        for n in range(300):
            if d.get(pair)["state"] == "succeeded":
                break
            until(lambda: d.pool_status("tally")["blocked"] < 8, "the stream flows")
            stream.append(one(n))
        assert d.get(pair)["state"] == "succeeded", "passed by %d" % len(stream)
        order = in_order_begun(d, [id for id in [*stream, pair] if begun(d, id)])
        assert order.index(pair) <= 20, order.index(pair)
        for id in stream:
            assert d.wait(id)["state"] == "succeeded"


def test_who_waits_for_what_is_gone_keeps_nothing():
    """A job needs two, and the config has one of them no more: it keeps nobody from the other."""
    with guarded({"x": 1, "y": 1}) as d:
        hold_one(d, ["y"])
        pair = d.submit("tally", {"n": 1}, semaphores=["x", "y"])
        await_blocked(d, pair)
        resize(d, x=1)
        open_gate(d)
        until(lambda: "which the config does not have" in why(d, pair), "y is gone")
        id = d.submit("tally", {"n": 2}, semaphores=["x"])
        assert d.wait(id, 5)["state"] == "succeeded"
        resize(d, x=1, y=1)
        assert d.wait(pair)["state"] == "succeeded"


def test_who_has_no_pool_keeps_nothing():
    """The best that waits needs two, and its pool is gone: jobs of other pools get the units."""
    with guarded({"x": 1, "y": 1}) as d:
        hold_one(d, ["y"])
        pair = d.submit("score", {"n": 1}, semaphores=["x", "y"])
        await_blocked(d, pair)
        os.unlink(d.path("config/pools/score.pool"))
        d.call("Reload")
        until(lambda: len(d.status()["pools"]) == 1, "the pool is gone")
        open_gate(d)
        for names in ["x"], ["y"], ["y", "x"]:
            id = d.submit("tally", {"n": 2}, semaphores=names)
            assert d.wait(id, 5)["state"] == "succeeded", names
        write_tally(d, "score", "score")
        d.call("Reload")
        assert d.wait(pair)["state"] == "succeeded"


def test_a_paused_pool_keeps_nothing():
    """The best that waits is in a pool that is paused: others get the unit."""
    with guarded({"x": 1, "y": 1}) as d:
        hold_one(d, ["y"])
        pair = d.submit("score", {"n": 1}, semaphores=["x", "y"], priority=9)
        await_blocked(d, pair)
        d.call("PausePool", pool="score")
        assert d.run("tally", {"n": 2}, semaphores=["x"])["state"] == "succeeded"
        open_gate(d)
        d.call("ResumePool", pool="score")
        assert d.wait(pair)["state"] == "succeeded"


def test_a_handler_goes_to_another_pool():
    """Jobs that wait at a semaphore go along with their handler, and hold no more than its size."""
    with guarded({"x": 1}) as d:
        first = hold_one(d, ["x"])
        waiting = [d.submit("score", {"n": n, "ms": 2}, semaphores=["x"]) for n in range(5)]
        await_blocked(d, waiting[0])
        os.unlink(d.path("config/pools/score.pool"))
        write_tally(d, "tally", "tally score", min_workers=4)
        d.call("Reload")
        until(lambda: d.get(waiting[0])["pool"] == "tally", "they have gone along")
        assert d.pool_status("tally")["blocked"] == 5
        old = d.worker_of(first)["pid"]
        until(lambda: all(w["pid"] == old or w["generation"] > 1 for w in d.workers())
              and d.pool_status("tally")["idle"] >= 3, "the others are new")
        open_gate(d)
        for id in [first, *waiting]:
            job = d.wait(id)
            assert job["state"] == "succeeded", job
        assert most_at_a_time(d, [first, *waiting]) == 1


def test_commands():
    """exec jobs take semaphores, too: each appends a line when it begins and when it ends."""
    with Daemon({"exec": commands(min_workers=3)}, conf=semaphores(x=1)) as d:
        script = "echo b >>%s; sleep 0.02; echo e >>%s" % (d.path("lines"), d.path("lines"))
        ids = [d.submit("exec", {"argv": ["/bin/sh", "-c", script]}, semaphores=["x"])
               for _ in range(10)]
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"
        with open(d.path("lines"), encoding="ascii") as f:
            assert f.read().split() == ["b", "e"] * 10


def test_wrong_configs():
    """A size that is none, and a name too long, are told with file and line; the last line of a
    name wins, an empty one removes it."""
    wrong = [("x=0", "x=0: expected how many jobs may hold it"), ("x=abc", "x=abc: expected"),
             ("x=-1", "x=-1: expected"), ("x=1.5", "x=1.5: expected"),
             ("x=1000001", "x=1000001: expected"), ("x=99999999999999999999", "expected"),
             ("%s=1" % ("n" * 65), "at most 64 characters"), ("x", "expected Key=value")]
    with guarded({"x": 1}) as d:
        for line, message in wrong:
            path = d.write("config/brood.conf", "[Semaphores]\ngood=1\n%s\n" % line)
            with refused("ConfigInvalid") as e:
                d.call("Reload")
            assert (e["file"], e["line"]) == (path, 3) and message in e["message"], e
            check = subprocess.run([build("daemon", "broodd"), "--check-config",
                                    "--config=" + d.path("config")], env=d.environment(),
                                   capture_output=True, text=True, timeout=slow(20), check=False)
            assert check.returncode != 0 and "%s:3: " % path in check.stderr + check.stdout, check
        with refused("NoSuchSemaphore"):
            d.submit("tally", {"n": 1}, semaphores=["good"])
        d.write("config/brood.conf", "[Semaphores]\nx=5\ngone=1\n%s=1\nx=1\ngone=\n" % ("n" * 64))
        d.call("Reload")
        hold_one(d, ["x"])
        assert "1 of 1" in why(d, d.submit("tally", {"n": 1}, semaphores=["x", "n" * 64]))
        with refused("NoSuchSemaphore"):
            d.submit("tally", {"n": 1}, semaphores=["gone"])
        open_gate(d)


@limit(120)
def test_under_load_with_deaths():
    """Workers are killed while many jobs take and give units: all of them end, and when nothing
    runs every unit is back."""
    dice = random.Random(4)
    with guarded({"x": 2, "y": 1}, max_attempts=50, poison_deaths=0, breaker_deaths=0,
                 spare_workers=2) as d:
        ids = []
        for n in range(150):
            names = dice.choice([["x"], ["y"], ["x", "y"], []])
            ids.append(d.submit("tally", {"n": n, "ms": dice.randint(0, 6)}, semaphores=names,
                                durability=dice.choice(["fsync", "memory"])))
            if n % 15 == 0:
                for worker in [w for w in d.workers("tally") if w["pid"]][:2]:
                    with contextlib.suppress(ProcessLookupError):  # it may be gone already
                        os.kill(worker["pid"], signal.SIGKILL)
        for id in ids:
            assert d.wait(id, 60)["state"] == "succeeded"
        for name, size in ("x", 2), ("y", 1):
            held = [hold_one(d, [name], gate=name) for _ in range(size)]
            assert "%d of %d are held" % (size, size) in why(
                d, d.submit("tally", {"n": 1}, semaphores=[name])), name
            open_gate(d, name)
            for id in held:
                assert d.wait(id)["state"] == "succeeded"
