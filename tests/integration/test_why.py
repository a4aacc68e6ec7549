# SPDX-License-Identifier: MIT
"""Why: what a job waits for, in words, and how many are ahead of it."""

import os
import re
import shutil
import signal
import subprocess
import time
import uuid

from durable import *
from test_durability_disk import failing_disk
from users import ALICE, BOB, Users


def why(d, id):
    """(state, reason, ahead or None)"""
    said = d.call("Why", id=id)
    return said["state"], said["reason"], said.get("ahead")


def says(d, id, pattern, ahead=None, state=None):
    """Waits until Why answers with words that match as a whole, and perhaps this number."""
    said = []

    def matches():
        said[:] = why(d, id)
        return (re.fullmatch(pattern, said[1]) and (ahead is None or said[2] == ahead)
                and (state is None or said[0] == state))

    try:
        return until(matches, "words", 5)
    except AssertionError:
        raise AssertionError("%s: expected %r, ahead %s" % (said, pattern, ahead)) from None


# What keeps a worker, or holds a semaphore.
AT = r"; worker tally\.\d has been at job (%s) \(tally\) for \S.*"
AT_ANY = AT % r"[0-9a-f-]{36}"
RUNS = r"attempt 1 runs on worker tally\.\d \(pid \d+\), for .*"


def one_worker(**keys):
    given = {"min_workers": 1}
    given.update(keys)
    return durable(**given)


def seconds_in(words):
    """The seconds of a time span."""
    units = {"h": 3600, "min": 60, "s": 1, "ms": 0.001, "us": 1e-6}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"(\d+)(h|min|ms|us|s)", words))


def test_its_time():
    """delay and run_at: waits for its time, and how long that is. Get and List say the same."""
    with one_worker() as d:
        span = r"waits for its time, in (.+)"
        for durability in "memory", "fsync":
            later = d.submit("tally", {"n": 1}, delay_usec=HOUR, durability=durability)
            at = d.submit("tally", {"n": 1}, durability=durability,
                          run_at_usec=int(time.time() * 1e6) + 60 * 10**6)
            found = says(d, later, span, state="scheduled")
            assert found and why(d, later)[2] is None
            assert 3590 < seconds_in(re.fullmatch(span, why(d, later)[1])[1]) <= 3600
            assert 50 < seconds_in(re.fullmatch(span, why(d, at)[1])[1]) <= 60
            assert re.fullmatch(span, d.get(later)["reason"]), d.get(later)
            listed = {j["id"]: j for j in d.call("List", state="scheduled")["jobs"]}
            assert re.fullmatch(span, listed[at]["reason"])


def test_the_next_attempt():
    """Backoff: it is tried again, after which attempt, and how that ended; so after a restart."""
    with one_worker(backoff="1h", backoff_max="1h") as d:
        id = d.submit("tally", {"n": 1, "fail": 9})
        pattern = r"waits (\d+min \d+s|1h) before it is tried again, after attempt 1 \(error\)"
        says(d, id, pattern, state="scheduled")
        assert re.fullmatch(pattern, d.get(id)["reason"])
        again(d)
        says(d, id, pattern, state="scheduled")
        slow_one = d.submit("tally", {"n": 1, "until": d.path("gate")}, timeout_usec=50000)
        says(d, slow_one, r"waits .* before it is tried again, after attempt 1 \(timeout\)")


def test_other_jobs():
    """after: the job it waits for and how that is; when there are several, one after the other."""
    with one_worker() as d:
        first = hold(d)
        second = d.submit("tally", {"n": 1}, delay_usec=HOUR)
        id = d.submit("tally", {"n": 1}, after=[first, second])
        says(d, id, "waits for job %s, which is running; %s" % (first, RUNS), state="blocked")
        assert d.get(id)["reason"] == "waits for job %s, which is running" % first
        again(d)
        until(lambda: len(begun(d, first)) == 2, "it runs again")
        says(d, id, "waits for job %s, which is running; attempt 2 .*" % first, state="blocked")
        open_gate(d)
        says(d, id, "waits for job %s, which is scheduled; waits for its time, in .*" % second,
             state="blocked")
        d.call("Cancel", id=second)
        says(d, id, "job %s, which had to succeed first, was cancelled" % second,
             state="cancelled")


def test_a_chain_of_jobs():
    """The last of the chain is told, too, and what that waits for: there somebody has to act."""
    with one_worker() as d:
        d.call("PausePool", pool="tally")
        first = d.submit("tally", {"n": 1})
        second = d.submit("tally", {"n": 1}, after=[first])
        third = d.submit("tally", {"n": 1}, after=[second])
        fourth = d.submit("tally", {"n": 1}, after=[third])
        says(d, second, "waits for job %s, which is queued; pool 'tally' is paused" % first)
        says(d, fourth, "waits for job %s, which is blocked; the last of that chain is job %s, "
             "which is queued: pool 'tally' is paused" % (third, first), state="blocked")
        d.call("ResumePool", pool="tally")
        assert d.wait(fourth)["state"] == "succeeded"


def test_semaphores():
    """n of m are held; taken away by a reload; kept for another; and how many are ahead."""
    sizes = "[Semaphores]\nx=2\ny=1\n"
    with durable(conf=sizes, min_workers=4) as d:
        holders = [d.submit("tally", {"n": 1, "until": d.path("gate")}, semaphores=["x"])
                   for _ in range(2)]
        for id in holders:
            await_begun(d, id)
        waiting = [d.submit("tally", {"n": 1}, semaphores=["x"]) for _ in range(3)]
        urgent = d.submit("tally", {"n": 1}, semaphores=["x"], priority=7)
        held = r"waits for semaphore 'x': 2 of 2 are held"
        for n, id in enumerate([urgent, *waiting]):
            says(d, id, held + AT % "|".join(holders), ahead=n, state="blocked")
            assert d.get(id)["reason"] == why(d, id)[1].split(";")[0]
        d.write("config/brood.conf", "[Semaphores]\ny=1\n")
        d.call("Reload")
        says(d, waiting[0], r"waits for semaphore 'x', which the config does not have \(any more\)",
             state="blocked")
        d.write("config/brood.conf", sizes)
        d.call("Reload")
        says(d, waiting[0], held + AT_ANY)
        open_gate(d)
        for id in waiting:
            assert d.wait(id)["state"] == "succeeded"


def test_a_unit_that_is_kept():
    """The last unit is kept for who was there before and needs more."""
    with durable(conf="[Semaphores]\nx=1\ny=1\n", min_workers=4) as d:
        await_begun(d, d.submit("tally", {"n": 1, "until": d.path("gate")}, semaphores=["y"]))
        pair = d.submit("tally", {"n": 1}, semaphores=["x", "y"])
        says(d, pair, "waits for semaphore 'y': 1 of 1 are held" + AT_ANY, state="blocked")
        one = d.submit("tally", {"n": 1}, semaphores=["x"])
        says(d, one, "waits for semaphore 'x', which is kept for a job before it", state="blocked")
        open_gate(d)
        assert d.wait(one)["state"] == "succeeded"


def test_the_pool():
    """Paused, draining, and back."""
    with one_worker() as d:
        d.call("PausePool", pool="tally")
        id = d.submit("tally", {"n": 1})
        says(d, id, "pool 'tally' is paused", ahead=0, state="queued")
        assert "reason" not in d.get(id)
        d.call("Drain")
        says(d, id, "the daemon is draining: no job begins", state="queued")
        d.call("ResumePool", pool="tally")
        says(d, id, "the daemon is draining: no job begins")
        d.call("Resume")
        assert d.wait(id)["state"] == "succeeded"


def test_nobody_serves_its_handler():
    """A reload has taken the handler away, and a restart does not bring it back."""
    with one_worker(pools={"diag": diag()}, handlers="tally score") as d:
        d.call("PausePool", pool="tally")
        ids = [d.submit("score", {"n": 1}), d.submit("tally", {"n": 1})]
        write_tally(d, handlers="tally", min_workers=1)
        d.call("Reload")
        says(d, ids[0], "no pool of the config serves handler 'score'", state="queued")
        os.unlink(d.path("config/pools/tally.pool"))
        d.call("Reload")
        again(d)
        for id, handler in zip(ids, ["score", "tally"]):
            says(d, id, "no pool of the config serves handler '%s'" % handler, state="queued")
        write_tally(d, handlers="tally score")
        d.call("Reload")
        for id in ids:
            assert d.wait(id)["state"] == "succeeded"


def test_a_reload_brings_its_handler():
    """The pool that serves it from now on still has workers that do not know it: they get none of
    its jobs, or these would fail."""
    with durable(min_workers=4, handlers="tally score") as d:
        d.call("PausePool", pool="tally")
        ids = [d.submit("score", {"n": n}, durability="memory") for n in range(20)]
        write_tally(d, handlers="tally", min_workers=4)
        d.call("Reload")
        says(d, ids[0], "no pool of the config serves handler 'score'")
        d.call("ResumePool", pool="tally")
        until(lambda: d.pool_status("tally")["idle"] == 4, "four workers")
        write_tally(d, handlers="tally score", min_workers=4)
        d.call("Reload")
        for id in ids:
            job = d.wait(id)
            assert job["state"] == "succeeded" and "error" not in outcomes(job), job


def test_how_many_are_ahead():
    """All workers are busy: the exact number of those before it, whatever their priorities."""
    with durable(min_workers=2) as d:
        hold(d), hold(d)
        ids = [(-p, n, d.submit("tally", {"n": 1}, priority=p))
               for n, p in enumerate([0, 5, -5, 0, 5, -5, 1000, -1000, 0])]
        for ahead, (_, _, id) in enumerate(sorted(ids)):
            says(d, id, "all 2 workers of pool 'tally' are busy" + AT_ANY, ahead, "queued")
        d.call("Cancel", id=sorted(ids)[0][2])
        says(d, sorted(ids)[-1][2], ".* are busy;.*", 7)
        open_gate(d)


def test_so_many_that_they_are_not_counted():
    """More than 10000 ahead: it says so, and gives no number."""
    with one_worker() as d:
        hold(d)
        job = {"handler": "tally", "args": {"n": 1}, "durability": "memory"}
        for _ in range(10):
            last = d.call("SubmitMany", jobs=[job] * 1000)["ids"][-1]
        says(d, last, ".* is busy;.*", 9999)
        last, more = d.call("SubmitMany", jobs=[job] * 2)["ids"]
        says(d, last, ".* is busy;.*", 10000)
        says(d, more, ".*; more than 10000 jobs are ahead of it;.*")
        assert why(d, more)[2] is None
        d.call("PausePool", pool="tally")
        open_gate(d)


def test_no_worker_is_ready():
    """Its pool has none just now: they start, or there are to be none."""
    hang = pool("mood", "moods.so", min_workers=1, spare_workers=0)
    with Daemon({"moods": hang}) as d:
        d.call("ScalePool", pool="moods", min_workers=0, max_workers=0)
        until(lambda: not d.workers(), "no worker")
        id = d.submit("mood")
        says(d, id, r"pool 'moods' has no worker that is ready \(0 are starting\)", 0)
        second = d.submit("mood")
        says(d, second, r"pool 'moods' has no .*", 1)
        d.call("ScalePool", pool="moods", min_workers=1, max_workers=1)
        assert d.wait(id)["state"] == "succeeded"


def test_workers_that_do_not_start():
    """The breaker of starts is open: it says so, and what they said when they can."""
    bad = pool("count", "count.so", min_workers=1, spare_workers=0, settings="refuse=worker")
    with Daemon({"count": bad, "diag": diag()}, ready=False) as d:
        d.await_socket()
        id = d.submit("count", {"directory": d.directory, "seconds": 0})
        says(d, id, r"pool 'count' has no worker that is ready \(\d are starting\)|"
                    "the workers of pool 'count' do not start.*")
        until(lambda: d.pool_status("count")["state"] == "failed", "the breaker is open", 20)
        says(d, id, "the workers of pool 'count' do not start.*", state="queued")
        d.write_pool("count", pool("count", "count.so", min_workers=1, spare_workers=0))
        d.call("Reload")
        assert d.wait(id)["state"] == "succeeded"


def test_a_module_that_does_not_load():
    """A new fork server cannot load the module: what it said is in the words."""
    with Daemon({}, start=False) as d:
        module = d.path("some.so")
        shutil.copy(build("lib", "modules", "diag.so"), module)
        d.write_pool("some", diag(module=module, min_workers=1))
        d.start()
        os.unlink(module)
        d.write("some.so", "this is no module")
        os.kill(d.fork_servers()[0], signal.SIGKILL)
        until(lambda: not d.workers(), "its worker is gone, too")
        id = d.submit("echo", {"n": 1})
        until(lambda: d.pool_status("some")["state"] == "failed", "the breaker is open", 20)
        says(d, id, "the workers of pool 'some' do not start: .*some.so.*", state="queued")
        os.unlink(module)
        shutil.copy(build("lib", "modules", "diag.so"), module)
        d.call("RestartPool", pool="some")
        assert d.wait(id)["result"] == {"n": 1}


def test_a_handler_that_rests():
    """Its breaker is open: how many jobs killed their workers, and when one is tried."""
    with durable(breaker_deaths=2, poison_deaths=1, min_workers=2) as d:
        for _ in range(2):
            assert d.run("tally", {"n": 1, "crash": 9})["state"] == "quarantined"
        id = d.submit("tally", {"n": 1})
        says(d, id, r"handler 'tally' has a rest: 2 jobs in a row killed their workers; one is "
                    r"tried in [1-5]s( \d+ms)?", state="queued")
        d.call("Cancel", id=id)


def test_a_handler_of_which_one_is_tried():
    """While that one runs, the others wait for its end, not for a time."""
    with durable(breaker_deaths=2, poison_deaths=1, min_workers=2) as d:
        for _ in range(2):
            assert d.run("tally", {"n": 1, "crash": 9})["state"] == "quarantined"
        first = d.submit("tally", {"n": 1, "until": d.path("gate")})
        id = d.submit("tally", {"n": 1})
        until(lambda: begun(d, first), "one is tried", 12)
        words = why(d, id)[1]
        assert "has a rest" in words and not re.search(r" in \d", words), words
        open_gate(d)
        assert d.wait(id)["state"] == "succeeded"


def test_the_store_fails():
    """A job that it has waits until it can note that the job begins."""
    with failing_disk() as (d, faults):
        d.call("PausePool", pool="tally")
        id = d.submit("tally", {"n": 1})
        other = d.submit("tally", {"n": 1}, delay_usec=HOUR)
        faults.begin("pwrite64 EIO wal")
        with refused("StoreFailed"):
            d.submit("tally", {"n": 1})
        d.call("ResumePool", pool="tally")
        says(d, id, "the store fails: .+", state="queued")
        says(d, other, "waits for its time, in .*")
        faults.end()
        assert d.wait(id)["state"] == "succeeded"


def test_the_store_fails_and_memory_does_not_care():
    """Jobs in memory run though one that the store has, and that came first, cannot begin."""
    with failing_disk() as (d, faults):
        d.call("PausePool", pool="tally")
        stuck = d.submit("tally", {"n": 1})
        ids = [d.submit("tally", {"n": n}, durability="memory") for n in range(3)]
        faults.begin("pwrite64 EIO wal")
        with refused("StoreFailed"):
            d.submit("tally", {"n": 1})
        d.call("ResumePool", pool="tally")
        said = why(d, stuck)
        ended = [d.call("Wait", id=id, timeout_usec=int(slow(1) * 1e6)) for id in ids]
        assert len(ended) == 3, said
        faults.end()
        assert d.wait(stuck)["state"] == "succeeded"


def test_in_line():
    """Behind another job on a worker: which one; after a while it is taken back to the queue."""
    unless(not SANITIZED, "nothing is quick enough to be written ahead")
    with one_worker(pools={}) as d:
        quick = [{"handler": "tally", "args": {"n": 1}, "durability": "memory"}] * 100
        for id in d.call("SubmitMany", jobs=quick)["ids"]:
            d.wait(id)
        pid = d.pids("tally")[0]
        pattern = "is with worker tally.0, and begins when that is done with the job before it"
        seen = set()
        for _ in range(20):
            os.kill(pid, signal.SIGSTOP)
            ids = d.call("SubmitMany", jobs=quick[:5])["ids"]
            seen.add(why(d, ids[1])[1])
            says(d, ids[4], ".* of pool 'tally' (are|is) busy;.*", 3)
            os.kill(pid, signal.SIGCONT)
            for id in ids:
                assert d.wait(id)["state"] == "succeeded"
            if pattern in seen:
                return
        raise AssertionError(seen)


def test_running():
    """Which attempt, where and for how long; and that its end was asked for."""
    with one_worker(kill_after="1h") as d:
        id = d.submit("tally", {"n": 1, "until": d.path("gate"), "fail": 1})
        await_begun(d, id)
        pid = d.pids("tally")[0]
        says(d, id, r"attempt 1 runs on worker tally\.0 \(pid %d\), for .*\d(s|ms|us)" % pid,
             state="running")
        assert why(d, id)[2] is None and "reason" not in d.get(id)
        open_gate(d)
        assert d.wait(id)["state"] == "succeeded"
    with Daemon({"diag": diag(kill_after="2s", min_workers=1)}) as d:
        id = d.submit("spin", {"seconds": 50})
        pid = d.worker_of(id)["pid"]
        os.kill(pid, signal.SIGSTOP)
        d.call("Cancel", id=id)
        says(d, id, r"attempt 1 runs on .*; its end was asked for", state="running")
        os.kill(pid, signal.SIGCONT)
        assert d.wait(id)["state"] == "cancelled"


def test_ended():
    """In each way."""
    with one_worker(poison_deaths=2) as d:
        def ends(args, pattern, state, **spec):
            id = d.run("tally", args, **spec)["id"]
            says(d, id, pattern, state=state)
            assert why(d, id)[2] is None
            return id

        ends({"n": 1}, "attempt 1 succeeded", "succeeded")
        ends({"n": 1, "fail": 1}, "attempt 2 succeeded", "succeeded")
        ends({"n": 1, "fail": 9}, "attempt 2 ended: error: attempt 2 was to fail; no attempts are "
                                  "left", "failed", max_attempts=2)
        ends({"n": 1, "ms": -1}, "attempt 1 ended: error: .*; it is not to be tried again",
             "failed")
        ends({"n": 1, "crash": 9}, "attempt 2 ended: worker_died: worker tally.0 .*KILL.*; it has "
                                   "killed too many workers", "quarantined")
        ends({"n": 1, "until": "/nonexistent"},
             "attempt 1 ended: timeout: .*; no attempts are left", "failed", timeout_usec=50000,
             max_attempts=1)
        ends({"n": 1}, "it had not started when its ttl was over", "expired", delay_usec=HOUR,
             ttl_usec=50000)
        id = d.submit("tally", {"n": 1}, delay_usec=HOUR)
        d.call("Cancel", id=id)
        says(d, id, "cancelled on request", state="cancelled")
        id = hold(d, "never")
        d.call("Cancel", id=id)
        says(d, id, "cancelled on request", state="cancelled")
        bad = ends({"n": 1, "fail": 9}, ".*", "failed", max_attempts=1)
        child = d.submit("tally", {"n": 1}, after=[bad])
        doomed = "job %s, which had to succeed first, had ended: failed" % bad
        says(d, child, doomed, state="cancelled")
        again(d)
        says(d, child, doomed, state="cancelled")
        says(d, bad, "attempt 1 ended: error: attempt 1 was to fail; no attempts are left")


def test_no_such_job():
    """An unknown id, and what is none."""
    with Daemon() as d:
        for id in str(uuid.uuid4()), "", "x":
            with refused("NoSuchJob") as e:
                d.call("Why", id=id)
            assert e["id"] == id


def ctl(d, *args):
    return subprocess.run([build("daemon", "ctl", "broodctl"), "--socket=" + d.socket_path, *args],
                          env=d.environment(), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=slow(20), check=False)


def test_broodctl():
    """broodctl why prints the state and the words, once; with --json the answer."""
    with one_worker() as d:
        hold(d)
        first, second = (d.submit("tally", {"n": 1}) for _ in range(2))
        later = d.submit("tally", {"n": 1}, delay_usec=HOUR)
        done = ctl(d, "why", later)
        assert done.returncode == 0 and re.fullmatch(
            r"scheduled: waits for its time, in .*\n", done.stdout), done
        done = ctl(d, "why", second)
        assert done.returncode == 0 and done.stdout.startswith("queued: the one worker"), done
        assert done.stdout.count("1 job is ahead of it") == 1, done.stdout
        done = ctl(d, "why", first, second)
        lines = done.stdout.splitlines()
        assert [line.split()[0] for line in lines] == [first, second], done
        done = ctl(d, "--json", "why", second)
        assert '"ahead"' in done.stdout and '"reason"' in done.stdout, done
        done = ctl(d, "why", str(uuid.uuid4()))
        assert done.returncode == 4 and done.stdout == "" and done.stderr, done
        open_gate(d)


def test_whose_job_it_is_is_not_told_to_others():
    """Who waits for another user's run, at a worker or a semaphore, is not told its id."""
    conf = "[Access]\nSubmit=*\n[Semaphores]\nx=1\n"
    with Users({"diag": diag(min_workers=1)}, conf=conf) as d, d.connect_as(ALICE) as alice, \
            d.connect_as(BOB) as bob:
        def submit(who, **spec):
            return who.call("Submit", job={"handler": "sleep", "args": {"seconds": 60},
                                           **spec})["id"]
        held = submit(alice, semaphores=["x"])
        d.await_state(held, "running")
        for more in {}, {"semaphores": ["x"]}:
            hers, his = submit(alice, **more), submit(bob, **more)
            assert "been at job %s (sleep)" % held in alice.call("Why", id=hers)["reason"]
            words = bob.call("Why", id=his)["reason"]
            assert "been at a job (sleep)" in words and held not in words, words
            assert held not in str(bob.call("Get", id=his)) + str(bob.call("Status"))
        d.call("PausePool", pool="diag")
        alice.call("Cancel", id=held)
        assert d.wait(held)["state"] == "cancelled"
